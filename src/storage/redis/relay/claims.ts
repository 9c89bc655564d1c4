import type { RedisConnection } from '../connection.ts'
import { relayClaim } from '../lua/relay/claim.ts'
import { relayRelease } from '../lua/relay/release.ts'
import { whole } from '../script.ts'
import { CLAIM_GRACE_MS, hash, name, type RelayKeys } from './rows.ts'

/**
 * Who may deliver which message of a shared subscription, for how long. The claims are in Redis, where all processes see
 * them, and end by themselves. Which claims a holder has is kept here only: a holder is a connection of this process, and
 * when the process dies its claims run out.
 */
export const createClaims = (redis: RedisConnection, keys: RelayKeys) => {
  const held = new Map<string, Map<string, number>>()

  /** The leases of a holder begin in the order in which they end, so what is over stands first. */
  const note = (holder: string, claim: string, lease: { now: number; until: number }) => {
    const claims = held.get(holder) ?? new Map<string, number>()
    held.set(holder, claims)
    claims.delete(claim)
    claims.set(claim, lease.until)
    for (const [one, until] of claims) {
      if (until > lease.now) break
      claims.delete(one)
    }
  }

  return {
    async claim(
      clientId: string,
      topic: string,
      seq: number,
      lease: { holder: string; now: number; until: number },
    ): Promise<boolean> {
      const { holder, now, until } = lease
      const claim = keys.claim(hash(topic), seq, name(clientId))
      const keep = Math.max(1, Math.ceil(until - now)) + CLAIM_GRACE_MS
      const answer = await redis.one(() =>
        redis.script(relayClaim, [keys.topic(topic), claim], [clientId, seq, holder, now, until, keep]),
      )
      if (whole(answer) !== 1) return false
      note(holder, claim, lease)
      return true
    },
    async release(holder: string): Promise<void> {
      const claims = [...(held.get(holder)?.keys() ?? [])]
      held.delete(holder)
      for (let at = 0; at < claims.length; at += 500) {
        const some = claims.slice(at, at + 500)
        await redis.batch(() => some.map((claim) => redis.script(relayRelease, [claim], [holder])))
      }
    },
    /** Forgets holders whose claims have all run out. */
    sweep(now: number): void {
      for (const [holder, claims] of held) {
        for (const [claim, until] of claims) if (until <= now) claims.delete(claim)
        if (claims.size === 0) held.delete(holder)
      }
    },
  }
}
