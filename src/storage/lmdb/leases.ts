import type { Leases } from '../leases.ts'

/** In memory: LMDB serves one process, and with it all its holders end. */
export const createLmdbLeases = (): Leases => {
  const held = new Map<string, { holder: string; until: number }>()
  return {
    async take(name, { holder, now, until }) {
      const lease = held.get(name)
      if (lease && lease.holder !== holder && lease.until > now) return false
      held.set(name, { holder, until })
      return true
    },
    async release(name, holder) {
      if (held.get(name)?.holder === holder) held.delete(name)
    },
  }
}
