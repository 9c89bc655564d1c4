import { invariant } from '../../../platform/invariant.ts'
import type { Head, RelayStore, StoredMessage } from '../../../relay/store.ts'
import { type Ask, createCallBatcher } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { relayHeads, relayPick } from '../lua/relay/heads.ts'
import { relayPending } from '../lua/relay/pending.ts'
import { list, text, whole } from '../script.ts'
import { decodeText, hash, name, type RelayKeys } from './rows.ts'

/** Clients whose mailboxes one script call reads, of a page each. */
const MAX_CALL_READERS = 16
/** Texts that one command reads. */
const MAX_CALL_TEXTS = 256

interface Reader {
  clientId: string
  topic: string
  after: number
  limit: number
  maxBytes: number
  now: number
}

/**
 * How mailboxes are read. What another process published wakes all its readers here at once: the topic is then asked
 * once for what waits for each of them, and once for the texts, which are the same for most.
 */
export const createReading = (
  redis: RedisConnection,
  ask: Ask,
  keys: RelayKeys,
): Pick<RelayStore, 'pending' | 'heads' | 'pick'> => {
  const waitingFor = createWaitingBatcher(redis, ask, keys)
  const textsOf = createTextBatcher(redis, ask)

  /** The messages that a script named; those that are gone since are left out. */
  const read = async (topic: string, pairs: readonly unknown[]) => {
    invariant(pairs.length % 2 === 0, 'A script names a seq and an id of each message')
    const seqs = pairs.filter((_, at) => at % 2 === 0).map(whole)
    const texts = pairs.filter((_, at) => at % 2 === 1).map((id) => keys.text(topic, text(id)))
    const rows = texts.length > 0 ? await textsOf({ topic, texts }) : []
    const messages = rows.flatMap((row, at): StoredMessage[] => {
      // Gone or stored anew since the script ran.
      const message = row === null ? undefined : decodeText(row, topic)
      return message && message.seq === seqs[at] ? [message] : []
    })
    return { seqs, messages }
  }

  return {
    async pending(clientId, topic, { after, limit, maxBytes, now }) {
      hash(topic)
      for (let from = after; ; ) {
        const reader = { clientId: name(clientId), topic, after: from, limit, maxBytes, now }
        const [more, ...pairs] = list(await waitingFor(reader))
        const hasMore = more === 1
        const { seqs, messages } = await read(topic, pairs)
        if (messages.length > 0 || !hasMore || seqs.length === 0) return { messages, hasMore }
        from = seqs.at(-1) ?? from
      }
    },

    async heads(clientId, topic, { after, limit, now }) {
      const key = keys.topic(hash(topic))
      const args = [name(clientId), now, after, limit]
      const [more, ...fields] = list(await ask(() => redis.script(relayHeads, [key], args)))
      const heads = Array.from({ length: fields.length / 4 }, (_, which): Head => {
        const [seq, payer, publisher, size] = fields.slice(which * 4, which * 4 + 4)
        return { seq: whole(seq), payer: text(payer), publisher: text(publisher), size: whole(size) }
      })
      return { heads, hasMore: more === 1 }
    },

    async pick(clientId, topic, seqs, now) {
      const key = keys.topic(hash(topic))
      const rising = [...seqs].sort((one, other) => one - other)
      const args = [name(clientId), now, ...rising]
      const { messages } = await read(topic, list(await ask(() => redis.script(relayPick, [key], args))))
      const bySeq = new Map(messages.map((message) => [message.seq, message]))
      return seqs.flatMap((seq) => bySeq.get(seq) ?? [])
    },
  }
}

/** What waits for many readers of one topic, by one script call. */
const createWaitingBatcher = (redis: RedisConnection, ask: Ask, keys: RelayKeys) =>
  createCallBatcher(
    { groupOf: ({ topic }: Reader) => topic, most: MAX_CALL_READERS },
    async (readers): Promise<unknown[]> => {
      const key = keys.topic(readers[0]?.topic ?? '')
      const args = readers.flatMap(({ clientId, after, limit, maxBytes, now }) => {
        return [clientId, after, limit, maxBytes, now]
      })
      return list(await ask(() => redis.script(relayPending, [key], args)))
    },
  )

/** The texts of messages, each read once for all who ask for it. */
const createTextBatcher = (redis: RedisConnection, ask: Ask) =>
  createCallBatcher(
    {
      groupOf: ({ topic }: { topic: string; texts: string[] }) => topic,
      most: MAX_CALL_TEXTS,
      weightOf: ({ texts }) => texts.length,
    },
    async (wanted) => {
      const all = [...new Set(wanted.flatMap(({ texts }) => texts))]
      const rows = await ask(() => redis.client.mget(...all))
      const byKey = new Map(all.map((key, at) => [key, rows[at] ?? null]))
      return wanted.map(({ texts }) => texts.map((key) => byKey.get(key) ?? null))
    },
  )
