/** Reads of the port in Redis. */
import type { ReadAnswer, ReadRequest, SetName } from '../../kv.ts'
import type { RedisConnection } from '../connection.ts'
import { checkKey, escapedKey, KEY_END, keyOf, keysOf, NONE, rowOfMember, valueIn } from './rows.ts'

/** As `ZRANGE … BYLEX` takes them. */
const bound = ({ table }: SetName, sign: '[' | '(', key: Buffer): Buffer =>
  Buffer.concat([Buffer.from(sign), table.shape === 'ordered' ? escapedKey(key) : key])

const get = async ({ client, prefix }: RedisConnection, set: SetName, key: Buffer) => {
  checkKey(set, key)
  const at = keyOf(prefix, set)
  const { shape } = set.table
  if (shape === 'cell') return (await client.getBuffer(at)) ?? undefined
  if (shape === 'index') return (await client.zscore(at, key)) === null ? undefined : NONE
  if (shape !== 'ordered') return valueIn(set.table, await client.hgetBuffer(at, key))
  const start = Buffer.concat([bound(set, '[', key), KEY_END])
  const end = Buffer.concat([bound(set, '(', key), BEHIND_KEY_END])
  const [member] = await client.zrangebylexBuffer(at, start, end, 'LIMIT', 0, 1)
  return member && rowOfMember(member).value
}
const BEHIND_KEY_END = Buffer.from([0, 2])

export const answer = async (redis: RedisConnection, request: ReadRequest): Promise<ReadAnswer> => {
  const { client, prefix } = redis
  const { set } = request
  if (request.kind === 'get') return { kind: 'get', value: await get(redis, set, request.key) }
  const { from, to } = request.range
  const at = keysOf(prefix, set).at(-1) ?? ''
  const [start, end] = [from ? bound(set, '[', from) : '-', to ? bound(set, '(', to) : '+']
  if (request.kind === 'count') {
    if (from || to) return { kind: 'count', count: await client.zlexcount(at, start, end) }
    return { kind: 'count', count: await (set.table.shape === 'map' ? client.hlen(at) : client.zcard(at)) }
  }
  const found = await (request.isReverse
    ? client.zrevrangebylexBuffer(at, end, start, 'LIMIT', 0, request.limit)
    : client.zrangebylexBuffer(at, start, end, 'LIMIT', 0, request.limit))
  const isIndex = set.table.shape === 'index'
  return {
    kind: 'range',
    rows: found.map((member) => (isIndex ? { key: member, value: NONE } : rowOfMember(member))),
  }
}
