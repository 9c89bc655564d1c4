/** Verbs of the port in LMDB: all of a call within one write transaction, where nobody else is. */
import { invariant } from '../../../platform/invariant.ts'
import type { Kv, PlacedVerb, Write } from '../../kv.ts'
import { placeOf, write } from './commit.ts'
import { type LineWrite, placeInLine, settleInLine, writeInLine } from './line.ts'
import { answer } from './read.ts'
import type { KvState } from './rows.ts'

interface LinePlace {
  one: LineWrite
  place: Buffer
}

const isOfLine = (one: Write): one is LineWrite => one.kind === 'append' || one.kind === 'drop'

/** What throws does so before the first write of its verb. */
const runOne = <T>(kv: KvState, { partition, verb }: PlacedVerb<T>, inLines: LinePlace[]): T => {
  const steps = verb()
  let step = steps.next()
  while (!step.done) step = steps.next(step.value.map((request) => answer(kv, request)))
  const { writes, answer: answered } = step.value
  const places = writes.map((one) => {
    invariant(one.set.partition === partition, 'a verb keeps to its partition')
    return isOfLine(one) ? placeInLine(one) : placeOf(one)
  })
  for (let nth = 0; nth < writes.length; nth++) {
    const [one, place] = [writes[nth], places[nth]]
    if (!one || !place) continue
    if (isOfLine(one)) {
      writeInLine(kv, one, place)
      inLines.push({ one, place })
    } else write(kv, one, place)
  }
  return answered
}

type Settled<T> = { answer: T } | { error: unknown }

const attempt = <T>(kv: KvState, verb: PlacedVerb<T>, inLines: LinePlace[]): Settled<T> => {
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
  const inLines: LinePlace[] = []
  let settled: Settled<unknown>[] | undefined
  try {
    settled = await kv.env.transaction(() => all.map(({ verb }) => attempt(kv, verb, inLines)))
  } catch (error) {
    for (const { reject } of all) reject(error)
  }
  for (const { one, place } of inLines) settleInLine(kv, one, place, settled !== undefined)
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
