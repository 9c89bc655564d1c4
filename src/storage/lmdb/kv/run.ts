/** Verbs of the port in LMDB: all of a call within one write transaction, where nobody else is. */
import { invariant } from '../../../platform/invariant.ts'
import type { Kv, PlacedVerb, Write } from '../../kv.ts'
import { placeOf, write } from './commit.ts'
import { isOfLine, type PlacedLineWrite, placed, settleInLine, writeInLine } from './line.ts'
import { answer } from './read.ts'
import type { KvState } from './rows.ts'

/** What throws does so before the first write of its verb. */
const runOne = <T>(kv: KvState, { partition, verb }: PlacedVerb<T>, inLines: PlacedLineWrite[]): T => {
  const steps = verb()
  let step = steps.next()
  while (!step.done) step = steps.next(step.value.map((request) => answer(kv, request)))
  const { writes, hints = [], answer: answered } = step.value
  for (const { set } of writes) invariant(set.partition === partition, 'a verb keeps to its partition')
  const all: readonly Write[] = hints.length > 0 ? [...hints, ...writes] : writes
  const places = all.map((one) => (isOfLine(one) ? placed(one) : placeOf(one)))
  for (let nth = 0; nth < all.length; nth++) {
    const [one, place] = [all[nth], places[nth]]
    if (!one || !place) continue
    if (Buffer.isBuffer(place)) write(kv, one, place)
    else {
      writeInLine(kv, place)
      inLines.push(place)
    }
  }
  return answered
}

type Settled<T> = { answer: T } | { error: unknown }

const attempt = <T>(kv: KvState, verb: PlacedVerb<T>, inLines: PlacedLineWrite[]): Settled<T> => {
  try {
    return { answer: runOne(kv, verb, inLines) }
  } catch (error) {
    return { error }
  }
}

interface Waiting {
  verb: PlacedVerb<unknown>
  resolve: (answer: unknown) => void
  reject: (reason: unknown) => void
}

const runAll = async (kv: KvState, all: readonly Waiting[]): Promise<void> => {
  const inLines: PlacedLineWrite[] = []
  let settled: Settled<unknown>[] | undefined
  try {
    settled = await kv.env.transaction(() => all.map(({ verb }) => attempt(kv, verb, inLines)))
  } catch (error) {
    for (const { reject } of all) reject(error)
  }
  for (const one of inLines) settleInLine(kv, one, settled !== undefined)
  if (!settled) return
  for (const [nth, one] of settled.entries()) {
    if ('error' in one) all[nth]?.reject(one.error)
    else all[nth]?.resolve(one.answer)
  }
}

/** What is asked for in one turn is one transaction: that of each of many small verbs costs more than the verb. */
export const createRun = (kv: KvState): Kv['run'] => {
  let waiting: Waiting[] = []
  const runWaiting = () => {
    const all = waiting
    waiting = []
    void runAll(kv, all)
  }
  const runOne = <T>(verb: PlacedVerb<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) process.nextTick(runWaiting)
      // The answer of a verb goes to whom asked for it.
      waiting.push({ verb, resolve: resolve as (answer: unknown) => void, reject })
    })
  return (verbs) => {
    const [first] = verbs
    if (verbs.length === 1 && first) return runOne(first).then((answer) => [answer])
    return Promise.all(verbs.map(runOne))
  }
}
