/** What the session relay needs of storage: which peers are in a session, and which processes live. */
import * as z from 'zod'
import { float, json } from '../../storage/codec.ts'
import type { Kv, Write } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'

export const SIDES = ['initiator', 'joiner'] as const
export type Side = (typeof SIDES)[number]
export const otherSide = (side: Side): Side => (side === 'initiator' ? 'joiner' : 'initiator')

/** Where a peer is: which process has its socket. */
export interface Endpoint {
  process: string
  socket: string
}

export interface Session {
  /** Unix ms. */
  createdAt: number
  expiresAt: number
  initiator?: Endpoint
  joiner?: Endpoint
}

/** `not_initialized` is for the joiner alone. */
export type Entered =
  | { outcome: 'entered'; session: Session }
  | { outcome: 'not_found' | 'taken' | 'not_initialized' }

/** A session that has expired at `now` does not exist, even where its row is still stored. */
export interface SessionsStore {
  create(id: string, session: { createdAt: number; expiresAt: number }): Promise<void>
  /**
   * Gives the side to the endpoint. With `lifetimeMs` the session then ends that long after its creation. Atomic: of all
   * that ask for a side one gets it, and the joiner gets none before the initiator has one.
   */
  enter(
    id: string,
    side: Side,
    entry: { endpoint: Endpoint; now: number; lifetimeMs?: number | undefined },
  ): Promise<Entered>
  session(id: string, now: number): Promise<Session | undefined>
  /** Removes the session. Only the call that removes it gets the session. */
  end(id: string): Promise<Session | undefined>
  /** The process counts as alive until then. */
  heartbeat(process: string, beat: { now: number; until: number }): Promise<void>
  /** Those of the processes that are not alive at `now`. */
  deadProcesses(processes: readonly string[], now: number): Promise<string[]>
}

const endpointSchema = z.object({ process: z.string(), socket: z.string() })
const sessionSchema: z.ZodType<Session> = z.object({
  createdAt: z.number(),
  expiresAt: z.number(),
  initiator: endpointSchema.exactOptional(),
  joiner: endpointSchema.exactOptional(),
})

/**
 * In memory where there is one process: a session lives no longer than the connections of its peers, and one that was
 * created and not yet used is created again.
 */
const SESSIONS = defineTable({
  name: 'sessions.sessions',
  shape: 'cell',
  ends: true,
  isVolatile: true,
  codec: json(sessionSchema),
})
/** Until when a process counts as alive. */
const PROCESSES = defineTable({
  name: 'sessions.processes',
  shape: 'cell',
  ends: true,
  isVolatile: true,
  codec: float,
})

const putSession = (id: string, session: Session): Write =>
  SESSIONS.in(id).put({ value: session, expiresAt: session.expiresAt })

const refusalOf = (session: Session, side: Side): 'taken' | 'not_initialized' | undefined => {
  if (side === 'joiner' && !session.initiator) return 'not_initialized'
  return session[side] ? 'taken' : undefined
}

const enterSession = (
  kv: Kv,
  id: string,
  side: Side,
  { endpoint, now, lifetimeMs }: Parameters<SessionsStore['enter']>[2],
): Promise<Entered> =>
  transact<Entered>(kv, now, async () => {
    const [{ value: session, isUnchanged }] = await read(kv, [SESSIONS.in(id).get()])
    if (!session || session.expiresAt <= now) return { answer: { outcome: 'not_found' } }
    const refusal = refusalOf(session, side)
    if (refusal) return { answer: { outcome: refusal } }
    const end = lifetimeMs !== undefined && { expiresAt: session.createdAt + lifetimeMs }
    const entered = { ...session, [side]: endpoint, ...end }
    const batch = { partition: id, checks: [isUnchanged], writes: [putSession(id, entered)] }
    return { answer: { outcome: 'entered', session: entered }, batch }
  })

export const createSessionsStore = (kv: Kv): SessionsStore => ({
  async create(id, { createdAt, expiresAt }) {
    await kv.commit([{ partition: id, writes: [putSession(id, { createdAt, expiresAt })] }], createdAt)
  },

  enter: (id, side, entry) => enterSession(kv, id, side, entry),

  async session(id, now) {
    const [{ value }] = await read(kv, [SESSIONS.in(id).get()])
    return value && value.expiresAt > now ? value : undefined
  },

  end: (id) =>
    transact(kv, 0, async () => {
      const [{ value, isUnchanged }] = await read(kv, [SESSIONS.in(id).get()])
      if (!value) return { answer: undefined }
      const batch = { partition: id, checks: [isUnchanged], writes: [SESSIONS.in(id).remove()] }
      return { answer: value, batch }
    }),

  async heartbeat(process, { now, until }) {
    const writes = [PROCESSES.in(process).put({ value: until, expiresAt: until })]
    await kv.commit([{ partition: process, writes }], now)
  },

  async deadProcesses(processes, now) {
    const found = await read(
      kv,
      processes.map((process) => PROCESSES.in(process).get()),
    )
    return processes.filter((_, at) => (found[at]?.value ?? 0) <= now)
  },
})
