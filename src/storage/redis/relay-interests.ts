import { ProtocolError } from '../../protocol/errors.ts'
import type { RedisConnection } from './connection.ts'
import { type Hint, hintAll } from './relay-publishing.ts'
import {
  cursorOfRow,
  hash,
  isSubscribedRow,
  lastOfHead,
  MANY_TOPICS,
  name,
  type RelayKeys,
} from './relay-rows.ts'
import { relayEnter } from './scripts/relay-enter.ts'
import { relayLeave } from './scripts/relay-leave.ts'
import { relaySubscribe } from './scripts/relay-subscribe.ts'
import { relayUnhint } from './scripts/relay-unhint.ts'
import { relayUnsubscribe } from './scripts/relay-unsubscribe.ts'
import { list, text, whole } from './scripts.ts'

/** Topics that are asked for in one go. */
const BATCH = 1000

/**
 * Who is subscribed to what. The topic is the truth about its subscribers; the client's index names its topics.
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
export const createInterests = (redis: RedisConnection, keys: RelayKeys) => {
  const coming = new Map<string, Promise<void>>()

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

  const join = async (clientId: string, topics: readonly string[], mode: 1 | 2, onlyMembers = false) => {
    const hints: Hint[] = []
    for (let at = 0; at < topics.length; at += BATCH) {
      const some = topics.slice(at, at + BATCH)
      const answers = await redis.batch(() =>
        some.map((topic) =>
          redis.script(relaySubscribe, [keys.topic(topic)], [clientId, mode, onlyMembers ? '1' : '']),
        ),
      )
      for (const [which, topic] of some.entries()) {
        const [seq, keep] = list(answers[which])
        if (seq !== undefined) hints.push({ clientId, topic, seq: whole(seq), keep: whole(keep) })
      }
    }
    await hintAll(redis, keys, hints)
  }

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

  async function* allOf(clientId: string): AsyncIterable<string[]> {
    let after: string | undefined
    for (;;) {
      const page = await pageOf(clientId, after, BATCH)
      if (page.length > 0) yield page
      after = page.at(-1)
      if (page.length < BATCH) return
    }
  }

  async function* hintedOf(clientId: string): AsyncIterable<string[]> {
    let cursor = '0'
    do {
      const from = cursor
      const [next, found] = await redis.one(() =>
        redis.client.zscan(keys.hints(clientId), from, 'COUNT', BATCH),
      )
      cursor = next
      const topics = found.filter((_, at) => at % 2 === 0)
      if (topics.length > 0) yield topics
    } while (cursor !== '0')
  }

  /** Gives hints to the subscriptions that were made without. */
  const remake = async (clientId: string): Promise<void> => {
    for await (const topics of allOf(clientId)) await join(clientId, topics, 2, true)
    await redis.one(() => redis.client.set(keys.hinting(clientId), 'ready', 'XX'))
  }
  const remakeOnce = (clientId: string): Promise<void> => {
    const running =
      coming.get(clientId) ??
      remake(clientId).finally(() => {
        coming.delete(clientId)
      })
    coming.set(clientId, running)
    return running
  }

  return {
    async subscribe(clientId: string, wanted: readonly string[], limit?: number): Promise<number> {
      name(clientId)
      const topics = [...new Set(wanted)].map(hash)
      const first = await enter(clientId, topics, limit)
      if (first.total < 0) throw new ProtocolError('rate_limited', `more than ${limit} topics`)
      if (topics.length === 0) return first.total
      await join(clientId, topics, first.hinting === '' ? 1 : 2)
      const second = await enter(clientId, topics)
      if (first.hinting === '' && second.hinting !== '') await join(clientId, topics, 2, true)
      if (second.hinting === 'coming') await remakeOnce(clientId)
      return second.total
    },

    async unsubscribe(clientId: string, unwanted: readonly string[]): Promise<void> {
      name(clientId)
      const topics = [...new Set(unwanted)].map(hash)
      for (let at = 0; at < topics.length; at += BATCH) {
        const some = topics.slice(at, at + BATCH)
        await redis.batch(() =>
          some.map((topic) => redis.script(relayUnsubscribe, [keys.topic(topic)], [clientId])),
        )
        await redis.one(() =>
          redis.script(
            relayLeave,
            [keys.topics(clientId), keys.hinting(clientId), keys.hints(clientId)],
            some,
          ),
        )
      }
    },

    topicsOf: (clientId: string, { after, limit }: { after?: string; limit: number }) =>
      pageOf(clientId, after, limit),

    async isSubscribed(clientId: string, topic: string): Promise<boolean> {
      return isSubscribedRow(
        await redis.one(() => redis.client.hget(keys.topic(hash(topic)), `c${name(clientId)}`)),
      )
    },

    async *waiting(clientId: string): AsyncIterable<string[]> {
      const field = `c${name(clientId)}`
      const hinting = await redis.one(() => redis.client.get(keys.hinting(clientId)))
      const isHinted = hinting === 'ready'
      for await (const topics of isHinted ? hintedOf(clientId) : allOf(clientId)) {
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
        if (found.length > 0) yield found
      }
    },
  }
}
