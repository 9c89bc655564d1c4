/** Commits of the port in Redis: batches as one argument of one script. */
import { invariant } from '../../../platform/invariant.ts'
import type { Batch, Kv, Outcome, Write } from '../../kv.ts'
import { createCallBatcher } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { kvCommit, kvRelieve } from '../lua/kv/commit.ts'
import { list, whole } from '../script.ts'
import { type EncodedBatch, encodeBatch, packBatch } from './encode.ts'
import { Packing } from './packing.ts'

/** Checks and writes of one script call: while Redis does the first ones, this process makes the next. */
const MAX_CALL_STEPS = 80

const CALL_OVERHEAD_BYTES = 64

const sizeOf = ({ checks = [], writes }: Batch): number => checks.length + writes.length

const RELIEVING: ReadonlySet<Write['kind']> = new Set(['remove', 'clear', 'delay', 'drop', 'replace'])
/** What Redis does although it is full. */
const relieves = ({ isRelief, writes }: Batch): boolean =>
  isRelief || writes.every(({ kind }) => RELIEVING.has(kind))

const ZERO = '0'.charCodeAt(0)

/** These are always done. */
const SURE: ReadonlySet<Write['kind']> = new Set(['put', 'append', 'drop', 'replace'])
/** The script answers what was done by all other writes. */
const resultsOf = ({ writes }: Batch, digits: Buffer): number[] => {
  if (digits.length === 0) return new Array(writes.length).fill(1)
  let next = 0
  return writes.map(({ kind }) => (SURE.has(kind) ? 1 : (digits[next++] ?? ZERO) - ZERO))
}

/** Of the checks that did not hold the first one in the batch: the script has them in another order. */
const failureOf = ({ checks }: EncodedBatch, failures: readonly unknown[]): Outcome => {
  const nths = checks.flatMap((group) => group.nths)
  let failed = Number.POSITIVE_INFINITY
  let found: unknown
  for (let at = 0; at < failures.length; at += 2) {
    const nth = nths[whole(failures[at])] ?? failed
    if (nth >= failed) continue
    failed = nth
    found = failures[at + 1]
  }
  invariant(Number.isFinite(failed), 'a check that does not hold is one of the batch')
  return { isDone: false, failed, found: Buffer.isBuffer(found) ? found : undefined }
}

const outcomeOf = ({ batch, encoded }: WaitingBatch, answer: unknown): Outcome =>
  Buffer.isBuffer(answer)
    ? { isDone: true, results: resultsOf(batch, answer) }
    : failureOf(encoded, list(answer))

/** A batch that waits for its call. It may fail alone. */
interface WaitingBatch {
  batch: Batch
  encoded: EncodedBatch
  relieves: boolean
}

const commitAll = async (redis: RedisConnection, waiting: readonly WaitingBatch[]): Promise<Outcome[]> => {
  const keys: string[] = []
  const into = new Packing(waiting.reduce((sum, { encoded }) => sum + encoded.bytes, CALL_OVERHEAD_BYTES))
  into.list(2 * waiting.length)
  for (const { encoded } of waiting) {
    // In Lua the first key is 1.
    into.whole(keys.length + 1)
    packBatch(into, encoded)
    for (const key of encoded.keys) keys.push(key)
  }
  const script = waiting.every((one) => one.relieves) ? kvRelieve : kvCommit
  const answers = list(await redis.one(() => redis.scriptBuffer(script, keys, [into.packed])))
  return waiting.map((one, at) => outcomeOf(one, answers[at]))
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
      groupOf: ({ batch, relieves }: WaitingBatch) => {
        const kind = relieves ? 'relief' : 'commit'
        return redis.spansSlots ? kind : `${kind} ${batch.partition}`
      },
      most: MAX_CALL_STEPS,
      weightOf: ({ batch }) => sizeOf(batch),
    },
    (waiting) => commitAll(redis, waiting),
  )
  return async (batches, now) => {
    // All of them before the first is sent, and before they meet those of others: what throws here concerns this call alone.
    const waiting = batches.map(
      (batch): WaitingBatch => ({
        batch,
        encoded: encodeBatch({ prefix: redis.prefix, onceName }, batch, now),
        relieves: relieves(batch),
      }),
    )
    return Promise.all(waiting.map(commitOne))
  }
}
