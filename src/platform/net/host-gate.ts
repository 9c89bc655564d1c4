/**
 * Places for calls to hosts that somebody else named: a bulkhead and a breaker for each host.
 *
 * | what                                | bound                                                                     |
 * |-------------------------------------|---------------------------------------------------------------------------|
 * | calls under way                     | `all`, of one host `perHost`, of one owner `perOwner`                      |
 * | of these, older than a second       | up to `slow`, which do not count among `all`: slow hosts hold up no others |
 * | calls that wait for a place         | `waiting` for one host, sixteen times as many in all; owners take turns    |
 * | calls that begin at one host        | `pace`: a burst, then so many a second                                     |
 * | a host that cannot be reached       | left alone after `failures` in a row, for a pause that doubles             |
 * | a host that reaches us but is slow  | the same, for that owner alone: others may have a better path on it        |
 *
 * Guarantees: whoever asks for a place has an answer at the latest when its signal aborts. What is remembered is bounded
 * (`remembered`), and forgotten an hour after the last failure. After a pause one call at a time probes the host.
 */

import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { invariant } from '../invariant.ts'
import type { Clock } from '../runtime/clock.ts'
import { createBreakers } from './breakers.ts'

/** `unreachable`: no connection was made, or its name leads nowhere. `failed`: it was connected and gave no answer. */
export type CallEnd = 'answered' | 'unreachable' | 'failed'

/** The host was not asked: it is left alone, or too many calls wait for it. */
export class HostNotAsked extends ProtocolError {
  /** When it may be asked again, unix ms. */
  readonly until: number
  constructor(code: ErrorCode, detail: string, until: number) {
    super(code, detail)
    this.until = until
  }
}

export interface HostCall {
  /** Without a port. */
  host: string
  /** Who asks: a client id, a project. Owners share the places fairly. */
  owner: string
  signal?: AbortSignal | undefined
}

export interface HostGate {
  /** Resolves with how the place is given back, to be called once. Rejects with `HostNotAsked`. */
  enter(call: HostCall): Promise<(end: CallEnd) => void>
  /** Enters, works, leaves. An error of `work` is a failure of the host, unless `isAnswer` says otherwise. */
  run<T>(call: HostCall, work: () => Promise<T>, isAnswer?: (error: unknown) => boolean): Promise<T>
  /** Until when the host is left alone by this owner, unix ms; 0 when it is not. */
  restsUntil(host: string, owner: string): number
}

export interface HostGateOptions {
  all?: number
  slow?: number
  perHost?: number
  perOwner?: number
  /** Calls that wait for a place at one host. */
  waiting?: number
  /** Failures in a row before the first pause. */
  failures?: number
  firstPauseMs?: number
  longestPauseMs?: number
  /** Calls that begin at one host. Default: as fast as places are free. */
  pace?: { burst: number; perSecond: number }
  /** Hosts and owners of which failures are remembered. */
  remembered?: number
}

const leftAlone = (until: number) => new HostNotAsked('unavailable', 'its host is left alone for now', until)

/** So many times `waiting` calls wait for places in all. */
const WAITING_HOSTS = 16
const SLOW_AFTER_MS = 1_000

interface Waiter {
  call: HostCall
  start: () => void
  refuse: (error: HostNotAsked) => void
}

interface HostState {
  running: number
  /** By owner, each in the order of arrival; the first owner is next. */
  waiting: Map<string, Waiter[]>
  waiters: number
  tokens: number
  refilledAt: number
  timer?: Disposable
}

const openGate = (clock: Clock, options: HostGateOptions) => {
  const {
    all = 256,
    slow: maxSlow = 4 * all,
    perHost = 16,
    perOwner = 16,
    waiting: maxWaiting = 256,
    pace,
  } = options
  const { failures = 5, firstPauseMs = 1_000, longestPauseMs = 300_000, remembered = 10_000 } = options
  return {
    ...{ clock, all, maxSlow, perHost, perOwner, maxWaiting, pace, firstPauseMs },
    ...{ hosts: new Map<string, HostState>(), owners: new Map<string, number>() },
    breakers: createBreakers({ clock }, { failures, firstPauseMs, longestPauseMs, remembered }),
    ...{ running: 0, slow: 0, waiters: 0 },
  }
}
type GateState = ReturnType<typeof openGate>

const own = ({ host, owner }: HostCall) => `${host} ${owner}`

const restsUntil = (gate: GateState, host: string, owner: string): number => {
  const until = Math.max(gate.breakers.until(host), gate.breakers.until(`${host} ${owner}`))
  return until > gate.clock.now() ? until : 0
}

const refill = (gate: GateState, state: HostState) => {
  if (!gate.pace) return
  const now = gate.clock.now()
  const gained = (Math.max(now - state.refilledAt, 0) / 1000) * gate.pace.perSecond
  state.tokens = Math.min(gate.pace.burst, state.tokens + gained)
  state.refilledAt = now
}

const tidy = (gate: GateState, host: string, state: HostState) => {
  if (state.running > 0 || state.waiters > 0) return
  refill(gate, state)
  // A host that spent its burst is remembered until it has it again.
  if (!gate.pace || state.tokens >= gate.pace.burst) gate.hosts.delete(host)
  else later(gate, host, state, ((gate.pace.burst - state.tokens) / gate.pace.perSecond) * 1000)
}

const later = (gate: GateState, host: string, state: HostState, delay: number) => {
  if (state.timer) return
  state.timer = gate.clock.after(Math.max(1, Math.ceil(delay)), () => {
    delete state.timer
    next(gate, host, state)
    tidy(gate, host, state)
  })
}

const canStart = (gate: GateState, { host, owner }: HostCall, state: HostState): boolean => {
  if (
    gate.running >= gate.all ||
    state.running >= gate.perHost ||
    (gate.owners.get(owner) ?? 0) >= gate.perOwner
  )
    return false
  return gate.breakers.allows(host) && gate.breakers.allows(`${host} ${owner}`)
}

const start = (gate: GateState, call: HostCall, state: HostState) => {
  gate.running++
  state.running++
  gate.owners.set(call.owner, (gate.owners.get(call.owner) ?? 0) + 1)
  if (gate.pace) state.tokens -= 1
  gate.breakers.begun(call.host)
  gate.breakers.begun(own(call))
}

/** Starts what may start at the host, an owner after the other; what waits for a host that rests is refused. */
const next = (gate: GateState, host: string, state: HostState) => {
  refill(gate, state)
  for (const [owner, queue] of [...state.waiting]) {
    const first = queue[0]
    if (!first) continue
    const until = restsUntil(gate, host, owner)
    if (until > 0) {
      state.waiting.delete(owner)
      state.waiters -= queue.length
      gate.waiters -= queue.length
      for (const { refuse } of queue) refuse(leftAlone(until))
      continue
    }
    if (gate.pace && state.tokens < 1) {
      later(gate, host, state, ((1 - state.tokens) / gate.pace.perSecond) * 1000)
      return
    }
    if (!canStart(gate, first.call, state)) continue
    // Behind all others, should it have more.
    state.waiting.delete(owner)
    if (queue.length > 1) state.waiting.set(owner, queue.slice(1))
    state.waiters--
    gate.waiters--
    start(gate, first.call, state)
    first.start()
  }
}

const leave = (gate: GateState, call: HostCall, state: HostState, end: CallEnd) => {
  state.running--
  invariant(gate.running >= 0 && state.running >= 0, 'a gate has no fewer than 0 calls under way')
  const held = (gate.owners.get(call.owner) ?? 1) - 1
  if (held > 0) gate.owners.set(call.owner, held)
  else gate.owners.delete(call.owner)
  gate.breakers.released(call.host)
  gate.breakers.released(own(call))
  if (end === 'unreachable') gate.breakers.bad(call.host)
  else gate.breakers.good(call.host)
  if (end === 'failed') gate.breakers.bad(own(call))
  if (end === 'answered') gate.breakers.good(own(call))
  next(gate, call.host, state)
  tidy(gate, call.host, state)
  // A place of the owner may be what another host waits for.
  nextElsewhere(gate)
}

const nextElsewhere = (gate: GateState) => {
  if (gate.waiters === 0) return
  for (const [name, state] of [...gate.hosts]) {
    if (gate.running >= gate.all) return
    if (state.waiters === 0) continue
    // Hosts take turns, too.
    gate.hosts.delete(name)
    gate.hosts.set(name, state)
    next(gate, name, state)
  }
}

const leaving = (gate: GateState, call: HostCall, state: HostState) => {
  let isLeft = false
  let isSlow = false
  const timer = gate.clock.after(SLOW_AFTER_MS, () => {
    if (gate.slow >= gate.maxSlow) return
    isSlow = true
    gate.slow++
    gate.running--
    nextElsewhere(gate)
  })
  return (end: CallEnd) => {
    if (isLeft) return
    isLeft = true
    timer[Symbol.dispose]()
    if (isSlow) gate.slow--
    else gate.running--
    leave(gate, call, state, end)
  }
}

const wait = (gate: GateState, call: HostCall, state: HostState): Promise<(end: CallEnd) => void> =>
  new Promise((resolve, reject) => {
    const { signal, owner, host } = call
    const giveUp = () => {
      const queue = (state.waiting.get(owner) ?? []).filter((one) => one !== waiter)
      if (queue.length > 0) state.waiting.set(owner, queue)
      else state.waiting.delete(owner)
      state.waiters--
      gate.waiters--
      tidy(gate, host, state)
      reject(new HostNotAsked('unavailable', 'its host is busy', gate.clock.now() + gate.firstPauseMs))
    }
    const waiter: Waiter = {
      call,
      start() {
        signal?.removeEventListener('abort', giveUp)
        resolve(leaving(gate, call, state))
      },
      refuse(error) {
        signal?.removeEventListener('abort', giveUp)
        reject(error)
      },
    }
    state.waiting.set(owner, [...(state.waiting.get(owner) ?? []), waiter])
    state.waiters++
    gate.waiters++
    signal?.addEventListener('abort', giveUp, { once: true })
    next(gate, host, state)
  })

const enter = async (gate: GateState, call: HostCall): Promise<(end: CallEnd) => void> => {
  const { host, owner, signal } = call
  const until = restsUntil(gate, host, owner)
  if (until > 0) throw leftAlone(until)
  const state: HostState = gate.hosts.get(host) ?? {
    ...{ running: 0, waiting: new Map(), waiters: 0 },
    ...{ tokens: gate.pace?.burst ?? 0, refilledAt: gate.clock.now() },
  }
  gate.hosts.set(host, state)
  refill(gate, state)
  if (state.waiters === 0 && (!gate.pace || state.tokens >= 1) && canStart(gate, call, state)) {
    start(gate, call, state)
    return leaving(gate, call, state)
  }
  // Of a full queue one owner has at most a half.
  const ownWaiters = state.waiting.get(owner)?.length ?? 0
  const isFull = state.waiters >= gate.maxWaiting || ownWaiters >= gate.maxWaiting / 2
  if (isFull || gate.waiters >= gate.maxWaiting * WAITING_HOSTS || signal?.aborted) {
    tidy(gate, host, state)
    throw new HostNotAsked('unavailable', 'its host is busy', gate.clock.now() + gate.firstPauseMs)
  }
  return wait(gate, call, state)
}

export const createHostGate = ({ clock }: { clock: Clock }, options: HostGateOptions = {}): HostGate => {
  const gate = openGate(clock, options)

  return {
    enter: (call) => enter(gate, call),
    async run(call, work, isAnswer = () => false) {
      const leaveIt = await enter(gate, call)
      let end: CallEnd = 'failed'
      try {
        const answer = await work()
        end = 'answered'
        return answer
      } catch (error) {
        if (isAnswer(error)) end = 'answered'
        throw error
      } finally {
        leaveIt(end)
      }
    },
    restsUntil: (host, owner) => restsUntil(gate, host, owner),
  }
}
