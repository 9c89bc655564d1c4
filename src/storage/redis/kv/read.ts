/** Reads of the port in Redis: rows that are asked for in one turn leave as few commands. */
import type { ReadAnswer, ReadRequest, SetName } from '../../kv.ts'
import { type Ask, createAsk, createCallBatcher } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { isFreeAt, memberOf } from './line.ts'
import { checkKey, escapedKey, KEY_END, keyOf, keysOf, NONE, rowOfMember, valueIn } from './rows.ts'

/** Of one command. */
const MAX_ROWS = 500

/** As `ZRANGE … BYLEX` takes them. */
const bound = ({ table }: SetName, sign: '[' | '(', key: Buffer): Buffer =>
  Buffer.concat([Buffer.from(sign), table.shape === 'ordered' ? escapedKey(key) : key])
const BEHIND_KEY_END = Buffer.from([0, 2])

/** Rows that one command gets: of one set, or of all cells where slots do not count. */
interface Rows {
  kind: 'cell' | 'index' | 'hash'
  /** Of cells each has its own. */
  at: string[]
  keys: Buffer[]
  /** Where they are in their call. */
  nths: number[]
}

const NO_ROWS: Rows = { kind: 'cell', at: [], keys: [], nths: [] }

type Range = Extract<ReadRequest, { kind: 'range' | 'count' }>

const rowsIn = async (
  { client }: RedisConnection,
  groups: readonly Rows[],
): Promise<readonly (Buffer | null)[]> => {
  const [
    {
      kind,
      at: [first = ''],
    } = NO_ROWS,
  ] = groups
  if (kind === 'cell') return client.mgetBuffer(groups.flatMap(({ at }) => at))
  const keys = groups.flatMap((group) => group.keys)
  if (kind === 'hash') return client.hmgetBuffer(first, ...keys)
  const scores = await client.zmscore(first, ...keys)
  return scores.map((score) => (score === null ? null : NONE))
}

/** Reads rows, with all others of this turn that the same command can get. */
const createRowReader = (
  redis: RedisConnection,
  ask: Ask,
): ((group: Rows) => Promise<readonly (Buffer | null)[]>) =>
  createCallBatcher(
    {
      groupOf: ({ kind, at: [first = ''] }) => (kind === 'cell' && redis.spansSlots ? '' : first),
      most: MAX_ROWS,
      weightOf: ({ keys }) => keys.length,
    },
    async (groups) => {
      const found = await ask(() => rowsIn(redis, groups))
      let end = 0
      return groups.map(({ keys }) => {
        end += keys.length
        return found.slice(end - keys.length, end)
      })
    },
  )

const orderedRow = async ({ client, prefix }: RedisConnection, set: SetName, key: Buffer) => {
  const start = Buffer.concat([bound(set, '[', key), KEY_END])
  const end = Buffer.concat([bound(set, '(', key), BEHIND_KEY_END])
  const [member] = await client.zrangebylexBuffer(keyOf(prefix, set), start, end, 'LIMIT', 0, 1)
  return member && rowOfMember(member).value
}

const leaseOf = async (
  { client, prefix }: RedisConnection,
  { set, row, now }: Extract<ReadRequest, { kind: 'lease' }>,
): Promise<ReadAnswer> => {
  const score = await client.zscore(keyOf(prefix, set), memberOf(row))
  return { kind: 'lease', isFree: score !== null && isFreeAt(Number(score), now) }
}

const rangeOf = async ({ client, prefix }: RedisConnection, request: Range): Promise<ReadAnswer> => {
  const { set } = request
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

/** Divides the rows of a call by the commands that get them; what is asked for otherwise is looked at and left out. */
const rowsOf = (redis: RedisConnection, requests: readonly ReadRequest[]): Rows[] => {
  const groups = new Map<string, Rows>()
  for (const [nth, request] of requests.entries()) {
    const { shape } = request.set.table
    if (request.kind === 'get') checkKey(request.set, request.key)
    if (request.kind !== 'get' || shape === 'ordered') continue
    const at = keyOf(redis.prefix, request.set)
    const name = shape === 'cell' && redis.spansSlots ? '' : at
    const known = groups.get(name)
    const kind = shape === 'cell' || shape === 'index' ? shape : 'hash'
    const group = known ?? { kind, at: [], keys: [], nths: [] }
    if (!known) groups.set(name, group)
    group.at.push(at)
    group.keys.push(request.key)
    group.nths.push(nth)
  }
  return [...groups.values()]
}

export const createReads = (
  redis: RedisConnection,
): ((requests: readonly ReadRequest[]) => Promise<ReadAnswer[]>) => {
  const ask = createAsk(redis)
  const rowsAt = createRowReader(redis, ask)
  return async (requests) => {
    const answers: ReadAnswer[] = []
    const work: Promise<unknown>[] = []
    const read = async (rows: Rows) => {
      const found = await rowsAt(rows)
      for (const [at, nth] of rows.nths.entries()) {
        const request = requests[nth]
        if (request) answers[nth] = { kind: 'get', value: valueIn(request.set.table, found[at] ?? null) }
      }
    }
    const readOther = async (request: ReadRequest, nth: number) => {
      if (request.kind === 'lease') answers[nth] = await ask(() => leaseOf(redis, request))
      else if (request.kind !== 'get') answers[nth] = await ask(() => rangeOf(redis, request))
      else answers[nth] = { kind: 'get', value: await ask(() => orderedRow(redis, request.set, request.key)) }
    }
    // All are looked at before the first is sent: what throws here concerns this call alone.
    const groups = rowsOf(redis, requests)
    for (const [nth, request] of requests.entries()) {
      const { kind, set } = request
      if (kind !== 'get' || set.table.shape === 'ordered') work.push(readOther(request, nth))
    }
    for (const group of groups) work.push(read(group))
    await Promise.all(work)
    return answers
  }
}
