/** Notifications: each is kept once, however many receive it, until it is swept. */
import { number } from '../../../storage/bytes.ts'
import type { Verb, Write } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import { fromCursor, toCursor } from '../packed/cursor.ts'
import { REFERENCE_BYTES } from '../packed/heads.ts'
import type { ReceiptsStore } from '../receipts.ts'
import type { Notification } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import type { VerbDeps } from './deps.ts'
import { NOTIFICATIONS_DUE, notificationCell, referenceOf, sentOf } from './tables.ts'

const NUMBER_BYTES = 8

/** Where the lists of its project and its app have a notification. */
export const sentWrites = (
  kind: 'put' | 'remove',
  { projectId, domain }: Pick<Notification, 'projectId' | 'domain'>,
  createdAt: number,
  reference: Buffer,
): Write[] => {
  const key = Buffer.concat([number(createdAt), reference])
  const lists = [sentOf(projectId), sentOf(projectId, domain)]
  return lists.map((set) => (kind === 'put' ? set.put({ key, value: true }) : set.remove(key)))
}

export const notificationDueKey = (expiresAt: number, createdAt: number, reference: Buffer): Buffer =>
  Buffer.concat([number(expiresAt), number(createdAt), reference])
export const notificationDueIn = (key: Buffer) => ({
  expiresAt: key.readDoubleBE(0),
  createdAt: key.readDoubleBE(NUMBER_BYTES),
  reference: key.subarray(2 * NUMBER_BYTES),
})

/** Keeps the notification unless one with its id is kept that has not expired; answers the one that is. */
export const keep = async ({ kv, kept }: VerbDeps, notification: Notification): Promise<Notification> => {
  const reference = referenceOf(notification)
  const cell = notificationCell(reference)
  const { partition, subject } = cell.name
  const { createdAt, expiresAt } = notification
  const isKept = (one: Notification | undefined): one is Notification =>
    one !== undefined && one.expiresAt > createdAt
  const known = kept.get(subject)
  if (isKept(known)) return known
  const [{ value: there }] = await read(kv, [cell.get()])
  const stored = isKept(there)
    ? there
    : await runOne(kv, partition, createdAt, function* (): Verb<Notification> {
        const [{ value }] = yield* ask([cell.get()])
        if (isKept(value)) return { answer: value, writes: [] }
        const due = notificationDueKey(expiresAt, createdAt, reference)
        return {
          answer: notification,
          writes: [
            cell.put({ value: notification }),
            NOTIFICATIONS_DUE.in(partition).put({ key: due, value: true }),
          ],
          hints: sentWrites('put', notification, createdAt, reference),
        }
      })
  kept.put(subject, stored)
  return stored
}

/** Of a copy: another notification may have had its id before, or has it since. */
interface SentNotification {
  reference: Buffer
  sentAt: number
}

/** Notifications by reference, few of which are asked for often. */
export const notificationsOf = async (
  { kv, kept }: Pick<VerbDeps, 'kv' | 'kept'>,
  copies: readonly (SentNotification | undefined)[],
): Promise<(Notification | undefined)[]> => {
  const known = new Map<string, Notification | undefined>()
  let last: { reference: Buffer; name: string } | undefined
  const names = copies.map((copy) => {
    if (!copy) return ''
    const { reference, sentAt } = copy
    if (!last?.reference.equals(reference)) last = { reference, name: reference.toString('hex') }
    const { name } = last
    if (!known.has(name)) {
      const one = kept.get(name)
      known.set(name, one?.createdAt === sentAt ? one : undefined)
    }
    return name
  })
  const missing = [...known].flatMap(([name, one]) => (one ? [] : [name]))
  if (missing.length > 0) {
    const found = await read(
      kv,
      missing.map((name) => notificationCell(Buffer.from(name, 'hex')).get()),
    )
    for (const [nth, name] of missing.entries()) {
      const one = found[nth]?.value
      known.set(name, one)
      if (one) kept.put(name, one)
    }
  }
  return names.map((name, nth) => {
    const one = known.get(name)
    return one?.createdAt === copies[nth]?.sentAt ? one : undefined
  })
}

const CURSOR_BYTES = NUMBER_BYTES + REFERENCE_BYTES
/** Rows of a list that are looked at together. */
const MIN_LOOK = 20

type Notifications = Pick<NotifyStore, 'putNotification' | 'notification'> &
  Pick<ReceiptsStore, 'notifications'>

export const createNotifications = (deps: VerbDeps): Notifications => ({
  putNotification: (notification) => keep(deps, notification),

  async notification(projectId, domain, id) {
    const [{ value }] = await read(deps.kv, [notificationCell(referenceOf({ projectId, domain, id })).get()])
    return value
  },

  async notifications(projectId, { domain, after, limit }) {
    const set = sentOf(projectId, domain)
    let to: Buffer | undefined =
      after === undefined ? undefined : Buffer.from(fromCursor(after, CURSOR_BYTES))
    const notifications: Notification[] = []
    let last: Buffer | undefined
    for (;;) {
      const most = Math.max(MIN_LOOK, limit - notifications.length + 1)
      const [keys] = await read(deps.kv, [set.keys({ ...(to && { to }), limit: most, isReverse: true })])
      const found = await read(
        deps.kv,
        keys.map((key) => notificationCell(key.subarray(NUMBER_BYTES)).get()),
      )
      for (const [nth, key] of keys.entries()) {
        const notification = found[nth]?.value
        if (notification?.createdAt !== key.readDoubleBE(0)) continue
        if (notifications.length === limit) return { notifications, next: last ? toCursor(last) : null }
        notifications.push(notification)
        last = key
      }
      if (keys.length < most) return { notifications, next: null }
      to = keys.at(-1)
    }
  },
})
