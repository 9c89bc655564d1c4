/** The relay's mailboxes as records, and back. */
import type { Clock } from '../../../platform/runtime/clock.ts'
import { DAY_MS } from '../../../platform/units.ts'
import type { RelayStore, StoredMessage } from '../../../relay/store.ts'
import { resubscribe } from '../../transfer/members.ts'
import type { Page, Readers, Records, Writers } from '../../transfer/transfer.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { relayRestoreMembers } from '../lua/relay/restore-members.ts'
import { relayRestoreMessages } from '../lua/relay/restore-messages.ts'
import { noteDue } from '../relay/publish.ts'
import {
  decodeText,
  encodeText,
  hash,
  KEY_GRACE_MS,
  name,
  relayKeys,
  seenShardOf,
  shortId,
} from '../relay/rows.ts'
import { scanKeys, scanPairs } from '../scan.ts'

type RelayTables = 'message' | 'member'
type Member = Records['member']

interface RelayTransferDeps {
  redis: RedisConnection
  clock: Pick<Clock, 'now'>
}

/** What the hash of a topic begins with, behind the prefix; it ends with the tag. */
const TOPIC_KEY = '{t:'
/** Topics that are looked into together. */
const PAGE_TOPICS = 500
/** Messages and about the bytes of one page, and of one script call. */
const MAX_PAGE = { messages: 500, bytes: 4 * 1024 * 1024 }
const MAX_CALL = { messages: 100, bytes: 1024 * 1024 }
const MAX_CALL_MEMBERS = 500

/** Cuts a list where it becomes too long or too heavy. */
function* cut<T>(
  items: readonly T[],
  most: { messages: number; bytes: number },
  sizeOf: (item: T) => number,
): Generator<T[]> {
  let part: T[] = []
  let bytes = 0
  for (const item of items) {
    if (part.length > 0 && (part.length >= most.messages || bytes + sizeOf(item) > most.bytes)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(item)
    bytes += sizeOf(item)
  }
  if (part.length > 0) yield part
}

const memberOf = (topic: string, clientId: string, row: string): Member => {
  const [mode, , cursor, ranges = ''] = row.split(' ')
  const acked = ranges === '' ? [] : ranges.split(/[-,]/).map(Number)
  return { topic, clientId, isSubscribed: mode !== '0', cursor: Number(cursor), acked }
}

/** What one topic holds: the live messages and all members. */
const look = async (redis: RedisConnection, topic: string, now: number) => {
  const live: { topic: string; seq: number; id: string; size: number }[] = []
  const members: Member[] = []
  let owner = ''
  const key = relayKeys(redis.prefix).topic(topic)
  for await (const pairs of scanPairs((cursor) => redis.client.hscan(key, cursor, 'COUNT', 1_000))) {
    for (const [field, row] of pairs) {
      if (field === 'o') owner = row
      if (field.startsWith('c')) members.push(memberOf(topic, field.slice(1), row))
      if (!/^\d+$/.test(field)) continue
      const [expiresAt, size, , id = ''] = row.split(' ')
      if (Number(expiresAt) > now) live.push({ topic, seq: Number(field), id, size: Number(size) })
    }
  }
  const seen = await redis.batch(() =>
    members.map(({ clientId }) =>
      redis.client.zscore(relayKeys(redis.prefix).seen(seenShardOf(clientId)), clientId),
    ),
  )
  for (const [at, member] of members.entries()) {
    const day = seen[at]
    if (member.isSubscribed && day != null) member.seenAt = Number(day) * DAY_MS
    if (member.clientId === owner) member.owns = true
  }
  return { live, members }
}

async function* topics(redis: RedisConnection, now: number, after: string | undefined) {
  for await (const { keys: found, from } of scanKeys(redis, { pattern: `${TOPIC_KEY}*}` }, after)) {
    const names = found.map((key) => key.slice(redis.prefix.length + TOPIC_KEY.length, -1))
    for (let at = 0; at < names.length; at += PAGE_TOPICS) {
      const some = names.slice(at, at + PAGE_TOPICS)
      const contents = await redis.batch(() => some.map((topic) => look(redis, topic, now)))
      yield { contents, cursor: from }
    }
  }
}

/** The messages of one topic, in as many script calls as their bytes need. */
const restoreMessages = (
  { redis, clock }: RelayTransferDeps,
  topic: string,
  messages: readonly StoredMessage[],
) => {
  const now = clock.now()
  const keys = relayKeys(redis.prefix)
  return [...cut(messages, MAX_CALL, ({ message }) => message.length)].map((part) => {
    const texts = part.map(({ id }) => keys.text(topic, shortId(id)))
    const args = part.flatMap((message) => [
      ...[message.seq, shortId(message.id), Buffer.byteLength(message.message), name(message.publisher)],
      ...[message.expiresAt, Math.max(Math.ceil(message.expiresAt - now), 1) + KEY_GRACE_MS],
      ...[message.payer, encodeText(message)],
    ])
    return redis.script(relayRestoreMessages, [keys.topic(hash(topic)), ...texts], args)
  })
}

const memberArgs = ({ clientId, isSubscribed, cursor, acked }: Member): (string | number)[] => {
  const ranges: string[] = []
  for (let at = 0; at < acked.length; at += 2) ranges.push(`${acked[at]}-${acked[at + 1]}`)
  return [name(clientId), isSubscribed ? '1' : '', cursor, ranges.join(',')]
}

/** The members of one topic, in as many script calls as their bytes need. */
const restoreMembers = (redis: RedisConnection, topic: string, members: readonly Member[]) => {
  const key = relayKeys(redis.prefix).topic(hash(topic))
  const bounds = { messages: MAX_CALL_MEMBERS, bytes: MAX_CALL.bytes }
  return [...cut(members, bounds, ({ acked }) => acked.length * 16)].map((part) =>
    redis.script(relayRestoreMembers, [key], part.flatMap(memberArgs)),
  )
}

const readers = (redis: RedisConnection): Pick<Readers, RelayTables> => ({
  message: {
    async *read({ now, after }) {
      for await (const { contents, cursor } of topics(redis, now, after)) {
        const all = contents.flatMap(({ live }) => live)
        for (const part of cut(all, MAX_PAGE, ({ size }) => size)) {
          const texts = await redis.batch(() =>
            part.map(({ topic, id }) => redis.client.get(relayKeys(redis.prefix).text(topic, id))),
          )
          const page: Page<StoredMessage> = { records: [], cursor }
          for (const [at, { topic, seq }] of part.entries()) {
            const text = texts[at]
            const message = text == null ? undefined : decodeText(text, topic)
            if (message?.seq === seq) page.records.push(message)
          }
          yield page
        }
      }
    },
    size: async () => undefined,
  },
  member: {
    async *read({ now, after }) {
      for await (const { contents, cursor } of topics(redis, now, after)) {
        // What a client that left has acknowledged matters only as long as there is a message.
        const records = contents.flatMap(({ live, members }) =>
          members.filter(({ isSubscribed }) => isSubscribed || live.length > 0),
        )
        if (records.length > 0) yield { records, cursor }
      }
    },
    size: async () => undefined,
  },
})

const writers = (
  deps: RelayTransferDeps,
  relay: Pick<RelayStore, 'subscribe'>,
): Pick<Writers, RelayTables> => ({
  message: {
    async write(records) {
      const byTopic = groupBy(records, ({ topic }) => topic)
      await deps.redis.batch(() =>
        [...byTopic].flatMap(([topic, messages]) => restoreMessages(deps, topic, messages)),
      )
      const due = [...byTopic].map(([topic, messages]) => ({
        topic,
        at: `${Math.min(...messages.map(({ expiresAt }) => expiresAt))}`,
      }))
      await noteDue(deps.redis, relayKeys(deps.redis.prefix), due)
      return []
    },
  },
  member: {
    async write(records) {
      const byTopic = groupBy(records, ({ topic }) => topic)
      await deps.redis.batch(() =>
        [...byTopic].flatMap(([topic, members]) => restoreMembers(deps.redis, topic, members)),
      )
      // The client's own index, and hints for one of many topics.
      await resubscribe(relay, records)
      return []
    },
  },
})

export const createRelayTransfer = (deps: RelayTransferDeps, relay: Pick<RelayStore, 'subscribe'>) => ({
  read: readers(deps.redis),
  write: writers(deps, relay),
})
