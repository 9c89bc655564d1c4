/**
 * Clients with devices that are connected here. What comes for one is held in memory for half a second: nearly always it is
 * acknowledged by then, and costs nothing more. What is not becomes a push that waits.
 *
 * Nothing is lost with the memory: before anything is held for a client, the store knows that it is connected to this process
 * (`ProcessStore`). When a process dies, another one looks into the mailboxes of its clients (`recovery`). A process that could
 * not say in time that it lives takes another name, because others may have taken it for dead.
 */
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { ProcessStore } from '../store.ts'
import type { KnownClients } from './known-clients.ts'
import type { PaidMessage } from './payment.ts'

/** How long a connected client has to acknowledge a message. */
export const ACKNOWLEDGE_WITHIN_MS = 500
/** How long a process counts as alive after it said so, and how often it says it. */
export const ALIVE_MS = 15_000
const SAY_EVERY_MS = 5_000
const RETRY_MS = 1_000
/** Messages that are held for one client: more than go into a push. */
const MAX_HELD = 64

interface Held {
  paid: PaidMessage
  until: number
}

interface Entry {
  connections: number
  isGuarded: boolean
  /** By message id; a second message with that id, on another topic, is not held. */
  held: Map<string, Held>
  timer: Disposable | undefined
}

export interface Connected extends AsyncDisposable {
  connected(clientId: string): void
  disconnected(clientId: string): void
  isConnected(clientId: string): boolean
  /** Holds the message until it is acknowledged or its time is over. False where the client is not one to hold for. */
  hold(clientId: string, paid: PaidMessage, now: number): boolean
  acknowledged(clientId: string, topic: string, id: string): void
}

interface ConnectedDeps {
  store: Pick<ProcessStore, 'alive' | 'connected' | 'disconnected'>
  known: KnownClients
  clock: Clock
  log: Log
  newProcessId: () => string
  /** Makes these wait to be pushed, at once; durable when it resolves. */
  push: (clientId: string, messages: readonly PaidMessage[]) => Promise<void>
}

/** Says that the process lives, and calls `renamed` when it was too late. */
const sayAlive = (
  { store, clock, log, newProcessId }: ConnectedDeps,
  ending: AbortSignal,
  renamed: () => void,
) => {
  let processId = newProcessId()
  let until = 0
  const say = async (): Promise<void> => {
    const now = clock.now()
    if (until !== 0 && until <= now) {
      processId = newProcessId()
      renamed()
    }
    await store.alive(processId, now + ALIVE_MS)
    until = now + ALIVE_MS
  }
  const run = async (): Promise<void> => {
    while (!ending.aborted) {
      await say().catch((err: unknown) => log.warn({ err }, 'Push could not say that it lives; trying again'))
      await pause(clock, SAY_EVERY_MS, ending)
    }
  }
  let running: Promise<void> | undefined
  return {
    get processId() {
      return processId
    },
    /** Resolves when the store knows of this process. */
    async begin(): Promise<string> {
      if (until <= clock.now()) await say()
      running ??= run()
      return processId
    },
    over: async () => running,
  }
}

interface ConnectedState {
  deps: ConnectedDeps
  entries: Map<string, Entry>
  ending: AbortController
  alive: ReturnType<typeof sayAlive>
  /** Runs what changes a client one after the other. */
  inBackground: (clientId: string, work: () => Promise<void>) => void
}

/** Has the store know that the client is here, if it has devices. */
const guard = ({ deps, entries, alive, inBackground }: ConnectedState, clientId: string): void =>
  inBackground(clientId, async () => {
    const { store, known, clock, log } = deps
    const entry = entries.get(clientId)
    if (!entry || entry.isGuarded) return
    try {
      const since = clock.now()
      if (!(await known.among([clientId])).has(clientId)) return
      const processId = await alive.begin()
      await store.connected({ clientId, processId, since, silent: [] })
      entry.isGuarded = processId === alive.processId
    } catch (err) {
      // Until it is, each message becomes a push that waits.
      log.warn({ err }, 'A connected client could not be noted')
    }
  })

/** What is over its time leaves the entry. */
const takeDue = (entry: Entry, now: number): PaidMessage[] => {
  const found: PaidMessage[] = []
  for (const [key, { paid, until }] of entry.held) {
    if (until > now) continue
    entry.held.delete(key)
    found.push(paid)
  }
  return found
}

const pushDue = async (
  state: ConnectedState,
  clientId: string,
  entry: Entry,
  messages: readonly PaidMessage[],
): Promise<void> => {
  const { push, clock, log } = state.deps
  try {
    await push(clientId, messages)
  } catch (err) {
    log.warn({ err }, 'Pushes could not be kept; trying again')
    const until = clock.now() + RETRY_MS
    for (const paid of messages) entry.held.set(paid.message.id, { paid, until })
    schedule(state, clientId, entry)
  }
}

const schedule = (state: ConnectedState, clientId: string, entry: Entry): void => {
  const { clock } = state.deps
  const [first] = entry.held.values()
  if (!first || entry.timer) return
  entry.timer = clock.after(Math.max(0, first.until - clock.now()), () => {
    entry.timer = undefined
    const messages = takeDue(entry, clock.now())
    if (messages.length > 0) state.inBackground(clientId, () => pushDue(state, clientId, entry, messages))
    schedule(state, clientId, entry)
  })
}

/** The client is gone: what was held for it waits from now on, and only then the store forgets that it was here. */
const leave = (
  { deps, ending, inBackground }: ConnectedState,
  clientId: string,
  entry: Entry,
  processId: string,
): void =>
  inBackground(clientId, async () => {
    const { push, store, clock, log } = deps
    const messages = [...entry.held.values()].map(({ paid }) => paid)
    for (;;) {
      try {
        if (messages.length > 0) await push(clientId, messages)
        await store.disconnected({ clientId, processId })
        return
      } catch (err) {
        log.warn({ err }, 'Pushes of a client that left could not be kept; trying again')
        if (ending.signal.aborted) return
        await pause(clock, RETRY_MS, ending.signal)
      }
    }
  })

/** Of the lowest rank the oldest: as where messages wait for their push. */
const weakestOf = (held: Entry['held']): string | undefined => {
  let weakest: { id: string; rank: number } | undefined
  for (const [id, { paid }] of held) {
    const { rank } = paid.message
    if (!weakest || rank < weakest.rank) weakest = { id, rank }
  }
  return weakest?.id
}

const holdIn = (state: ConnectedState, clientId: string, paid: PaidMessage, now: number): boolean => {
  const { message } = paid
  const entry = state.entries.get(clientId)
  if (!entry?.isGuarded) return false
  const known = entry.held.get(message.id)
  if (known) return known.paid.message.topic === message.topic
  entry.held.set(message.id, { paid, until: now + ACKNOWLEDGE_WITHIN_MS })
  const weakest = entry.held.size > MAX_HELD ? weakestOf(entry.held) : undefined
  if (weakest !== undefined) entry.held.delete(weakest)
  schedule(state, clientId, entry)
  return true
}

const disconnect = (state: ConnectedState, clientId: string): void => {
  const { entries, alive } = state
  const entry = entries.get(clientId)
  if (!entry || --entry.connections > 0) return
  entries.delete(clientId)
  entry.timer?.[Symbol.dispose]()
  if (entry.isGuarded) leave(state, clientId, entry, alive.processId)
}

export const createConnected = (deps: ConnectedDeps): Connected => {
  const { known } = deps
  const entries = new Map<string, Entry>()
  const inTurn = createKeyedLock()
  const ending = new AbortController()
  const busy = new Set<Promise<unknown>>()
  const alive = sayAlive(deps, ending.signal, () => {
    for (const [clientId, entry] of entries) {
      entry.isGuarded = false
      guard(state, clientId)
    }
  })
  const inBackground = (clientId: string, work: () => Promise<void>): void => {
    const working = inTurn(clientId, work).finally(() => busy.delete(working))
    busy.add(working)
  }
  const state: ConnectedState = { deps, entries, ending, alive, inBackground }
  known.onChange((clientId) => {
    const entry = entries.get(clientId)
    if (entry && !entry.isGuarded) guard(state, clientId)
  })

  return {
    connected(clientId) {
      const entry = entries.get(clientId)
      if (entry) {
        entry.connections += 1
        return
      }
      entries.set(clientId, { connections: 1, isGuarded: false, held: new Map(), timer: undefined })
      if (!known.isEmpty()) guard(state, clientId)
    },
    disconnected: (clientId) => disconnect(state, clientId),
    isConnected: (clientId) => entries.has(clientId),
    hold: (clientId, paid, now) => holdIn(state, clientId, paid, now),
    acknowledged(clientId, topic, id) {
      const held = entries.get(clientId)?.held
      if (held?.get(id)?.paid.message.topic === topic) held.delete(id)
    },
    async [Symbol.asyncDispose]() {
      for (const [clientId, entry] of entries) {
        entry.connections = 1
        disconnect(state, clientId)
      }
      while (busy.size > 0) await Promise.all(busy)
      ending.abort()
      await alive.over()
    },
  }
}
