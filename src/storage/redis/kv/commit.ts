/** Commits of the port in Redis: batches as arguments of one script. */
import { invariant } from '../../../platform/invariant.ts'
import { HOUR_MS } from '../../../platform/units.ts'
import { number } from '../../bytes.ts'
import type { Batch, Kv, Outcome, SetName, Shape, Write } from '../../kv.ts'
import { createCallBatcher } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { kvCommit, kvRelieve } from '../lua/kv/commit.ts'
import { list, whole } from '../script.ts'
import { type Arg, checkKey, escapedKey, keysOf, NO_END, NONE, tagOf } from './rows.ts'

/** How much longer than its row a key is kept: for clocks that differ. */
const TTL_MARGIN_MS = HOUR_MS
/** Checks and writes of one script call. */
const MAX_CALL_STEPS = 2_000

const LETTERS: Record<Shape, string> = { cell: 'c', map: 'm', ordered: 'o', index: 'i', queue: 'q' }

const sizeOf = ({ checks = [], writes }: Batch): number => checks.length + writes.length

/** What Redis does although it is full. */
const relieves = ({ isRelief, writes }: Batch): boolean =>
  isRelief || writes.every(({ kind }) => kind === 'remove' || kind === 'clear' || kind === 'delay')

/** Keys of one script call: each of them once. */
const createKeyList = () => {
  const keys: string[] = []
  const places = new Map<string, number>()
  return {
    keys,
    /** The place of the first one, of keys that stand side by side. */
    place(wanted: readonly string[]): number {
      const [first = ''] = wanted
      const known = places.get(first)
      if (known !== undefined) return known
      places.set(first, keys.length)
      keys.push(...wanted)
      return places.get(first) ?? 0
    },
  }
}

const ttlOf = ({ set, ...one }: Write, now: number): Arg => {
  const expiresAt = 'expiresAt' in one ? one.expiresAt : undefined
  const isPlacing = one.kind === 'put' || one.kind === 'create' || one.kind === 'enqueue'
  if (isPlacing && (expiresAt !== undefined) !== set.table.ends)
    throw new Error(`A row of ${set.table.name} has an end where its table has none, or the reverse`)
  return expiresAt === undefined ? '' : Math.max(1, Math.ceil(expiresAt - now)) + TTL_MARGIN_MS
}

const queuedValue = (value: Buffer, expiresAt: number | undefined): Buffer =>
  Buffer.concat([expiresAt === undefined ? NO_END : number(expiresAt), value])

/** A row as scripts name it. */
const rowName = ({ table }: SetName, key: Buffer): Buffer =>
  table.shape === 'ordered' ? escapedKey(key) : key

/** Encodes a batch for `kvCommit`. */
const encode = (
  { prefix, onceName }: { prefix: string; onceName: () => string },
  { partition, checks = [], writes, isOnce = false }: Batch,
  now: number,
) => {
  const list = createKeyList()
  const placeOf = (set: SetName, key: Buffer) => {
    invariant(set.partition === partition, 'a batch keeps to its partition')
    checkKey(set, key)
    return list.place(keysOf(prefix, set))
  }
  const checked = checks.flatMap((check): Arg[] => {
    const { kind, set } = check
    const key = rowName(set, 'key' in check ? check.key : NONE)
    const value = check.kind === 'is' ? check.value : ''
    return [kind, LETTERS[set.table.shape], placeOf(set, key), key, value]
  })
  const written = writes.flatMap((one): Arg[] => {
    const { kind, set } = one
    const key = rowName(set, 'id' in one ? one.id : 'key' in one ? one.key : NONE)
    const value =
      one.kind === 'enqueue'
        ? queuedValue(one.value, one.expiresAt)
        : 'value' in one && one.value
          ? one.value
          : ''
    const due = 'at' in one ? one.at : ''
    return [kind, LETTERS[set.table.shape], placeOf(set, key), key, value, ttlOf(one, now), due]
  })
  const onceAt = isOnce ? list.place([`${prefix}{${tagOf(partition)}}once:${onceName()}`]) + 1 : 0
  return { keys: list.keys, args: [onceAt, checks.length, writes.length, ...checked, ...written] }
}

const ONE = '1'.charCodeAt(0)

const outcomeOf = (answer: unknown): Outcome => {
  if (Buffer.isBuffer(answer)) return { isDone: true, results: [...answer].map((byte) => byte - ONE + 1) }
  const [failed, found] = list(answer)
  return { isDone: false, failed: whole(failed), found: Buffer.isBuffer(found) ? found : undefined }
}

/** A batch as the script takes it: it may fail alone. */
interface EncodedBatch {
  partition: string
  keys: readonly string[]
  args: readonly Arg[]
  relieves: boolean
  /** Checks and writes. */
  steps: number
}

const commitAll = async (redis: RedisConnection, encoded: readonly EncodedBatch[]): Promise<Outcome[]> => {
  const keys: string[] = []
  const args: Arg[] = []
  for (const batch of encoded) {
    // In Lua the first key is 1.
    args.push(keys.length + 1, ...batch.args)
    keys.push(...batch.keys)
  }
  const script = encoded.every((batch) => batch.relieves) ? kvRelieve : kvCommit
  return list(await redis.one(() => redis.scriptBuffer(script, keys, args))).map(outcomeOf)
}

/** Commits batches, with all others of this turn. */
export const createCommits = (redis: RedisConnection, instance: string): Kv['commit'] => {
  let onceNames = 0
  const onceName = () => {
    onceNames += 1
    return `${instance} ${onceNames}`
  }
  const commitOne = createCallBatcher(
    {
      groupOf: ({ partition, relieves }: EncodedBatch) => {
        const kind = relieves ? 'relief' : 'commit'
        return redis.spansSlots ? kind : `${kind} ${partition}`
      },
      most: MAX_CALL_STEPS,
      weightOf: ({ steps }) => steps,
    },
    (encoded) => commitAll(redis, encoded),
  )
  return async (batches, now) => {
    // All of them before the first is sent, and before they meet those of others: what throws here concerns this call alone.
    const encoded = batches.map(
      (batch): EncodedBatch => ({
        ...encode({ prefix: redis.prefix, onceName }, batch, now),
        partition: batch.partition,
        relieves: relieves(batch),
        steps: sizeOf(batch),
      }),
    )
    return Promise.all(encoded.map(commitOne))
  }
}
