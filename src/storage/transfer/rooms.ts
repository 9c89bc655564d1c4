/** All rooms over the port, as records and back: what each engine adds are the relay's mailboxes. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Kv, RowSource } from '../kv.ts'
import { deliveryReaders } from './delivery-readers.ts'
import { deliveryWriters } from './delivery-writers.ts'
import { readersOfRows } from './kv-readers.ts'
import { type Transferred, writesByVerbs } from './writes.ts'

export const readRooms = (source: RowSource) => ({ ...readersOfRows(source), ...deliveryReaders(source) })

export const writeRooms = (rooms: Transferred, { kv, clock }: { kv: Kv; clock: Pick<Clock, 'now'> }) => ({
  ...writesByVerbs(rooms),
  ...deliveryWriters(kv, () => clock.now()),
})
