/** Verbs of the port in Redis: read, decide, commit with the check that what was read is so still. */
import { ProtocolError } from '../../../protocol/errors.ts'
import type { Check, Kv, PlacedVerb, ReadAnswer, ReadRequest, Write } from '../../kv.ts'
import { groupBy } from '../group-by.ts'

/** Of those that meet at one row one succeeds each time, so this many others were faster. */
const MAX_ATTEMPTS = 1_000
/** What a verb throws again and again is thrown. */
const MAX_MISFITS = 10

/** Rows of other partitions cannot be checked, and need not be: they are hints. */
const addChecks = (checks: Check[], partition: string, request: ReadRequest, answer: ReadAnswer): void => {
  const { set } = request
  if (set.partition !== partition) return
  if (answer.kind === 'range')
    for (const { key, value } of answer.rows) checks.push({ kind: 'is', set, key, value })
  if (request.kind === 'lease' && answer.kind === 'lease' && answer.isFree)
    checks.push({ kind: 'free', set, row: request.row, now: request.now })
  if (request.kind !== 'get' || answer.kind !== 'get') return
  const { key } = request
  if (answer.value === undefined) checks.push({ kind: 'absent', set, key })
  else if (set.table.shape === 'index') checks.push({ kind: 'present', set, key })
  else checks.push({ kind: 'is', set, key, value: answer.value })
}

const commitHints = async ({ commit }: Pick<Kv, 'commit'>, hints: readonly Write[], now: number) => {
  const batches = [...groupBy(hints, ({ set }) => set.partition)].map(([partition, writes]) => ({
    partition,
    writes,
  }))
  if (batches.length > 0) await commit(batches, now)
}

/** `error`: what it threw, which may be because rows that were read at different moments do not fit together. */
type Attempt<T> = { answer: T } | { error: unknown } | 'somebody else was faster'

const attempt = async <T>(
  { read, commit }: Pick<Kv, 'read' | 'commit'>,
  { partition, verb }: PlacedVerb<T>,
  now: number,
): Promise<Attempt<T>> => {
  const checks: Check[] = []
  const steps = verb()
  let step = steps.next()
  while (!step.done) {
    const requests = step.value
    const answers = requests.length > 0 ? await read(requests) : []
    for (let nth = 0; nth < requests.length; nth++) {
      const [request, answer] = [requests[nth], answers[nth]]
      if (request && answer) addChecks(checks, partition, request, answer)
    }
    try {
      step = steps.next(answers)
    } catch (error) {
      return { error }
    }
  }
  const { answer, writes, hints = [], isRelief = false } = step.value
  if (hints.length > 0) await commitHints({ commit }, hints, now)
  if (writes.length === 0) return { answer }
  const [outcome] = await commit([{ partition, checks, writes, isRelief }], now)
  return outcome?.isDone ? { answer } : 'somebody else was faster'
}

const runOne = async <T>(
  kv: Pick<Kv, 'read' | 'commit' | 'inTurn'>,
  placed: PlacedVerb<T>,
  now: number,
): Promise<T> => {
  const first = await attempt(kv, placed, now)
  if (typeof first === 'object' && 'answer' in first) return first.answer
  return kv.inTurn(placed.partition, async () => {
    let misfits = 0
    for (let nth = 1; nth < MAX_ATTEMPTS; nth++) {
      const next = await attempt(kv, placed, now)
      if (next === 'somebody else was faster') continue
      if ('answer' in next) return next.answer
      misfits += 1
      if (misfits === MAX_MISFITS) throw next.error
    }
    throw new ProtocolError('unavailable', 'too many changes at once')
  })
}

/** What they read leaves together, as all that is asked for in one turn does, and so do their commits. */
export const createRun =
  (kv: Pick<Kv, 'read' | 'commit' | 'inTurn'>): Kv['run'] =>
  (verbs, now) =>
    Promise.all(verbs.map((one) => runOne(kv, one, now)))
