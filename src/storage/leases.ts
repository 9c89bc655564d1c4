import * as z from 'zod'
import { json } from './codec.ts'
import type { Kv } from './kv.ts'
import { defineTable, read, transact } from './table.ts'

/**
 * Which process does what only one should do at a time. A lease is a name that one holder has until an instant; after
 * that any process may take it, so that none waits for a dead one. Times are unix milliseconds and come from the callers:
 * what leases guard must bear that two clocks differ a little.
 */
export interface Leases {
  /**
   * Gives the lease to the holder, or prolongs what it has, unless another one holds it at `now`. Returns whether the
   * holder has it until `until`; of many who ask at once for a free one exactly one does.
   */
  take(name: string, lease: { holder: string; now: number; until: number }): Promise<boolean>
  /** Ends the lease if it is this holder's. */
  release(name: string, holder: string): Promise<void>
}

const leaseSchema = z.object({ holder: z.string(), until: z.number() })
/** Of one process nobody else takes a lease, so that none is kept on its disk. */
const LEASES = defineTable({
  name: 'leases.held',
  shape: 'cell',
  ends: true,
  isVolatile: true,
  codec: json(leaseSchema),
})

export const createLeases = (kv: Kv): Leases => ({
  // Whoever holds a lease may take it, so that a second try does no harm. A Redis that is full must be swept by somebody.
  take(name, { holder, now, until }) {
    const cell = LEASES.in(name)
    return transact(kv, now, async () => {
      const [{ value: held, isUnchanged }] = await read(kv, [cell.get()])
      if (held && held.holder !== holder && held.until > now) return { answer: false }
      const writes = [cell.put({ value: { holder, until }, expiresAt: until })]
      return {
        answer: true,
        batch: { partition: name, checks: [isUnchanged], writes, isOnce: false, isRelief: true },
      }
    })
  },

  release(name, holder) {
    const cell = LEASES.in(name)
    return transact(kv, 0, async () => {
      const [{ value: held, isUnchanged }] = await read(kv, [cell.get()])
      if (held?.holder !== holder) return { answer: undefined }
      const batch = { partition: name, checks: [isUnchanged], writes: [cell.remove()], isOnce: false }
      return { answer: undefined, batch }
    })
  },
})
