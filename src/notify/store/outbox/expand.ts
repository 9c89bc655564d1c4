/** Receipts that are unsent, as entries of the outbox. */
import {
  type ChunkNames,
  namesOf,
  pointersOf,
  type ReceiptFacts,
  receiptsIn,
  STATES,
} from '../packed/chunks.ts'
import { unpackId } from '../packed/ids.ts'
import type { OutboxEntry } from '../records.ts'

/** Of those that the mask names. */
export const unsentIn = (chunk: Buffer, mask: number): ReceiptFacts[] =>
  receiptsIn(chunk).filter(({ bit, isUnsent }) => isUnsent && (bit & mask) !== 0)

/** When the entry was made: when its receipt began, unless that has moved on before the copy was sent. */
const createdAtOf = (chunk: Buffer, { state, at, bit }: ReceiptFacts): number =>
  state === STATES.queued ? at : (pointersOf(chunk).find(({ mask }) => (mask & bit) !== 0)?.createdAt ?? at)

const entryOf = (chunk: Buffer, receipt: ReceiptFacts, names: ChunkNames): OutboxEntry => {
  const { copyId, subscriptionId, accountKey } = receipt
  const { projectId, domain, notificationId, expiresAt } = names
  const task = {
    ...{ kind: 'notification' as const, accountKey, subscriptionId },
    ...(projectId !== '' && { projectId }),
    ...{ domain, notificationId },
  }
  return { id: unpackId(copyId, 0), task, createdAt: createdAtOf(chunk, receipt), expiresAt }
}

/** What must be sent of the receipts that the mask names. */
export const entriesIn = (chunk: Buffer, mask: number): OutboxEntry[] => {
  const names = namesOf(chunk)
  return unsentIn(chunk, mask).map((receipt) => entryOf(chunk, receipt, names))
}
