/** Rows that end with the process: cells in its memory, in the order in which they were last written. */
import { invariant } from '../../../platform/invariant.ts'
import type { SetName, Write } from '../../kv.ts'

export interface VolatileRows {
  get(set: SetName): Buffer | undefined
  write(one: Write): number
  /** Removes rows that have ended, the oldest ones first, and makes room for another one. */
  forget(now: number): void
}

/** Far more than one process has connections for. */
const MAX_ROWS = 100_000

const nameOf = ({ table, partition, subject }: SetName): string => `${table.name}\0${partition}\0${subject}`

export const createVolatileRows = (): VolatileRows => {
  const rows = new Map<string, { value: Buffer; expiresAt: number }>()
  return {
    get: (set) => rows.get(nameOf(set))?.value,
    write(one) {
      const at = nameOf(one.set)
      if (one.kind === 'remove' || one.kind === 'clear') return rows.delete(at) ? 1 : 0
      invariant(one.kind === 'put' || one.kind === 'create', 'rows in memory are cells')
      if (one.kind === 'create' && rows.has(at)) return 0
      // To the end: one that is renewed all the time must not stand before those that have ended.
      rows.delete(at)
      rows.set(at, { value: one.value, expiresAt: one.expiresAt ?? Number.POSITIVE_INFINITY })
      return 1
    },
    forget(now) {
      for (const [at, { expiresAt }] of rows) {
        if (rows.size < MAX_ROWS && expiresAt > now) break
        rows.delete(at)
      }
    },
  }
}
