/**
 * Who may deliver which message of a shared subscription, for how long.
 *
 * In memory on purpose. A claim belongs to a connection, LMDB serves one process, and when that process ends all its
 * connections end with it: a claim that survived a restart could only delay the redelivery. An engine for several
 * processes keeps claims where all of them see them.
 */
export interface Claims {
  take(claim: string, lease: { holder: string; now: number; until: number }): boolean
  /** The message was acknowledged. */
  end(claim: string): void
  release(holder: string): void
  /** Forgets what ended by itself. */
  sweep(now: number): void
}

export const claimOf = (clientId: string, topic: string, seq: number): string =>
  `${clientId}\0${topic}\0${seq}`

export const createClaims = (): Claims => {
  const held = new Map<string, { holder: string; until: number }>()
  const byHolder = new Map<string, Set<string>>()

  const end = (claim: string) => {
    const lease = held.get(claim)
    if (!lease) return
    held.delete(claim)
    const claims = byHolder.get(lease.holder)
    claims?.delete(claim)
    if (claims?.size === 0) byHolder.delete(lease.holder)
  }

  return {
    take(claim, { holder, now, until }) {
      const lease = held.get(claim)
      if (lease && lease.holder !== holder && lease.until > now) return false
      end(claim)
      held.set(claim, { holder, until })
      const claims = byHolder.get(holder)
      if (claims) claims.add(claim)
      else byHolder.set(holder, new Set([claim]))
      return true
    },
    end,
    release(holder) {
      for (const claim of byHolder.get(holder) ?? []) held.delete(claim)
      byHolder.delete(holder)
    },
    sweep(now) {
      for (const [claim, lease] of held) if (lease.until <= now) end(claim)
    },
  }
}
