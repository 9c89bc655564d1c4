import type { Session, SessionsStore } from '../../../sessions/relay/store.ts'

/** Sessions that may be there at once; far more than one process has connections for. */
const MAX_SESSIONS = 100_000

/**
 * In memory: a session lives no longer than the connections of its peers, and with LMDB all of them are this process's. A
 * session that was created and not yet used is created again.
 */
export const createLmdbSessions = (): SessionsStore => {
  const sessions = new Map<string, Session>()

  const sessionAt = (id: string, now: number): Session | undefined => {
    const session = sessions.get(id)
    if (session && session.expiresAt > now) return session
    sessions.delete(id)
    return undefined
  }

  return {
    async create(id, { createdAt, expiresAt }) {
      // They are in the order of their creation, so those that were never used come first.
      for (const [oldest, session] of sessions) {
        if (sessions.size < MAX_SESSIONS && session.expiresAt > createdAt) break
        sessions.delete(oldest)
      }
      sessions.set(id, { createdAt, expiresAt })
    },
    async enter(id, side, { endpoint, now, lifetimeMs }) {
      const session = sessionAt(id, now)
      if (!session) return { outcome: 'not_found' }
      if (side === 'joiner' && !session.initiator) return { outcome: 'not_initialized' }
      if (session[side]) return { outcome: 'taken' }
      const entered = {
        ...session,
        [side]: endpoint,
        ...(lifetimeMs !== undefined && { expiresAt: session.createdAt + lifetimeMs }),
      }
      sessions.set(id, entered)
      return { outcome: 'entered', session: entered }
    },
    async session(id, now) {
      return sessionAt(id, now)
    },
    async end(id) {
      const session = sessions.get(id)
      sessions.delete(id)
      return session
    },
    async heartbeat() {},
    async deadProcesses() {
      return []
    },
  }
}
