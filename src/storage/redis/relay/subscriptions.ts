import { ProtocolError } from '../../../protocol/errors.ts'
import {
  type RelayStore,
  SUBSCRIPTION_LEASE_MS,
  type Subscribed,
  WAITING_BATCH_SIZE,
} from '../../../relay/store.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { relayEnter } from '../lua/relay/subscriptions/enter.ts'
import { relayEvict } from '../lua/relay/subscriptions/evict.ts'
import { relayForget } from '../lua/relay/subscriptions/forget.ts'
import { relayLeave } from '../lua/relay/subscriptions/leave.ts'
import { relaySubscribe } from '../lua/relay/subscriptions/subscribe.ts'
import { relayUnhint } from '../lua/relay/subscriptions/unhint.ts'
import { relayUnsubscribe } from '../lua/relay/subscriptions/unsubscribe.ts'
import { list, text, whole } from '../script.ts'
import { type Hint, hintAll } from './publish.ts'
import {
  cursorOfRow,
  dayOf,
  hash,
  isSubscribedRow,
  lastOfHead,
  MANY_TOPICS,
  name,
  type RelayKeys,
  SEEN_SHARDS,
  seenShardOf,
} from './rows.ts'

/** Topics that are asked for in one go. */
const PAGE_SIZE = 1000
/** Subscriptions that are changed in one go, a script each: what others ask of Redis waits for some 10 ms of it. */
const MAX_CHANGED = 64
/** Clients of one shard that a sweep looks at; the next one takes the rest. */
const MAX_LAPSED_CLIENTS = 100
/** Members of a topic whose subscriptions one script call ends when the topic gets an owner. */
const MAX_EVICTED = 500

/**
 * Which client is subscribed to which topic. The topic is the truth about its subscribers; the client's index names its topics.
 *
 * Order: a topic is entered into the index before its subscription is made and leaves it after that one has ended, so
 * that the index never misses a subscription. The entry is made once more afterwards: an unsubscribe that ran in between
 * took it out.
 *
 * Hints: for a client of few topics, `waiting` looks into each of them. One of many topics gets a hint at each message.
 * Its subscriptions say so (mode 2), and `hinting` says how far that is: 'coming' from the moment that it has many topics,
 * so that every subscription from then on is made with hints, 'ready' when the earlier ones have been remade. A
 * subscription that was under way meanwhile sees 'coming' when it enters its topics for the second time, and remakes itself.
 */
export const createInterests = (redis: RedisConnection, keys: RelayKeys, maxMembers: number) => {
  const { enter, join, leave, evict } = createMemberships(redis, keys, maxMembers)
  const index = createTopicIndex(redis, keys)
  const remakeOnce = createRemake(redis, keys, index, join)

  const { noteSeen, seen } = createSeenDays(redis, keys)

  const subscribe: RelayStore['subscribe'] = async (clientId, wanted, { now, limit, exclusive = false }) => {
    name(clientId)
    const topics = [...new Set(wanted)].map(hash)
    // Before any subscription is made: none is without an end.
    const [first] = await Promise.all([
      enter(clientId, topics, limit),
      topics.length > 0 && noteSeen(clientId, now),
    ])
    if (first.total < 0) throw new ProtocolError('rate_limited', `more than ${limit} topics`)
    if (topics.length === 0) return { total: first.total, owned: [], crowded: [] }
    const how = { isBounded: limit !== undefined, exclusive }
    const { owned, crowded } = await join(clientId, topics, first.hinting === '' ? 1 : 2, how)
    const isOut = new Set([...owned, ...crowded])
    if (isOut.size > 0) await leave(clientId, [...isOut])
    const joined = isOut.size > 0 ? topics.filter((topic) => !isOut.has(topic)) : topics
    const second = await enter(clientId, joined)
    if (first.hinting === '' && second.hinting !== '') await join(clientId, joined, 2, { onlyMembers: true })
    if (second.hinting === 'coming') await remakeOnce(clientId)
    if (exclusive) await Promise.all(joined.map((topic) => evict(topic, clientId)))
    return { total: second.total, owned, crowded }
  }

  const unsubscribe = async (clientId: string, unwanted: readonly string[]): Promise<void> => {
    name(clientId)
    const topics = [...new Set(unwanted)].map(hash)
    for (let at = 0; at < topics.length; at += MAX_CHANGED) {
      const some = topics.slice(at, at + MAX_CHANGED)
      await redis.batch(() =>
        some.map((topic) => redis.script(relayUnsubscribe, [keys.topic(topic)], [clientId])),
      )
      await leave(clientId, some)
    }
  }

  return {
    subscribe,
    unsubscribe,

    async unsubscribedOf(clientId: string, wanted: readonly string[]): Promise<string[]> {
      const topics = [...new Set(wanted)].map(hash)
      if (topics.length === 0) return []
      const scores = await redis.one(() => redis.client.zmscore(keys.topics(name(clientId)), ...topics))
      return topics.filter((_, at) => scores[at] == null)
    },

    seen,

    lapse: createLapse(redis, keys, { subscribe, unsubscribe, pageOf: index.pageOf }),

    topicsOf: (clientId: string, { after, limit }: { after?: string; limit: number }) =>
      index.pageOf(clientId, after, limit),

    async isSubscribed(clientId: string, topic: string): Promise<boolean> {
      const [owner, row] = await redis.one(() =>
        redis.client.hmget(keys.topic(hash(topic)), 'o', `c${name(clientId)}`),
      )
      return (owner == null || owner === clientId) && isSubscribedRow(row)
    },

    waiting: (clientId: string) => waitingTopics(redis, keys, index, clientId),
  }
}

/** The two places of a subscription: the client's index, and the topic. */
const createMemberships = (redis: RedisConnection, keys: RelayKeys, maxMembers: number) => {
  const enter = async (clientId: string, topics: readonly string[], limit?: number) => {
    const answer = await redis.one(() =>
      redis.script(
        relayEnter,
        [keys.topics(clientId), keys.hinting(clientId)],
        [limit ?? '', MANY_TOPICS, ...topics],
      ),
    )
    const [total, hinting] = list(answer)
    return { total: whole(total), hinting: text(hinting) }
  }

  /** Makes the subscriptions; answers which were not made. */
  const join = async (
    clientId: string,
    topics: readonly string[],
    mode: 1 | 2,
    how: { onlyMembers?: boolean; isBounded?: boolean; exclusive?: boolean } = {},
  ): Promise<Omit<Subscribed, 'total'>> => {
    const hints: Hint[] = []
    const refused: Record<string, string[]> = { owned: [], crowded: [] }
    const { onlyMembers = false, isBounded = false, exclusive = false } = how
    const rest = [onlyMembers ? '1' : '', isBounded ? maxMembers : '', exclusive ? '1' : '']
    for (let at = 0; at < topics.length; at += MAX_CHANGED) {
      const some = topics.slice(at, at + MAX_CHANGED)
      const answers = await redis.batch(() =>
        some.map((topic) => redis.script(relaySubscribe, [keys.topic(topic)], [clientId, mode, ...rest])),
      )
      for (const [which, topic] of some.entries()) {
        const [seq, keep] = list(answers[which])
        if (keep !== undefined) hints.push({ clientId, topic, seq: whole(seq), keep: whole(keep) })
        else if (seq !== undefined) refused[text(seq)]?.push(topic)
      }
    }
    await hintAll(redis, keys, hints)
    return { owned: refused.owned ?? [], crowded: refused.crowded ?? [] }
  }

  const leave = (clientId: string, topics: readonly string[]) =>
    redis.one(() =>
      redis.script(
        relayLeave,
        [keys.topics(clientId), keys.hinting(clientId), keys.hints(clientId)],
        [...topics],
      ),
    )

  /** Ends what others have in a topic that has got an owner. */
  const evict = async (topic: string, owner: string): Promise<void> => {
    for (;;) {
      const out = list(
        await redis.one(() => redis.script(relayEvict, [keys.topic(topic)], [owner, MAX_EVICTED])),
      ).map(text)
      await Promise.all(out.map((clientId) => leave(clientId, [topic])))
      if (out.length < MAX_EVICTED) return
    }
  }

  return { enter, join, leave, evict }
}
type Memberships = ReturnType<typeof createMemberships>

/** The topics of a client, in topic order, and those of which it has hints. */
const createTopicIndex = (redis: RedisConnection, keys: RelayKeys) => {
  const pageOf = (clientId: string, after: string | undefined, limit: number): Promise<string[]> =>
    redis.one(() =>
      redis.client.zrangebylex(
        keys.topics(clientId),
        after === undefined ? '-' : `(${hash(after)}`,
        '+',
        'LIMIT',
        0,
        limit,
      ),
    )

  async function* allOf(clientId: string, size = PAGE_SIZE): AsyncIterable<string[]> {
    let after: string | undefined
    for (;;) {
      const page = await pageOf(clientId, after, size)
      if (page.length > 0) yield page
      after = page.at(-1)
      if (page.length < size) return
    }
  }

  async function* hintedOf(clientId: string): AsyncIterable<string[]> {
    let cursor = '0'
    do {
      const from = cursor
      const [next, found] = await redis.one(() =>
        redis.client.zscan(keys.hints(clientId), from, 'COUNT', PAGE_SIZE),
      )
      cursor = next
      const topics = found.filter((_, at) => at % 2 === 0)
      if (topics.length > 0) yield topics
    } while (cursor !== '0')
  }

  return { pageOf, allOf, hintedOf }
}
type TopicIndex = ReturnType<typeof createTopicIndex>

/** Gives hints to the subscriptions that were made without; once at a time for a client. */
const createRemake = (
  redis: RedisConnection,
  keys: RelayKeys,
  { allOf }: TopicIndex,
  join: Memberships['join'],
) => {
  const coming = new Map<string, Promise<void>>()

  const remake = async (clientId: string): Promise<void> => {
    for await (const topics of allOf(clientId)) await join(clientId, topics, 2, { onlyMembers: true })
    await redis.one(() => redis.client.set(keys.hinting(clientId), 'ready', 'XX'))
  }

  return (clientId: string): Promise<void> => {
    const running =
      coming.get(clientId) ??
      remake(clientId).finally(() => {
        coming.delete(clientId)
      })
    coming.set(clientId, running)
    return running
  }
}

/** Ends at most `limit` subscriptions of clients that were not seen for too long; returns how many. */
const createLapse = (
  redis: RedisConnection,
  keys: RelayKeys,
  {
    subscribe,
    unsubscribe,
    pageOf,
  }: Pick<RelayStore, 'subscribe' | 'unsubscribe'> & Pick<TopicIndex, 'pageOf'>,
) => {
  /** Ends at most `limit` subscriptions of one client that was seen before `firstDay` only; answers how many. */
  const lapseClient = async (clientId: string, firstDay: number, now: number, limit: number) => {
    const shard = keys.seen(seenShardOf(clientId))
    const topics = await pageOf(clientId, undefined, limit)
    await unsubscribe(clientId, topics)
    const day = await redis.one(() => redis.client.zscore(shard, clientId))
    if (day === null || Number(day) >= firstDay) {
      // It came back meanwhile. It has what it subscribed to since, and again what it had before.
      if (topics.length > 0) await subscribe(clientId, topics, { now })
      return 0
    }
    if (topics.length < limit) await redis.one(() => redis.script(relayForget, [shard], [clientId, firstDay]))
    return topics.length
  }

  return async (now: number, limit: number): Promise<number> => {
    const firstDay = dayOf(now - SUBSCRIPTION_LEASE_MS)
    if (limit <= 0) return 0
    const found = await redis.batch(() =>
      Array.from({ length: SEEN_SHARDS }, (_, shard) =>
        redis.client.zrangebyscore(keys.seen(shard), '-inf', `(${firstDay}`, 'LIMIT', 0, MAX_LAPSED_CLIENTS),
      ),
    )
    let ended = 0
    for (const clientId of found.flat()) {
      if (ended >= limit) break
      ended += await lapseClient(clientId, firstDay, now, limit - ended)
    }
    return ended
  }
}

async function* waitingTopics(
  redis: RedisConnection,
  keys: RelayKeys,
  { allOf, hintedOf }: TopicIndex,
  clientId: string,
): AsyncIterable<string[]> {
  const field = `c${name(clientId)}`
  const hinting = await redis.one(() => redis.client.get(keys.hinting(clientId)))
  const isHinted = hinting === 'ready'
  for await (const topics of isHinted ? hintedOf(clientId) : allOf(clientId, WAITING_BATCH_SIZE)) {
    const rows = await redis.batch(() =>
      topics.map((topic) => redis.client.hmget(keys.topic(topic), 'h', field)),
    )
    const found: string[] = []
    const over: (string | number)[] = []
    for (const [at, topic] of topics.entries()) {
      const [head, row] = rows[at] ?? []
      const last = lastOfHead(head)
      if (isSubscribedRow(row) && last > cursorOfRow(row)) found.push(topic)
      else if (isHinted) over.push(last, topic)
    }
    if (over.length > 0) await redis.one(() => redis.script(relayUnhint, [keys.hints(clientId)], over))
    yield found
  }
}

/** Scores and members, as ZADD takes them. */
const seenMembers = (clientIds: readonly string[], day: number): (string | number)[] =>
  clientIds.flatMap((id) => [day, name(id)])

/** The days on which clients were last seen. */
const createSeenDays = (redis: RedisConnection, keys: RelayKeys) => ({
  noteSeen: (clientId: string, now: number) =>
    redis.one(() => redis.client.zadd(keys.seen(seenShardOf(clientId)), 'GT', dayOf(now), clientId)),

  async seen(clientIds: readonly string[], now: number): Promise<void> {
    const shards = groupBy(clientIds, seenShardOf)
    await redis.batch(() =>
      [...shards].map(([shard, own]) =>
        redis.client.zadd(keys.seen(shard), 'XX', 'GT', ...seenMembers(own, dayOf(now))),
      ),
    )
  },
})
