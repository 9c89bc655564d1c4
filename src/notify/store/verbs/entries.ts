/** Entries of the outbox as they are kept: those of notifications in a short form, because there are most of them. */
import type { Codec } from '../../../storage/codec.ts'
import { textBehind } from '../../../storage/codec.ts'
import type { OutboxEntry } from '../records.ts'
import { CHUNK_NAME_BYTES, REFERENCE_BYTES } from './heads.ts'

/** Where a receipt is: the bytes of its notification and its chunk, as a text, because many are kept for a while. */
export type ReceiptPlace = string
export const receiptPlaceOf = (reference: Buffer, chunk: Buffer): ReceiptPlace =>
  reference.toString('latin1') + chunk.toString('latin1')
export const referenceIn = (place: ReceiptPlace): Buffer => Buffer.from(place.slice(0, REFERENCE_BYTES), 'latin1')
export const chunkIn = (place: ReceiptPlace): Buffer => Buffer.from(place.slice(REFERENCE_BYTES), 'latin1')

export interface KeptEntry {
  entry: OutboxEntry
  receipt: ReceiptPlace | undefined
}

const JSON_ENTRY = 0
const NOTIFICATION_ENTRY = 1
const HEAD_BYTES = 1 + REFERENCE_BYTES + CHUNK_NAME_BYTES
const SEPARATOR = '\0'

type NotificationTask = Extract<OutboxEntry['task'], { kind: 'notification' }>

/** What entries of one call have in common is made once. */
let last: { task: NotificationTask; createdAt: number; expiresAt: number; text: string } | undefined
const commonText = (task: NotificationTask, createdAt: number, expiresAt: number): string => {
  if (
    last?.task.notificationId === task.notificationId &&
    last.task.projectId === task.projectId &&
    last.task.domain === task.domain &&
    last.createdAt === createdAt &&
    last.expiresAt === expiresAt
  )
    return last.text
  const { projectId = '', domain, notificationId } = task
  const text = [projectId, domain, notificationId, createdAt, expiresAt].join(SEPARATOR)
  last = { task, createdAt, expiresAt, text }
  return text
}

const readNotification = (text: string): OutboxEntry => {
  const [id = '', accountKey = '', subscriptionId = '', projectId = '', domain = '', notificationId = '', ...times] =
    text.split(SEPARATOR)
  return {
    id,
    task: { kind: 'notification', accountKey, subscriptionId, projectId, domain, notificationId },
    createdAt: Number(times[0]),
    expiresAt: Number(times[1]),
  }
}

export const ENTRY: Codec<KeptEntry> = {
  encodeBehind(free, { entry, receipt }) {
    const { id, task, createdAt, expiresAt } = entry
    if (!receipt || task.kind !== 'notification' || entry.notBefore !== undefined) {
      const bytes = textBehind(free + 1, JSON.stringify(entry))
      bytes[free] = JSON_ENTRY
      return bytes
    }
    const common = commonText(task, createdAt, expiresAt)
    const text = `${id}${SEPARATOR}${task.accountKey}${SEPARATOR}${task.subscriptionId}${SEPARATOR}${common}`
    const bytes = textBehind(free + HEAD_BYTES, text)
    bytes[free] = NOTIFICATION_ENTRY
    bytes.write(receipt, free + 1, 'latin1')
    return bytes
  },
  decode(bytes) {
    if (bytes[0] === JSON_ENTRY) return { entry: JSON.parse(bytes.toString('utf8', 1)), receipt: undefined }
    if (bytes[0] !== NOTIFICATION_ENTRY) throw new Error('its kind is unknown')
    return { entry: readNotification(bytes.toString('utf8', HEAD_BYTES)), receipt: bytes.toString('latin1', 1, HEAD_BYTES) }
  },
}
