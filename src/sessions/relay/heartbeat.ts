/**
 * How processes learn that another one has died: each writes to the store until when it lives, and looks for those of its
 * peers' peers whose process has not.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { Connection } from './connection.ts'
import type { SessionLimits } from './limits.ts'
import type { Peers } from './peers.ts'
import type { Endpoint, SessionsStore } from './store.ts'

/** Checks in a row that must find a process dead: a store that was away makes all processes seem dead. */
const CHECKS_UNTIL_DEAD = 2

export interface Heartbeat {
  /** Resolves when the store has the last heartbeat of this process, rejects when the store did not take it. */
  last(): Promise<void>
  beat(): Promise<void>
  isDead(endpoint: Endpoint): Promise<boolean>
}

export const createHeartbeat = (
  deps: { store: SessionsStore; clock: Clock; log: Log },
  { process, ttlMs }: { process: string; ttlMs: number },
): Heartbeat => {
  const { store, clock, log } = deps
  let last = Promise.resolve()
  return {
    last: () => last,
    beat() {
      const now = clock.now()
      last = store.heartbeat(process, { now, until: now + ttlMs })
      last.catch((err: unknown) => log.warn({ err }, 'The session relay cannot say that it lives'))
      return last
    },
    isDead: async (endpoint) =>
      endpoint.process !== process && (await store.deadProcesses([endpoint.process], clock.now())).length > 0,
  }
}

/** Disconnects the peers whose other peer was on a process that has died. */
const createPeerCheck = (deps: {
  store: SessionsStore
  peers: Peers
  clock: Clock
  meter: Meter
}): (() => Promise<void>) => {
  const { store, peers, clock, meter } = deps
  const remotePeerOf = ({ seat }: Connection) =>
    seat?.other?.process === peers.process ? undefined : seat?.other
  return async () => {
    const connections = [...peers.connections.values()].filter((one) => remotePeerOf(one) !== undefined)
    const processes = new Set(connections.flatMap((one) => remotePeerOf(one)?.process ?? []))
    const dead = new Set(processes.size === 0 ? [] : await store.deadProcesses([...processes], clock.now()))
    for (const connection of connections) {
      const isDead = dead.has(remotePeerOf(connection)?.process ?? '')
      connection.missedHeartbeats = isDead ? connection.missedHeartbeats + 1 : 0
      if (connection.missedHeartbeats < CHECKS_UNTIL_DEAD || connection.isClosed) continue
      meter.count('sessions_peers_lost_total')
      connection.isClosed = true
      connection.peer.emit('peer-disconnected')
      connection.peer.close()
    }
  }
}

export interface RelayTimer extends Disposable {
  /** Runs until this process has no connection: a process without one need not be known to live. */
  start(): void
}

const TICK_MS = 1_000

/** One timer for all connections: each tick expires what is due, and now and then beats and checks the other processes. */
export const createRelayTimer = (
  deps: {
    store: SessionsStore
    peers: Peers
    heartbeat: Heartbeat
    clock: Clock
    log: Log
    meter: Meter
    expire: (now: number) => void
  },
  { heartbeatEveryMs }: Pick<SessionLimits, 'heartbeatEveryMs'>,
): RelayTimer => {
  const { peers, heartbeat, clock, log, expire } = deps
  const checkPeers = createPeerCheck(deps)
  let ticking: Disposable | undefined
  let beatAt = 0
  let isChecking = false

  const beatAndCheck = async (): Promise<void> => {
    isChecking = true
    try {
      await heartbeat.beat()
      await checkPeers()
    } catch (err) {
      log.debug({ err }, 'Who has died is looked for later')
    } finally {
      isChecking = false
    }
  }
  const tick = (): void => {
    ticking = clock.after(TICK_MS, () => {
      ticking = undefined
      const now = clock.now()
      expire(now)
      if (now - beatAt >= heartbeatEveryMs && !isChecking) {
        beatAt = now
        void beatAndCheck()
      }
      if (peers.connections.size > 0) tick()
    })
  }
  return {
    start() {
      if (ticking) return
      beatAt = clock.now()
      heartbeat.beat().catch(() => {})
      tick()
    },
    [Symbol.dispose]: () => ticking?.[Symbol.dispose](),
  }
}
