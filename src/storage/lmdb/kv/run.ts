/** Verbs of the port in LMDB: all of a call within one write transaction, where nobody else is. */
import { invariant } from '../../../platform/invariant.ts'
import type { PlacedVerb, Write } from '../../kv.ts'
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

export const run = async <T>(kv: KvState, verbs: readonly PlacedVerb<T>[]): Promise<T[]> => {
  const inLines: LinePlace[] = []
  let isDone = false
  try {
    const all = await kv.env.transaction(() => verbs.map((verb) => attempt(kv, verb, inLines)))
    isDone = true
    return all.map((one) => {
      if ('error' in one) throw one.error
      return one.answer
    })
  } finally {
    for (const { one, place } of inLines) settleInLine(kv, one, place, isDone)
  }
}
