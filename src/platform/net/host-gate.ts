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
import type { Clock } from '../runtime/clock.ts'

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

const FORGOTTEN_AFTER_MS = 3_600_000
const ALL_WAITING = 16
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

/** Failures in a row, and what follows from them. */
const createBreakers = (clock: Clock, failures: number, first: number, longest: number, most: number) => {
  const known = new Map<string, { inRow: number; at: number; until: number; isProbed: boolean }>()
  return {
    until: (name: string) => known.get(name)?.until ?? 0,
    /** Whether a call may begin: one at a time, once there was a pause. */
    allows(name: string): boolean {
      const state = known.get(name)
      if (!state || state.until === 0) return true
      return state.until <= clock.now() && !state.isProbed
    },
    begun(name: string) {
      const state = known.get(name)
      if (state && state.until > 0) state.isProbed = true
    },
    good: (name: string) => void known.delete(name),
    released(name: string) {
      const state = known.get(name)
      if (state) state.isProbed = false
    },
    bad(name: string) {
      const now = clock.now()
      const before = known.get(name)
      const inRow = before && before.at > now - FORGOTTEN_AFTER_MS ? before.inRow + 1 : 1
      const pause = Math.min(first * 2 ** Math.min(inRow - failures, 20), longest)
      // The newest stand last, so the ones that are forgotten first are the oldest.
      known.delete(name)
      known.set(name, { inRow, at: now, until: inRow >= failures ? now + pause : 0, isProbed: false })
      for (const oldest of known.keys()) {
        if (known.size <= most) break
        known.delete(oldest)
      }
    },
  }
}

export const createHostGate = ({ clock }: { clock: Clock }, options: HostGateOptions = {}): HostGate => {
  const {
    all = 256,
    slow: mostSlow = 4 * all,
    perHost = 16,
    perOwner = 16,
    waiting: mostWaiting = 256,
    pace,
  } = options
  const { failures = 5, firstPauseMs = 1_000, longestPauseMs = 300_000, remembered = 10_000 } = options
  const hosts = new Map<string, HostState>()
  const owners = new Map<string, number>()
  const breakers = createBreakers(clock, failures, firstPauseMs, longestPauseMs, remembered)
  let running = 0
  let slow = 0
  let waiters = 0

  const own = ({ host, owner }: HostCall) => `${host} ${owner}`

  const restsUntil = (host: string, owner: string): number => {
    const until = Math.max(breakers.until(host), breakers.until(`${host} ${owner}`))
    return until > clock.now() ? until : 0
  }

  const refill = (state: HostState) => {
    if (!pace) return
    const now = clock.now()
    const gained = (Math.max(now - state.refilledAt, 0) / 1000) * pace.perSecond
    state.tokens = Math.min(pace.burst, state.tokens + gained)
    state.refilledAt = now
  }

  const tidy = (host: string, state: HostState) => {
    if (state.running > 0 || state.waiters > 0) return
    refill(state)
    // A host that spent its burst is remembered until it has it again.
    if (!pace || state.tokens >= pace.burst) hosts.delete(host)
    else later(host, state, ((pace.burst - state.tokens) / pace.perSecond) * 1000)
  }

  const later = (host: string, state: HostState, delay: number) => {
    if (state.timer) return
    state.timer = clock.after(Math.max(1, Math.ceil(delay)), () => {
      delete state.timer
      next(host, state)
      tidy(host, state)
    })
  }

  const canStart = ({ host, owner }: HostCall, state: HostState): boolean => {
    if (running >= all || state.running >= perHost || (owners.get(owner) ?? 0) >= perOwner) return false
    return breakers.allows(host) && breakers.allows(`${host} ${owner}`)
  }

  const start = (call: HostCall, state: HostState) => {
    running++
    state.running++
    owners.set(call.owner, (owners.get(call.owner) ?? 0) + 1)
    if (pace) state.tokens -= 1
    breakers.begun(call.host)
    breakers.begun(own(call))
  }

  /** Starts what may start at the host, an owner after the other; what waits for a host that rests is refused. */
  const next = (host: string, state: HostState) => {
    refill(state)
    for (const [owner, queue] of [...state.waiting]) {
      const first = queue[0]
      if (!first) continue
      const until = restsUntil(host, owner)
      if (until > 0) {
        state.waiting.delete(owner)
        state.waiters -= queue.length
        waiters -= queue.length
        for (const { refuse } of queue) refuse(leftAlone(until))
        continue
      }
      if (pace && state.tokens < 1) {
        later(host, state, ((1 - state.tokens) / pace.perSecond) * 1000)
        return
      }
      if (!canStart(first.call, state)) continue
      // Behind all others, should it have more.
      state.waiting.delete(owner)
      if (queue.length > 1) state.waiting.set(owner, queue.slice(1))
      state.waiters--
      waiters--
      start(first.call, state)
      first.start()
    }
  }

  const leave = (call: HostCall, state: HostState, end: CallEnd) => {
    state.running--
    const held = (owners.get(call.owner) ?? 1) - 1
    if (held > 0) owners.set(call.owner, held)
    else owners.delete(call.owner)
    breakers.released(call.host)
    breakers.released(own(call))
    if (end === 'unreachable') breakers.bad(call.host)
    else breakers.good(call.host)
    if (end === 'failed') breakers.bad(own(call))
    if (end === 'answered') breakers.good(own(call))
    next(call.host, state)
    tidy(call.host, state)
    // A place of the owner may be what another host waits for.
    nextElsewhere()
  }

  const nextElsewhere = () => {
    if (waiters === 0) return
    for (const [name, state] of [...hosts]) {
      if (running >= all) return
      if (state.waiters === 0) continue
      // Hosts take turns, too.
      hosts.delete(name)
      hosts.set(name, state)
      next(name, state)
    }
  }

  const leaving = (call: HostCall, state: HostState) => {
    let isLeft = false
    let isSlow = false
    const timer = clock.after(SLOW_AFTER_MS, () => {
      if (slow >= mostSlow) return
      isSlow = true
      slow++
      running--
      nextElsewhere()
    })
    return (end: CallEnd) => {
      if (isLeft) return
      isLeft = true
      timer[Symbol.dispose]()
      if (isSlow) slow--
      else running--
      leave(call, state, end)
    }
  }

  const wait = (call: HostCall, state: HostState): Promise<(end: CallEnd) => void> =>
    new Promise((resolve, reject) => {
      const { signal, owner, host } = call
      const giveUp = () => {
        const queue = (state.waiting.get(owner) ?? []).filter((one) => one !== waiter)
        if (queue.length > 0) state.waiting.set(owner, queue)
        else state.waiting.delete(owner)
        state.waiters--
        waiters--
        tidy(host, state)
        reject(new HostNotAsked('unavailable', 'its host is busy', clock.now() + firstPauseMs))
      }
      const waiter: Waiter = {
        call,
        start() {
          signal?.removeEventListener('abort', giveUp)
          resolve(leaving(call, state))
        },
        refuse(error) {
          signal?.removeEventListener('abort', giveUp)
          reject(error)
        },
      }
      state.waiting.set(owner, [...(state.waiting.get(owner) ?? []), waiter])
      state.waiters++
      waiters++
      signal?.addEventListener('abort', giveUp, { once: true })
      next(host, state)
    })

  const enter = async (call: HostCall): Promise<(end: CallEnd) => void> => {
    const { host, owner, signal } = call
    const until = restsUntil(host, owner)
    if (until > 0) throw leftAlone(until)
    const state: HostState = hosts.get(host) ?? {
      ...{ running: 0, waiting: new Map(), waiters: 0 },
      ...{ tokens: pace?.burst ?? 0, refilledAt: clock.now() },
    }
    hosts.set(host, state)
    refill(state)
    if (state.waiters === 0 && (!pace || state.tokens >= 1) && canStart(call, state)) {
      start(call, state)
      return leaving(call, state)
    }
    // Of a full queue one owner has at most a half.
    const ownWaiters = state.waiting.get(owner)?.length ?? 0
    const isFull = state.waiters >= mostWaiting || ownWaiters >= mostWaiting / 2
    if (isFull || waiters >= mostWaiting * ALL_WAITING || signal?.aborted) {
      tidy(host, state)
      throw new HostNotAsked('unavailable', 'its host is busy', clock.now() + firstPauseMs)
    }
    return wait(call, state)
  }

  return {
    enter,
    async run(call, work, isAnswer = () => false) {
      const leaveIt = await enter(call)
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
    restsUntil,
  }
}
