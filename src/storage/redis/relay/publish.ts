import { invariant } from '../../../platform/invariant.ts'
import {
  DEFAULT_MAILBOX_LIMITS,
  type MailboxLimits,
  type NewMessage,
  OWNED_FACTOR,
  type Publication,
  type Subscriber,
  TRIM_TO_RATIO,
} from '../../../relay/store.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { relayDiscard } from '../lua/relay/discard.ts'
import { relayHint } from '../lua/relay/hint.ts'
import { relayPublish } from '../lua/relay/publish.ts'
import { list, text, whole } from '../script.ts'
import { dueShardOf, encodeText, hash, KEY_GRACE_MS, name, type RelayKeys, shortId } from './rows.ts'
import type { Wakes } from './wakes.ts'

/** What one script call takes, so that it does not hold up the others on its node for long. */
const MAX_CALL_MESSAGES = 100
const MAX_CALL_BYTES = 1024 * 1024

interface Prepared {
  message: NewMessage
  key: string
  args: (string | number)[]
  /** Its index in the batch. */
  at: number
}

interface Called {
  topic: string
  messages: Prepared[]
  bytes: number
}

interface Answer {
  publication: Publication
  /** Subscribers, by their ids, that need a hint; and those of a duplicate, who may not have been woken. */
  hints: string[]
  waiting: string[]
}

/** Hints at messages for clients of many topics: per client the topics with their seq. */
export interface Hint {
  clientId: string
  topic: string
  seq: number
  /** How long it must be kept, ms. */
  keep: number
}

export const hintAll = async (
  redis: RedisConnection,
  keys: RelayKeys,
  hints: readonly Hint[],
): Promise<void> => {
  if (hints.length === 0) return
  const byClient = groupBy(hints, ({ clientId }) => clientId)
  await redis.batch(() =>
    [...byClient].map(([clientId, own]) => {
      const keep = Math.max(...own.map((hint) => hint.keep))
      const args = own.flatMap(({ seq, topic }) => [seq, topic])
      return redis.script(relayHint, [keys.hints(clientId)], [Math.ceil(keep), ...args])
    }),
  )
}

/** Removes texts of messages that are out of their topics. */
export const discardAll = async (
  redis: RedisConnection,
  keys: RelayKeys,
  dropped: readonly { topic: string; pairs: readonly unknown[] }[],
): Promise<void> => {
  const calls = dropped.filter(({ pairs }) => pairs.length > 0)
  if (calls.length === 0) return
  await redis.batch(() =>
    calls.map(({ topic, pairs }) => {
      const texts = pairs.filter((_, at) => at % 2 === 0).map((id) => keys.text(topic, text(id)))
      const seqs = pairs.filter((_, at) => at % 2 === 1).map(text)
      return redis.script(relayDiscard, texts, seqs)
    }),
  )
}

/** Notes topics that a sweep must look at. Only a hint: everything vanishes by its TTL, too. */
export const noteDue = async (
  redis: RedisConnection,
  keys: RelayKeys,
  due: readonly { topic: string; at: string }[],
): Promise<void> => {
  if (due.length === 0) return
  const shards = groupBy(due, ({ topic }) => dueShardOf(topic))
  await redis.batch(() =>
    [...shards].map(([shard, topics]) =>
      redis.client.zadd(keys.due(shard), 'LT', ...topics.flatMap(({ topic, at }) => [at, topic])),
    ),
  )
}

const readAnswer = (answer: unknown): Answer => {
  const [outcome, ...rest] = list(answer)
  if (outcome === 0) return { publication: { outcome: 'full' }, hints: [], waiting: [] }
  const of = outcome === 2 ? rest.slice(3) : rest
  const subscribers: Subscriber[] = []
  const hints: string[] = []
  for (let at = 0; at < of.length; at += 2) {
    const clientId = text(of[at])
    const flags = whole(of[at + 1])
    subscribers.push({ clientId, caughtUp: flags % 2 === 1 })
    if (flags >= 2) hints.push(clientId)
  }
  if (outcome === 1) {
    const waiting = subscribers.map(({ clientId }) => clientId)
    return {
      publication: { outcome: 'duplicate', ...(waiting.length > 0 && { waiting }) },
      hints,
      waiting,
    }
  }
  const [seq, previousSeq, displaced] = [whole(rest[0]), whole(rest[1]), whole(rest[2])]
  const stored = {
    outcome: 'stored',
    seq,
    previousSeq,
    subscribers,
    ...(displaced > 0 && { displaced }),
  } as const
  return { publication: stored, hints, waiting: [] }
}

const publishKeys = (keys: RelayKeys, { topic, messages }: Called): string[] => [
  keys.topic(topic),
  ...messages.map(({ key }) => key),
]

const publishArgs = (limits: MailboxLimits, { messages }: Called) => [
  limits.messages,
  limits.bytes,
  OWNED_FACTOR,
  TRIM_TO_RATIO,
  KEY_GRACE_MS,
  ...messages.flatMap(({ args }) => args),
]

/** How the relay publishes: one script call a topic, all of them sent together. */
export const createPublishing = (
  redis: RedisConnection,
  keys: RelayKeys,
  wakes: Wakes,
  limits: MailboxLimits = DEFAULT_MAILBOX_LIMITS,
) => {
  return async (batch: readonly NewMessage[]): Promise<Publication[]> => {
    if (batch.length === 0) return []
    const calls = grouped(batch.map((message, at) => prepare(keys, message, at)))
    const raw = await redis.batch(() =>
      calls.map((call) => redis.script(relayPublish, publishKeys(keys, call), publishArgs(limits, call))),
    )
    const publications: Publication[] = []
    const due: { topic: string; at: string }[] = []
    const dropped: { topic: string; pairs: unknown[] }[] = []
    const hints: Hint[] = []
    for (const [which, call] of calls.entries()) {
      const [at, pairs, ...answers] = list(raw[which])
      invariant(answers.length === call.messages.length, 'The publish script answers each of its messages')
      if (text(at) !== '') due.push({ topic: call.topic, at: text(at) })
      dropped.push({ topic: call.topic, pairs: list(pairs) })
      for (const [index, prepared] of call.messages.entries()) {
        const answer = readAnswer(answers[index])
        publications[prepared.at] = answer.publication
        addHints(hints, prepared.message, answer)
        sendWakes(wakes, prepared.message.topic, answer)
      }
    }
    void noteDue(redis, keys, due).catch(() => {})
    await Promise.all([hintAll(redis, keys, hints), discardAll(redis, keys, dropped)])
    return publications
  }
}

const prepare = (keys: RelayKeys, message: NewMessage, at: number): Prepared => {
  const { topic, id, publisher, publishedAt, expiresAt, unattendedUntil = expiresAt, payer } = message
  const short = shortId(id)
  const size = Buffer.byteLength(message.message)
  return {
    message,
    at,
    key: keys.text(hash(topic), short),
    args: [
      ...[short, size, name(publisher), publishedAt, expiresAt, unattendedUntil, payer],
      encodeText(message),
    ],
  }
}

/** Those of one topic in one call, in order, as long as they fit. */
const grouped = (messages: readonly Prepared[]): Called[] => {
  const calls: Called[] = []
  const open = new Map<string, Called>()
  for (const prepared of messages) {
    const { topic, message } = prepared.message
    let call = open.get(topic)
    if (!call || call.messages.length >= MAX_CALL_MESSAGES || call.bytes + message.length > MAX_CALL_BYTES) {
      call = { topic, messages: [], bytes: 0 }
      open.set(topic, call)
      calls.push(call)
    }
    call.messages.push(prepared)
    call.bytes += message.length
  }
  return calls
}

/** Adds hints for subscribers of many topics. */
const addHints = (hints: Hint[], message: NewMessage, { publication, hints: hinted }: Answer): void => {
  const { topic } = message
  const keep = message.expiresAt - message.publishedAt + KEY_GRACE_MS
  const seq = publication.outcome === 'stored' ? publication.seq : 0
  for (const clientId of hinted) hints.push({ clientId, topic, seq, keep })
}

const sendWakes = (wakes: Wakes, topic: string, { publication, waiting }: Answer): void => {
  if (publication.outcome === 'stored') {
    wakes.send(
      topic,
      publication.subscribers.map(({ clientId }) => clientId),
    )
  }
  // An attempt that was stored but not answered woke no process, not even this one.
  if (waiting.length > 0) {
    wakes.send(topic, waiting)
    wakes.here({ topic, clientIds: waiting })
  }
}
