/** Verbs of the port in Redis: read, decide, commit with the check that what was read is so still. */
import { ProtocolError } from '../../../protocol/errors.ts'
import type {
  Batch,
  Check,
  Kv,
  PlacedVerb,
  ReadAnswer,
  ReadRequest,
  SetName,
  Verb,
  VerbResult,
  Write,
} from '../../kv.ts'

/** Of those that meet at one row one succeeds each time, so this many others were faster. */
const MAX_ATTEMPTS = 1_000
/** What a verb throws again and again is thrown. */
const MAX_MISFITS = 10

const addChecks = (checks: Check[], request: ReadRequest, answer: ReadAnswer): void => {
  const { set } = request
  if (request.kind === 'getAll')
    throw new Error('A verb asks for one row at a time, each of which is checked')
  if (request.kind === 'range' && answer.kind === 'range')
    for (const { key, value } of answer.rows) checks.push({ kind: 'is', set, key, value })
  if (request.kind !== 'get' || answer.kind !== 'get') return
  const { key } = request
  if (answer.value === undefined) checks.push({ kind: 'absent', set, key })
  else if (set.table.shape === 'index') checks.push({ kind: 'present', set, key })
  else checks.push({ kind: 'is', set, key, value: answer.value })
}

/** Stands for a row that is not there. */
const ABSENT = Buffer.alloc(0)

/**
 * Cells as this process saw or wrote them last; another one may have changed them since. They are known by the object that
 * names them, so they are remembered as long as the room keeps that.
 */
const createMemory = () => {
  const cells = new WeakMap<SetName, Buffer>()
  const put = (set: SetName, value: Buffer): void => {
    if (set.table.isRemembered) cells.set(set, value)
  }
  return {
    get: ({ set }: ReadRequest): Buffer | undefined => (set.table.isRemembered ? cells.get(set) : undefined),
    read(request: ReadRequest, answer: ReadAnswer): void {
      if (request.kind === 'get' && answer.kind === 'get') put(request.set, answer.value ?? ABSENT)
    },
    /** Before it is known to be done: what follows is sent behind it, and fails with it. */
    write(one: Write): void {
      if (one.kind === 'put') put(one.set, one.value)
      else if (one.kind === 'remove') put(one.set, ABSENT)
    },
    forget(checks: readonly Check[]): void {
      for (const { set } of checks) cells.delete(set)
    },
    found: ({ set }: Check, value: Buffer | undefined): void => put(set, value ?? ABSENT),
  }
}
type Memory = ReturnType<typeof createMemory>

interface Deps extends Pick<Kv, 'read' | 'commit' | 'inTurn'> {
  memory: Memory
}

const isUnlikely = (request: ReadRequest): boolean => request.kind === 'get' && request.isUnlikely === true

const isHint = (request: ReadRequest): boolean => request.kind === 'get' && request.isHint === true
const isOf = (one: Write, { set, key }: Check): boolean =>
  one.set.table === set.table &&
  one.set.subject === set.subject &&
  (one.kind === 'put' || one.kind === 'remove' || one.kind === 'create') &&
  one.key.equals(key)

/** How a verb is tried: with what is remembered and what is unlikely taken for true, or all of it read. */
interface Trial {
  isFresh: boolean
  isSecond: boolean
}

/** Guesses what can be; reads the others together. `isSure`: nothing was guessed. */
const answersTo = (
  { read, memory }: Deps,
  requests: readonly ReadRequest[],
  { isFresh, isSecond }: Trial,
): { answers: ReadAnswer[] | Promise<ReadAnswer[]>; isSure: boolean } => {
  const guesses = requests.map((request): ReadAnswer | undefined => {
    if (isFresh) return undefined
    const value = memory.get(request)
    if (value) return { kind: 'get', value: value === ABSENT ? undefined : value }
    return !isSecond && isUnlikely(request) ? { kind: 'get', value: undefined } : undefined
  })
  const missing = requests.filter((_, nth) => guesses[nth] === undefined)
  const isSure = missing.length === requests.length
  const merge = (found: readonly ReadAnswer[]): ReadAnswer[] => {
    for (const [nth, answer] of found.entries()) {
      const request = missing[nth]
      if (request) memory.read(request, answer)
    }
    let next = 0
    return guesses.flatMap((guess) => guess ?? found[next++] ?? [])
  }
  return { answers: missing.length === 0 ? merge([]) : read(missing).then(merge), isSure }
}

/** A verb on its way. */
interface Running<T> {
  readonly placed: PlacedVerb<T>
  readonly steps: Verb<T>
  readonly checks: Check[]
  readonly hinted: Check[]
  step: IteratorResult<readonly ReadRequest[], VerbResult<T>>
  isSure: boolean
  /** What it threw: rows that were read at different moments, or guessed, need not fit together. */
  error?: unknown
}

const begin = <T>(placed: PlacedVerb<T>): Running<T> => {
  const steps = placed.verb()
  return { placed, steps, checks: [], hinted: [], step: steps.next(), isSure: true }
}

const goOn = <T>(one: Running<T>, requests: readonly ReadRequest[], answers: readonly ReadAnswer[]): void => {
  for (let nth = 0; nth < requests.length; nth++) {
    const [request, answer] = [requests[nth], answers[nth]]
    if (request && answer) addChecks(isHint(request) ? one.hinted : one.checks, request, answer)
  }
  try {
    one.step = one.steps.next(answers)
  } catch (error) {
    one.error = error
  }
}

/** Runs a verb to its end, or until something must be read. */
const guessOn = <T>(deps: Deps, one: Running<T>, trial: Trial): Promise<void> | undefined => {
  while (!one.step.done && one.error === undefined) {
    const requests = one.step.value
    const { answers, isSure } = answersTo(deps, requests, trial)
    one.isSure &&= isSure
    if (answers instanceof Promise)
      return answers.then((found) => {
        goOn(one, requests, found)
        return guessOn(deps, one, trial)
      })
    goOn(one, requests, answers)
  }
  return undefined
}

/** What is committed: remembered before it is known to be done, so that what follows is sent behind it, and fails with it. */
const batchOf = <T>({ memory }: Deps, one: Running<T>): Batch | undefined => {
  if (!one.step.done || one.error !== undefined) return undefined
  const { writes, isRelief = false } = one.step.value
  if (writes.length === 0) return undefined
  const written = one.hinted.filter((check) => writes.some((write) => isOf(write, check)))
  one.checks.push(...written)
  for (const write of writes) memory.write(write)
  return { partition: one.placed.partition, checks: one.checks, writes, isRelief }
}

/** Commits them together; answers which are done. */
const commitAll = async <T>(
  { commit, memory }: Deps,
  waiting: readonly { one: Running<T>; batch: Batch }[],
  now: number,
): Promise<boolean[]> => {
  try {
    const outcomes = await commit(
      waiting.map(({ batch }) => batch),
      now,
    )
    return waiting.map(({ one: { checks } }, nth) => {
      const outcome = outcomes[nth]
      if (outcome?.isDone) return true
      memory.forget(checks)
      const check = outcome && checks[outcome.failed]
      if (check && outcome.found) memory.found(check, outcome.found)
      return false
    })
  } catch (error) {
    for (const { one } of waiting) memory.forget(one.checks)
    throw error
  }
}

interface Tried<T> {
  placed: PlacedVerb<T>
  /** Absent where somebody else was faster, or where what was guessed led to no write. */
  found?: { answer: T }
  error?: unknown
}

/** Tries verbs, each of them once: those that need nothing first, and in their order, so that each sees what those before it wrote. */
const tryAll = async <T>(
  deps: Deps,
  verbs: readonly PlacedVerb<T>[],
  now: number,
  trial: Trial,
): Promise<Tried<T>[]> => {
  const running: Running<T>[] = []
  const reading: { one: Running<T>; done: Promise<void> }[] = []
  const batches = new Map<Running<T>, Batch>()
  const settle = (one: Running<T>): void => {
    const batch = batchOf(deps, one)
    if (batch) batches.set(one, batch)
  }
  for (const placed of verbs) {
    const one = begin(placed)
    running.push(one)
    const done = guessOn(deps, one, trial)
    if (done) reading.push({ one, done })
    else settle(one)
  }
  const first = [...batches].map(([one, batch]) => ({ one, batch }))
  const committing = first.length > 0 ? commitAll(deps, first, now) : Promise.resolve([])
  committing.catch(() => {})
  await Promise.all(reading.map(({ done }) => done))
  for (const { one } of reading) settle(one)
  const second = reading.flatMap(({ one }) => {
    const batch = batches.get(one)
    return batch ? [{ one, batch }] : []
  })
  const rest = second.length > 0 ? await commitAll(deps, second, now) : []
  const done = new Map<Running<T>, boolean>()
  for (const [nth, isDone] of (await committing).entries()) if (first[nth]) done.set(first[nth].one, isDone)
  for (const [nth, isDone] of rest.entries()) if (second[nth]) done.set(second[nth].one, isDone)
  return running.map((one) => {
    const { placed, step, error } = one
    if (error !== undefined) return { placed, error }
    const isDone = done.get(one) ?? one.isSure
    return isDone && step.done ? { placed, found: { answer: step.value.answer } } : { placed }
  })
}

const again = async <T>(deps: Deps, placed: PlacedVerb<T>, now: number): Promise<T> =>
  deps.inTurn(placed.partition, async () => {
    for (let nth = 1; nth < MAX_ATTEMPTS; nth++) {
      // First with what the commit found instead, then with nothing that is guessed.
      const [next] = await tryAll(deps, [placed], now, { isFresh: nth % 2 === 0, isSecond: true })
      if (next?.found) return next.found.answer
      if (next?.error !== undefined && nth > MAX_MISFITS) throw next.error
    }
    throw new ProtocolError('unavailable', 'too many changes at once')
  })

/** What they read leaves together, as all that is asked for in one turn does, and so do their commits. */
export const createRun = (kv: Pick<Kv, 'read' | 'commit' | 'inTurn'>): Kv['run'] => {
  const deps = { ...kv, memory: createMemory() }
  return async <T>(verbs: readonly PlacedVerb<T>[], now: number): Promise<T[]> => {
    const tried = await tryAll(deps, verbs, now, { isFresh: false, isSecond: false })
    const late = tried.filter(({ found }) => !found)
    if (late.length === 0) return tried.flatMap(({ found }) => (found ? [found.answer] : []))
    // Once more together, with what their commits found; whoever is late again goes on in turn.
    const second = await tryAll(
      deps,
      late.map(({ placed }) => placed),
      now,
      { isFresh: false, isSecond: true },
    )
    const answers = new Map<PlacedVerb<T>, Promise<T> | T>()
    for (const { placed, found } of [...tried, ...second]) if (found) answers.set(placed, found.answer)
    for (const { placed, found } of second) if (!found) answers.set(placed, again(deps, placed, now))
    // Each of them has an answer, which may be undefined.
    return Promise.all(verbs.map((placed) => answers.get(placed) as Promise<T> | T))
  }
}
