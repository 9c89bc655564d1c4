/**
 * Message queues in Redis. What belongs to one queue shares the hash tag `{mq:<domain>/<hashDID>}`.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{mq:…}:m` | hash | message id → id, message, sender, payer and expiresAt as JSON |
 * | `{mq:…}:o` | sorted set | message ids by place |
 * | `{mq:…}:e` | sorted set | message ids by expiresAt |
 * | `{mq:…}:w` | hash | message id → payer |
 * | `{mq:…}:p` | sorted set | payers by how many messages they have |
 * | `{mq:…}:q` | sorted set, all of score 0 | `payer place id`; place has 16 digits |
 * | `{mq:…}:a` | string | until when it is a queue that is read |
 * | `{mq:…}:t:<ticket>` | string | what a take has given, for as long as it may be sent again |
 * | `{mqdue:<0…15>}` | sorted set | queues by when to look for what has expired |
 *
 * The keys of a queue live as long as its last message. A queue is entered among the due ones after its message is
 * written, and whoever takes it out looks once more: so no message is forgotten that others in its queue outlive.
 * Wake-ups go to one of 16 channels: the sender, the domain and the hashDID, with spaces.
 */
import type { MqMessage, MqStore, PlacedMessage, PutLimits, QueueName } from '../../../mq/store.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { mqHead } from '../lua/mq/head.ts'
import { mqPut } from '../lua/mq/put.ts'
import { mqRemove } from '../lua/mq/remove.ts'
import { mqSweep } from '../lua/mq/sweep.ts'
import { mqTake } from '../lua/mq/take.ts'
import { GRACE, name, wakeChannelOf } from '../relay/rows.ts'
import { text, whole } from '../script.ts'

/** In the order of `mq-queue`. */
const PARTS = ['m', 'o', 'e', 'w', 'p', 'q'] as const
const SHARDS = 16
const CHANNELS = Array.from({ length: SHARDS }, (_, at) => `mqwake:${at}`)
/** Longer than a call is sent again, ms. */
const TICKET = 30_000
const UNLIMITED = Number.MAX_SAFE_INTEGER

export const MQ_KEYS = { begin: '{mq:', end: '}:m', attended: '}:a' } as const

const nameOf = ({ domain, hashDID }: QueueName): string => name(`${domain}/${hashDID}`)
export const queueFrom = (named: string): QueueName => {
  const at = named.lastIndexOf('/')
  return { domain: named.slice(0, at), hashDID: named.slice(at + 1) }
}
const shardOf = (queue: string): number => wakeChannelOf(queue) % SHARDS

export const parseRow = (row: string): MqMessage => {
  const { id, message, sender, messageSigned, payer, expiresAt }: MqMessage = JSON.parse(row)
  return {
    ...{ id, message, expiresAt },
    ...(sender !== undefined && { sender }),
    ...(messageSigned && { messageSigned }),
    ...(payer !== undefined && { payer }),
  }
}

export const createRedisMq = (deps: {
  redis: RedisConnection
  channels: Channels
  instance: string
}): MqStore => {
  const { redis, channels, instance } = deps
  const { prefix, client } = redis
  const listeners = new Set<(queue: QueueName) => void>()
  let listening: Disposable | undefined

  const tagOf = (queue: string) => `${prefix}{mq:${queue}}`
  const keysOf = (queue: string) => PARTS.map((part) => `${tagOf(queue)}:${part}`)
  const attendedKey = (queue: string) => `${prefix}${MQ_KEYS.begin}${queue}${MQ_KEYS.attended}`
  const dueOf = (shard: number) => `${prefix}{mqdue:${shard}}`
  const rowOf = (answer: unknown): MqMessage | undefined =>
    answer === null ? undefined : parseRow(text(answer))

  const enter = (queue: string, expiresAt: number) =>
    redis.one(() => client.zadd(dueOf(shardOf(queue)), 'LT', expiresAt, queue))

  const write = async (
    queue: string,
    message: MqMessage,
    { now, most, foothold = 0, place = '' }: PutLimits & { place?: number | string },
  ): Promise<boolean> => {
    const { id, expiresAt } = message
    const keep = Math.max(1, Math.ceil(expiresAt - now)) + GRACE
    const args = [
      id,
      JSON.stringify(message),
      expiresAt,
      now,
      most,
      keep,
      place,
      message.payer ?? '',
      foothold,
    ]
    return whole(await redis.one(() => redis.script(mqPut, keysOf(queue), args))) === 1
  }

  const here = (queue: QueueName) => {
    for (const listener of [...listeners]) listener(queue)
  }

  /** Removes what has expired in a queue that is due; answers how much of it. */
  const sweepQueue = async (shard: number, queue: string, now: number, limit: number): Promise<number> => {
    const swept = whole(await redis.one(() => redis.script(mqSweep, keysOf(queue), [now, limit])))
    await redis.one(() => client.zrem(dueOf(shard), queue))
    const [, next] = await redis.one(() => client.zrange(`${tagOf(queue)}:e`, 0, 0, 'WITHSCORES'))
    if (next !== undefined) await enter(queue, Number(next))
    return swept
  }

  return {
    async put(named, message, limits) {
      const queue = nameOf(named)
      const isKept = await write(queue, message, limits)
      if (!isKept) return false
      here(named)
      const { domain, hashDID } = named
      channels.publish([
        { channel: CHANNELS[shardOf(queue)] ?? '', text: `${instance} ${domain} ${hashDID}` },
      ])
      await enter(queue, message.expiresAt)
      return true
    },

    async head(named, now) {
      return rowOf(await redis.one(() => redis.script(mqHead, keysOf(nameOf(named)), [now])))
    },

    async take(named, { now, ticket, id = '' }) {
      const queue = nameOf(named)
      const keys = [...keysOf(queue), `${tagOf(queue)}:t:${ticket}`]
      return rowOf(await redis.one(() => redis.script(mqTake, keys, [now, id, TICKET])))
    },

    async remove(named, id) {
      return whole(await redis.one(() => redis.script(mqRemove, keysOf(nameOf(named)), [id]))) === 1
    },

    async attend(named, until, now) {
      const ttl = Math.max(1, Math.ceil(until - now)) + GRACE
      await redis.one(() => client.set(attendedKey(nameOf(named)), until, 'PX', ttl))
    },

    async attendedUntil(named, now) {
      const until = Number((await redis.one(() => client.get(attendedKey(nameOf(named))))) ?? 0)
      return until > now ? until : 0
    },

    async restore(placed: readonly PlacedMessage[]) {
      await Promise.all(
        placed.map(async ({ domain, hashDID, place, ...message }) => {
          const queue = nameOf({ domain, hashDID })
          await write(queue, message, { now: Date.now(), most: UNLIMITED, place })
          await enter(queue, message.expiresAt)
        }),
      )
    },

    async sweep(now, limit) {
      let swept = 0
      for (let shard = 0; shard < SHARDS && swept < limit; shard++) {
        const due = await redis.one(() =>
          client.zrangebyscore(dueOf(shard), '-inf', now, 'LIMIT', 0, limit - swept),
        )
        for (const queue of due) {
          if (swept < limit) swept += await sweepQueue(shard, queue, now, limit - swept)
        }
      }
      return swept
    },

    onPut(listener) {
      listeners.add(listener)
      listening ??= channels.listen(CHANNELS, (said) => {
        const [from, domain, hashDID] = said.split(' ')
        if (from !== instance && domain !== undefined && hashDID !== undefined) here({ domain, hashDID })
      })
      return {
        [Symbol.dispose]: () => {
          listeners.delete(listener)
          if (listeners.size > 0) return
          listening?.[Symbol.dispose]()
          listening = undefined
        },
      }
    },
  }
}
