/** Reads of the port in Redis. */
import type { ReadAnswer, ReadRequest, SetName } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { kvRange } from '../lua/kv/range.ts'
import { list } from '../script.ts'
import { checkKey, keyOf, keysOf, NONE, valueIn } from './rows.ts'

const LEX_ALL = { from: '-', to: '+' }

/** As `ZRANGE … BYLEX` takes them. */
const bound = (sign: '[' | '(', key: Buffer): Buffer => Buffer.concat([Buffer.from(sign), key])

const get = async (redis: RedisConnection, set: SetName, key: Buffer): Promise<Buffer | undefined> => {
  const { client, prefix } = redis
  checkKey(set, key)
  const at = keyOf(prefix, set)
  const { shape } = set.table
  if (shape === 'cell') return (await client.getBuffer(at)) ?? undefined
  if (shape === 'index') return (await client.zscore(at, key)) === null ? undefined : NONE
  return valueIn(set.table, await client.hgetBuffer(at, key))
}

export const answer = async (redis: RedisConnection, request: ReadRequest): Promise<ReadAnswer> => {
  const { set } = request
  if (request.kind === 'get') return { kind: 'get', value: await get(redis, set, request.key) }
  const { from, to } = request.range
  const keys = keysOf(redis.prefix, set)
  const order = keys.at(-1) ?? ''
  const [start, end] = [from ? bound('[', from) : LEX_ALL.from, to ? bound('(', to) : LEX_ALL.to]
  if (request.kind === 'count') {
    const count =
      from || to
        ? await redis.client.zlexcount(order, start, end)
        : await (set.table.shape === 'map' ? redis.client.hlen(order) : redis.client.zcard(order))
    return { kind: 'count', count }
  }
  const args = [start, end, request.limit, request.isReverse ? 1 : 0]
  const [found, values] = list(await redis.scriptBuffer(kvRange, keys, args)).map(list)
  return {
    kind: 'range',
    rows: (found ?? []).flatMap((key, at) => {
      const value = set.table.shape === 'index' ? NONE : values?.[at]
      // Its end came between the two.
      return Buffer.isBuffer(key) && Buffer.isBuffer(value) ? [{ key, value }] : []
    }),
  }
}
