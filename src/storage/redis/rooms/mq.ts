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
 * written, and the sweep that removes it looks once more: so no message is forgotten that others in its queue outlive.
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
import { KEY_GRACE_MS, name, wakeChannelOf } from '../relay/rows.ts'
import { text, whole } from '../script.ts'

/** In the order of `mq-queue`. */
const QUEUE_PARTS = ['m', 'o', 'e', 'w', 'p', 'q'] as const
const SHARDS = 16
const CHANNELS = Array.from({ length: SHARDS }, (_, at) => `mqwake:${at}`)
/** Longer than a call is sent again, ms. */
const TICKET_TTL_MS = 30_000
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

interface MqDeps {
  redis: RedisConnection
  channels: Channels
  /** This process, in wake-ups. */
  instance: string
}

interface MqState extends MqDeps {
  listeners: Set<(queue: QueueName) => void>
  subscription: Disposable | undefined
}

const tagOf = (mq: MqState, queue: string) => `${mq.redis.prefix}{mq:${queue}}`

const keysOf = (mq: MqState, queue: string) => QUEUE_PARTS.map((part) => `${tagOf(mq, queue)}:${part}`)

const attendedKey = (mq: MqState, queue: string) =>
  `${mq.redis.prefix}${MQ_KEYS.begin}${queue}${MQ_KEYS.attended}`

const dueOf = (mq: MqState, shard: number) => `${mq.redis.prefix}{mqdue:${shard}}`

const rowOf = (answer: unknown): MqMessage | undefined =>
  answer === null ? undefined : parseRow(text(answer))

const enter = (mq: MqState, queue: string, expiresAt: number) =>
  mq.redis.one(() => mq.redis.client.zadd(dueOf(mq, shardOf(queue)), 'LT', expiresAt, queue))

const write = async (
  mq: MqState,
  queue: string,
  message: MqMessage,
  { now, most, foothold = 0, place = '' }: PutLimits & { place?: number | string },
): Promise<boolean> => {
  const { id, expiresAt } = message
  const keep = Math.max(1, Math.ceil(expiresAt - now)) + KEY_GRACE_MS
  const args = [id, JSON.stringify(message), expiresAt, now, most, keep, place, message.payer ?? '', foothold]
  return whole(await mq.redis.one(() => mq.redis.script(mqPut, keysOf(mq, queue), args))) === 1
}

const notifyListeners = (mq: MqState, queue: QueueName) => {
  for (const listener of [...mq.listeners]) listener(queue)
}

/** Removes what has expired in a queue that is due; returns how much of it. */
const sweepQueue = async (
  mq: MqState,
  shard: number,
  queue: string,
  now: number,
  limit: number,
): Promise<number> => {
  const swept = whole(await mq.redis.one(() => mq.redis.script(mqSweep, keysOf(mq, queue), [now, limit])))
  await mq.redis.one(() => mq.redis.client.zrem(dueOf(mq, shard), queue))
  const [, next] = await mq.redis.one(() =>
    mq.redis.client.zrange(`${tagOf(mq, queue)}:e`, 0, 0, 'WITHSCORES'),
  )
  if (next !== undefined) await enter(mq, queue, Number(next))
  return swept
}

const messageVerbs = (mq: MqState): Pick<MqStore, 'put' | 'head' | 'take' | 'remove' | 'restore'> => ({
  async put(named, message, limits) {
    const queue = nameOf(named)
    const isKept = await write(mq, queue, message, limits)
    if (!isKept) return false
    notifyListeners(mq, named)
    const { domain, hashDID } = named
    mq.channels.publish([
      { channel: CHANNELS[shardOf(queue)] ?? '', text: `${mq.instance} ${domain} ${hashDID}` },
    ])
    await enter(mq, queue, message.expiresAt)
    return true
  },

  async head(named, now) {
    return rowOf(await mq.redis.one(() => mq.redis.script(mqHead, keysOf(mq, nameOf(named)), [now])))
  },

  async take(named, { now, ticket, id = '' }) {
    const queue = nameOf(named)
    const keys = [...keysOf(mq, queue), `${tagOf(mq, queue)}:t:${ticket}`]
    return rowOf(await mq.redis.one(() => mq.redis.script(mqTake, keys, [now, id, TICKET_TTL_MS])))
  },

  async remove(named, id) {
    return whole(await mq.redis.one(() => mq.redis.script(mqRemove, keysOf(mq, nameOf(named)), [id]))) === 1
  },

  async restore(placed: readonly PlacedMessage[]) {
    await Promise.all(
      placed.map(async ({ domain, hashDID, place, ...message }) => {
        const queue = nameOf({ domain, hashDID })
        await write(mq, queue, message, { now: Date.now(), most: UNLIMITED, place })
        await enter(mq, queue, message.expiresAt)
      }),
    )
  },
})

const attendanceVerbs = (mq: MqState): Pick<MqStore, 'attend' | 'attendedUntil'> => ({
  async attend(named, until, now) {
    const ttl = Math.max(1, Math.ceil(until - now)) + KEY_GRACE_MS
    await mq.redis.one(() => mq.redis.client.set(attendedKey(mq, nameOf(named)), until, 'PX', ttl))
  },

  async attendedUntil(named, now) {
    const until = Number((await mq.redis.one(() => mq.redis.client.get(attendedKey(mq, nameOf(named))))) ?? 0)
    return until > now ? until : 0
  },
})

const sweepVerbs = (mq: MqState): Pick<MqStore, 'sweep'> => ({
  async sweep(now, limit) {
    let swept = 0
    for (let shard = 0; shard < SHARDS && swept < limit; shard++) {
      const due = await mq.redis.one(() =>
        mq.redis.client.zrangebyscore(dueOf(mq, shard), '-inf', now, 'LIMIT', 0, limit - swept),
      )
      for (const queue of due) {
        if (swept < limit) swept += await sweepQueue(mq, shard, queue, now, limit - swept)
      }
    }
    return swept
  },
})

const listenerVerbs = (mq: MqState): Pick<MqStore, 'onPut'> => ({
  onPut(listener) {
    mq.listeners.add(listener)
    mq.subscription ??= mq.channels.listen(CHANNELS, (said) => {
      const [from, domain, hashDID] = said.split(' ')
      if (from !== mq.instance && domain !== undefined && hashDID !== undefined)
        notifyListeners(mq, { domain, hashDID })
    })
    return {
      [Symbol.dispose]: () => {
        mq.listeners.delete(listener)
        if (mq.listeners.size > 0) return
        mq.subscription?.[Symbol.dispose]()
        mq.subscription = undefined
      },
    }
  },
})

export const createRedisMq = (deps: MqDeps): MqStore => {
  const mq: MqState = { ...deps, listeners: new Set(), subscription: undefined }

  return {
    ...messageVerbs(mq),
    ...attendanceVerbs(mq),
    ...sweepVerbs(mq),
    ...listenerVerbs(mq),
  }
}
