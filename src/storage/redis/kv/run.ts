/** Verbs of the port in Redis: read, decide, commit with the check that what was read is so still. */
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { Check, Kv, PlacedVerb, ReadAnswer, ReadRequest, SetName, Write } from '../../kv.ts'

/** Of those that meet at one row one succeeds each time, so this many others were faster. */
const MAX_ATTEMPTS = 1_000
/** At least so many rows that were seen last, and twice as many at most. */
const REMEMBERED_ROWS = 4_000

const addChecks = (checks: Check[], { kind, set, ...request }: ReadRequest, answer: ReadAnswer): void => {
  if (answer.kind === 'range')
    for (const { key, value } of answer.rows) checks.push({ kind: 'is', set, key, value })
  if (kind !== 'get' || answer.kind !== 'get' || !('key' in request)) return
  const { key } = request
  if (answer.value === undefined) checks.push({ kind: 'absent', set, key })
  else if (set.table.shape === 'index') checks.push({ kind: 'present', set, key })
  else checks.push({ kind: 'is', set, key, value: answer.value })
}

/** Rows as this process saw or wrote them last; another one may have changed them since. */
const createMemory = () => {
  const rows = createBoundedMap<Buffer>(REMEMBERED_ROWS)
  const nameOf = ({ table, partition, subject }: SetName, key: Buffer): string =>
    `${table.name} ${partition} ${subject} ${key.toString('latin1')}`
  const put = (set: SetName, key: Buffer, value: Buffer | undefined): void => {
    if (!set.table.isRemembered) return
    if (value) rows.put(nameOf(set, key), value)
    else rows.remove(nameOf(set, key))
  }
  return {
    get: ({ kind, set, ...request }: ReadRequest): Buffer | undefined =>
      kind === 'get' && set.table.isRemembered && 'key' in request
        ? rows.get(nameOf(set, request.key))
        : undefined,
    read(request: ReadRequest, answer: ReadAnswer): void {
      if (request.kind === 'get' && answer.kind === 'get') put(request.set, request.key, answer.value)
    },
    /** Before it is known to be done: what follows is sent behind it, and fails with it. */
    write(one: Write): void {
      if (one.kind === 'put') put(one.set, one.key, one.value)
      else if (one.kind === 'remove') put(one.set, one.key, undefined)
    },
    forget(checks: readonly Check[]): void {
      for (const { set, key } of checks) put(set, key, undefined)
    },
    found: ({ set, key }: Check, value: Buffer | undefined): void => put(set, key, value),
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
    if (!isSecond && isUnlikely(request)) return { kind: 'get', value: undefined }
    const value = memory.get(request)
    return value && { kind: 'get', value }
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

const done = async <T>(
  { commit, memory }: Deps,
  {
    partition,
    checks,
    writes,
    isRelief,
  }: { partition: string; checks: Check[]; writes: readonly Write[]; isRelief: boolean },
  answer: T,
  now: number,
): Promise<{ answer: T } | undefined> => {
  for (const one of writes) memory.write(one)
  try {
    const [outcome] = await commit([{ partition, checks, writes, isRelief }], now)
    if (outcome?.isDone) return { answer }
    memory.forget(checks)
    const check = outcome && checks[outcome.failed]
    if (check && outcome.found) memory.found(check, outcome.found)
    return undefined
  } catch (error) {
    memory.forget(checks)
    throw error
  }
}

/** Answers undefined where somebody else was faster. What was guessed and leads to no write is found out by reading. */
const attempt = async <T>(
  deps: Deps,
  { partition, verb }: PlacedVerb<T>,
  now: number,
  trial: Trial = { isFresh: false, isSecond: false },
): Promise<{ answer: T } | undefined> => {
  const checks: Check[] = []
  const hinted: Check[] = []
  const steps = verb()
  let step = steps.next()
  let isSure = true
  while (!step.done) {
    const requests = step.value
    const found = answersTo(deps, requests, trial)
    isSure &&= found.isSure
    // Without a turn between, where it can be: what is written then is seen by who comes next.
    const answers = found.answers instanceof Promise ? await found.answers : found.answers
    for (let nth = 0; nth < requests.length; nth++) {
      const [request, answer] = [requests[nth], answers[nth]]
      if (request && answer) addChecks(isHint(request) ? hinted : checks, request, answer)
    }
    step = steps.next(answers)
  }
  const { answer, writes, isRelief = false } = step.value
  for (const check of hinted) if (writes.some((one) => isOf(one, check))) checks.push(check)
  if (writes.length > 0) return done(deps, { partition, checks, writes, isRelief }, answer, now)
  return isSure ? { answer } : attempt(deps, { partition, verb }, now, { isFresh: true, isSecond: true })
}

const runOne = async <T>(deps: Deps, placed: PlacedVerb<T>, now: number): Promise<T> => {
  const first = await attempt(deps, placed, now)
  if (first) return first.answer
  return deps.inTurn(placed.partition, async () => {
    for (let nth = 1; nth < MAX_ATTEMPTS; nth++) {
      const next = await attempt(deps, placed, now, { isFresh: false, isSecond: true })
      if (next) return next.answer
    }
    throw new ProtocolError('unavailable', 'too many changes at once')
  })
}

/** What they read leaves together, as all that is asked for in one turn does, and so do their commits. */
export const createRun = (kv: Pick<Kv, 'read' | 'commit' | 'inTurn'>): Kv['run'] => {
  const deps = { ...kv, memory: createMemory() }
  return (verbs, now) => Promise.all(verbs.map((one) => runOne(deps, one, now)))
}
