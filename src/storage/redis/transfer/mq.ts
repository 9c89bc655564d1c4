/** Message queues as records: queue after queue (SCAN), each in its order. A page that was cut off comes again. */
import type { Readers } from '../../transfer/transfer.ts'
import type { RedisConnection } from '../connection.ts'
import { MQ_KEYS, parseRow, queueFrom } from '../rooms/mq.ts'
import { scanKeys } from '../scan.ts'

/** Messages may have a hundred thousand bytes each. */
const PAGE_SIZE = 50

export const createMqTransfer = (redis: RedisConnection): Pick<Readers, 'mqMessage' | 'mqAttended'> => {
  const { client, prefix } = redis
  const size = async () => undefined

  const mqMessage: Readers['mqMessage'] = {
    async *read({ now, after }) {
      for await (const { keys, from } of scanKeys(
        redis,
        { pattern: `${MQ_KEYS.begin}*${MQ_KEYS.end}` },
        after,
      )) {
        for (const rows of keys) {
          const named = rows.slice(prefix.length + MQ_KEYS.begin.length, -MQ_KEYS.end.length)
          const order = `${rows.slice(0, -1)}o`
          for (let at = 0; ; at += PAGE_SIZE) {
            const flat = await redis.one(() => client.zrange(order, at, at + PAGE_SIZE - 1, 'WITHSCORES'))
            if (flat.length === 0) break
            const ids = flat.filter((_, index) => index % 2 === 0)
            const found = await redis.one(() => client.hmget(rows, ...ids))
            const records = found.flatMap((row, index) => {
              const message = row === null ? undefined : parseRow(row)
              if (!message || message.expiresAt <= now) return []
              return [{ ...queueFrom(named), place: Number(flat[2 * index + 1]), ...message }]
            })
            yield { records, cursor: from }
          }
        }
      }
    },
    size,
  }

  const mqAttended: Readers['mqAttended'] = {
    async *read({ now, after }) {
      const pattern = `${MQ_KEYS.begin}*${MQ_KEYS.attended}`
      for await (const { keys, from } of scanKeys(redis, { pattern }, after)) {
        const untils = await redis.batch(() => keys.map((key) => client.get(key)))
        const records = keys.flatMap((key, at) => {
          const until = Number(untils[at] ?? 0)
          const named = key.slice(prefix.length + MQ_KEYS.begin.length, -MQ_KEYS.attended.length)
          return until > now ? [{ ...queueFrom(named), until }] : []
        })
        yield { records, cursor: from }
      }
    },
    size,
  }
  return { mqMessage, mqAttended }
}
