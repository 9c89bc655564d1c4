/**
 * Sessions of the console: an opaque random token in a cookie, its hash in the store. A session ends 30 minutes after the
 * operator last did something, 12 hours after it began, or when it is ended. What a page asks by itself prolongs nothing.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../platform/runtime/clock.ts'
import { HOUR_MS, MINUTE_MS } from '../../platform/units.ts'
import type { ConsoleStore, Session } from './store.ts'

export const IDLE_END_MS = 30 * MINUTE_MS
export const LONGEST_MS = 12 * HOUR_MS
/** A use is written at most so often. */
const NOTE_USE_EVERY_MS = MINUTE_MS
const TOKEN_BYTES = 32
const TOKEN = /^[\w-]{43}$/

export interface Sessions {
  /** Returns the token of the new session. */
  open(how: Pick<Session, 'method' | 'passkey' | 'address'>): Promise<{ token: string; session: Session }>
  /** Undefined for a token that names no session. `isUse`: the operator did something. */
  find(token: string, isUse: boolean): Promise<Session | undefined>
  list(): Promise<Session[]>
  end(id: string): Promise<boolean>
}

export const createSessions = (deps: {
  store: Pick<ConsoleStore, 'openSession' | 'session' | 'prolongSession' | 'sessions' | 'endSession'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): Sessions => {
  const { store, clock, randomBytes } = deps
  const endOf = (createdAt: number, usedAt: number) => Math.min(usedAt + IDLE_END_MS, createdAt + LONGEST_MS)

  return {
    async open(how) {
      const token = Buffer.from(randomBytes(TOKEN_BYTES)).toString('base64url')
      const id = createHash('sha256').update(`session id ${token}`).digest('base64url').slice(0, 12)
      const now = clock.now()
      const session = { id, ...how, createdAt: now, usedAt: now, expiresAt: endOf(now, now) }
      await store.openSession(token, session)
      return { token, session }
    },
    async find(token, isUse) {
      if (!TOKEN.test(token)) return undefined
      const now = clock.now()
      const session = await store.session(token, now)
      if (!session || !isUse || now < session.usedAt + NOTE_USE_EVERY_MS) return session
      const used = { ...session, usedAt: now, expiresAt: endOf(session.createdAt, now) }
      await store.prolongSession(token, used)
      return used
    },
    list: () => store.sessions(clock.now()),
    end: store.endSession,
  }
}
