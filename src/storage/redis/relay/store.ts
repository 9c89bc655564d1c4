/**
 * The relay's mailboxes in Redis.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{t:<topic>}` | hash | head, live messages by seq, members with what each is done with (`scripts/relay-topic.ts`) |
 * | `{t:<topic>}<id>` | string | a message: seq, times, tag, texts; goes by TTL |
 * | `{t:<topic>}:<seq>:<client>` | string | who may deliver a message of a shared subscription, until when; TTL |
 * | `{c:<client>}:t` | sorted set | topics of the client, in topic order |
 * | `{c:<client>}:h` | string | only for a client of many topics: whether it has hints |
 * | `{c:<client>}:w` | sorted set | its hints: topics in which something may wait; TTL |
 * | `{due:<0..15>}` | sorted set | topics by when their first message expires |
 * | `{seen:<0..255>}` | sorted set | clients by the day on which they were last seen |
 *
 * One topic changes by one script, and the scripts name all keys that they touch, so a cluster may move slots at any
 * moment. What lies elsewhere is a hint or an index that is written first and repeated safely.
 *
 * Time is the caller's: what has expired is not given out, whether or not it is still there. Redis' TTL, a minute longer,
 * removes the texts; a topic without subscribers vanishes with its last message, and its next life begins at a seq that
 * is taken from the clock and lies beyond all earlier ones. Subscriptions stay until they are ended, or their client was not
 * seen for 30 days.
 *
 * An answer says that Redis has it; what a crash of Redis may take back is the choice of its operator (`appendfsync`).
 */

import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits, type MailboxStore } from '../../../relay/store.ts'
import { type Ask, createAsk, createCallBatcher } from '../call-batcher.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { relayAcknowledge } from '../lua/relay/acknowledge.ts'
import { relaySweep } from '../lua/relay/sweep.ts'
import { relaySwept } from '../lua/relay/swept.ts'
import { list, text } from '../script.ts'
import { createClaims } from './claims.ts'
import { createReading } from './pending.ts'
import { createPublishing, discardAll } from './publish.ts'
import { DUE_SHARDS, decodeText, hash, name, type RelayKeys, relayKeys, shortId } from './rows.ts'
import { createInterests } from './subscriptions.ts'
import { createWakes } from './wakes.ts'

export interface RedisRelayDeps {
  redis: RedisConnection
  channels: Channels
  /** Unique among the processes. */
  instance: string
}

/** Receipts of one script call: about two milliseconds in which Redis does nothing else. */
const MAX_CALL_RECEIPTS = 500

/** What one client acknowledges in one topic. */
interface Receipts {
  topic: string
  clientId: string
  /** Keys of the texts, or `=` and the seq where it is known. */
  texts: string[]
}
/** Topics that are swept together. */
const MAX_SWEPT_TOPICS = 100

export const createRedisRelay = (
  { redis, channels, instance }: RedisRelayDeps,
  limits?: MailboxLimits,
): MailboxStore => {
  const keys = relayKeys(redis.prefix)
  const wakes = createWakes(channels, instance)
  const claims = createClaims(redis, keys)
  const { members: maxMembers = DEFAULT_MAILBOX_LIMITS.members } = limits ?? {}
  const interests = createInterests(redis, keys, maxMembers)
  const ask = createAsk(redis)
  const acknowledge = createAcknowledge(redis, ask, keys, maxMembers)
  const sweepMessages = createSweep(redis, keys)

  return {
    publish: createPublishing(redis, keys, wakes, limits),
    subscribe: interests.subscribe,
    unsubscribedOf: interests.unsubscribedOf,
    seen: interests.seen,
    unsubscribe: interests.unsubscribe,
    topicsOf: interests.topicsOf,
    isSubscribed: interests.isSubscribed,
    waiting: (clientId) => interests.waiting(clientId),

    ...createReading(redis, ask, keys),

    acknowledge,

    async message(topic, id, now) {
      const row = await redis.one(() => redis.client.get(keys.text(hash(topic), shortId(id))))
      const message = row === null ? undefined : decodeText(row, topic)
      return message && message.id === id && message.expiresAt > now ? message : undefined
    },

    claim: claims.claim,
    release: claims.release,

    async sweep(now, limit) {
      claims.sweep(now)
      const swept = await sweepMessages(now, limit)
      return swept + (await interests.lapse(now, limit - swept))
    },

    onWake: (listener) => wakes.listen(listener),
    ping: () => redis.ping(),

    async [Symbol.asyncDispose]() {
      // The connection belongs to `openRedis`, which closes it.
    },
  }
}

const createAcknowledge = (
  redis: RedisConnection,
  ask: Ask,
  keys: RelayKeys,
  maxMembers: number,
): MailboxStore['acknowledge'] => {
  /** A topic of many subscribers is acknowledged by all of them at about the same time: one call, which names a text once. */
  const acknowledgeTopic = createCallBatcher(
    {
      groupOf: ({ topic }: Receipts) => topic,
      most: MAX_CALL_RECEIPTS,
      weightOf: ({ texts }: Receipts) => texts.length,
    },
    async (receipts) => {
      const positions = new Map<string, number>()
      const args: (string | number)[] = [maxMembers]
      for (const { clientId, texts } of receipts) {
        args.push(clientId, texts.length)
        for (const text of texts) {
          if (text.startsWith('=')) {
            args.push(text)
            continue
          }
          const position = positions.get(text) ?? positions.size + 1
          positions.set(text, position)
          args.push(position)
        }
      }
      const topic = receipts[0]?.topic ?? ''
      await ask(() => redis.script(relayAcknowledge, [keys.topic(topic), ...positions.keys()], args))
      return receipts.map(() => undefined)
    },
  )

  return async (clientId, receipts) => {
    name(clientId)
    const parts: Receipts[] = []
    for (const [topic, own] of groupBy(receipts, (receipt) => hash(receipt.topic))) {
      const texts = [
        ...new Set(own.map(({ id, seq }) => (seq === undefined ? keys.text(topic, shortId(id)) : `=${seq}`))),
      ]
      for (let at = 0; at < texts.length; at += MAX_CALL_RECEIPTS) {
        parts.push({ topic, clientId, texts: texts.slice(at, at + MAX_CALL_RECEIPTS) })
      }
    }
    await Promise.all(parts.map(acknowledgeTopic))
  }
}

/** Removes at most `limit` expired messages, shard by shard; returns how many. */
const createSweep = (redis: RedisConnection, keys: RelayKeys) => {
  let firstShard = 0

  /** Sweeps topics of one shard, at most `limit` messages in all; `isOver` when nothing more is due there. */
  const sweepShard = async (shard: number, now: number, limit: number) => {
    const maxTopics = Math.min(limit, MAX_SWEPT_TOPICS)
    const topics = await redis.one(() =>
      redis.client.zrangebyscore(keys.due(shard), '-inf', now, 'LIMIT', 0, maxTopics),
    )
    if (topics.length === 0) return { swept: 0, isOver: true }
    const each = Math.floor(limit / topics.length)
    const answers = await redis.batch(() =>
      topics.map((topic) => redis.script(relaySweep, [keys.topic(topic)], [now, each])),
    )
    const out = topics.map((topic, at) => {
      const [due, ...pairs] = list(answers[at])
      return { topic, due: text(due), pairs }
    })
    await discardAll(redis, keys, out)
    await redis.one(() =>
      redis.script(relaySwept, [keys.due(shard)], [now, ...out.flatMap(({ topic, due }) => [topic, due])]),
    )
    return { swept: out.reduce((sum, { pairs }) => sum + pairs.length / 2, 0), isOver: false }
  }

  return async (now: number, limit: number): Promise<number> => {
    let swept = 0
    // Processes that sweep at once had better begin in different shards.
    firstShard = (firstShard + 1) % DUE_SHARDS
    for (let step = 0; step < DUE_SHARDS; step++) {
      for (let isOver = false; !isOver && swept < limit; ) {
        const done = await sweepShard((firstShard + step) % DUE_SHARDS, now, limit - swept)
        swept += done.swept
        isOver = done.isOver
      }
    }
    return swept
  }
}
