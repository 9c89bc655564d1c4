/**
 * What push providers were handed for a notification, or refused, by account; over the port. A receipt's state says where its
 * message is on the relay; beside it stands what became of the push. It lasts as long as the notification.
 *
 * | table | partition · key | value |
 * |---|---|---|
 * | notify.pushes | the notification · account key | `pushed` or `refused`, by which provider, when, why |
 * | notify.pushed | the notification | how many accounts of each |
 *
 * Of the devices of an account one to which it was handed counts.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { name } from '../../storage/bytes.ts'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
import type { Notification } from './records.ts'

export interface Pushed {
  state: 'pushed' | 'refused'
  provider: string
  /** Unix ms. */
  at: number
  /** Why it was refused; only then. */
  reason?: string
}

export interface PushCounts {
  pushed: number
  refused: number
}

/** The names by which a backup knows a notification. `sentAt` tells it from one that has the same id later. */
export interface PushedNotification {
  projectId: string
  domain: string
  notificationId: string
  sentAt: number
  expiresAt: number
}

export interface AccountPush extends PushedNotification {
  accountKey: string
  push: Pushed
}

export interface PushedStore {
  /** Keeps what became of the account's push; one that was handed over stays so. Idempotent. */
  notePush(notification: Notification, accountKey: string, push: Pushed): Promise<void>
  pushCounts(notification: Notification): Promise<PushCounts>
  /** Of these accounts those that have one, by account key. */
  pushesOf(notification: Notification, accountKeys: readonly string[]): Promise<Map<string, Pushed>>
  /** Removes the account's pushes of these notifications. Idempotent. */
  forgetPushes(notifications: readonly Notification[], accountKey: string): Promise<void>
  /** Puts those of another store there. Idempotent. */
  restorePushes(records: readonly AccountPush[], now: number): Promise<void>
}

const pushedSchema: z.ZodType<Pushed> = z.object({
  state: z.enum(['pushed', 'refused']),
  provider: z.string(),
  at: z.number(),
  reason: z.string().exactOptional(),
})
const namesSchema = {
  projectId: z.string(),
  domain: z.string(),
  notificationId: z.string(),
  sentAt: z.number(),
  expiresAt: z.number(),
}
export const accountPush: z.ZodType<AccountPush> = z.object({
  ...namesSchema,
  accountKey: z.string(),
  push: pushedSchema,
})

export const PUSHED_TABLES = {
  pushes: defineTable({ name: 'notify.pushes', shape: 'map', codec: json(pushedSchema), ends: true }),
  pushed: defineTable({
    name: 'notify.pushed',
    shape: 'cell',
    codec: json(z.object({ ...namesSchema, pushed: z.number(), refused: z.number() })),
    ends: true,
  }),
}

const setsOf = ({ projectId, domain, sentAt, notificationId }: PushedNotification) => {
  const hash = createHash('sha256').update([projectId, domain, sentAt, notificationId].join('\0'))
  const partition = `pushes ${hash.digest('base64url')}`
  const { pushes, pushed } = PUSHED_TABLES
  return { partition, pushes: pushes.in(partition), pushed: pushed.in(partition) }
}

const namesOf = ({ projectId, domain, id, createdAt, expiresAt }: Notification): PushedNotification => ({
  projectId,
  domain,
  notificationId: id,
  sentAt: createdAt,
  expiresAt,
})

const note = (
  kv: Kv,
  names: PushedNotification,
  { accountKey, push, now }: { accountKey: string; push: Pushed; now: number },
): Promise<void> => {
  const { partition, pushes, pushed } = setsOf(names)
  const { expiresAt } = names
  const key = name(accountKey)
  return transact<void>(kv, now, async () => {
    const [one, all] = await read(kv, [pushes.get(key), pushed.get()])
    const before = one.value?.state
    if (before === 'pushed' || before === push.state) return { answer: undefined }
    const sum = { ...(all.value ?? { ...names, pushed: 0, refused: 0 }) }
    if (before !== undefined) sum[before] -= 1
    sum[push.state] += 1
    const checks = [one.isUnchanged, all.isUnchanged]
    const writes = [pushes.put({ key, value: push, expiresAt }), pushed.put({ value: sum, expiresAt })]
    return { answer: undefined, batch: { partition, checks, writes, isOnce: false } }
  })
}

const forget = (kv: Kv, names: PushedNotification, accountKey: string): Promise<void> => {
  const { partition, pushes, pushed } = setsOf(names)
  const key = name(accountKey)
  return transact<void>(kv, 0, async () => {
    const [one, all] = await read(kv, [pushes.get(key), pushed.get()])
    if (!one.value || !all.value) return { answer: undefined }
    const { state } = one.value
    const sum = { ...all.value, [state]: all.value[state] - 1 }
    const checks = [one.isUnchanged, all.isUnchanged]
    const writes = [pushes.remove(key), pushed.put({ value: sum, expiresAt: names.expiresAt })]
    return { answer: undefined, batch: { partition, checks, writes } }
  })
}

export const createPushedStore = (kv: Kv): PushedStore => ({
  notePush: (notification, accountKey, push) =>
    note(kv, namesOf(notification), { accountKey, push, now: push.at }),
  async pushCounts(notification) {
    const [{ value }] = await read(kv, [setsOf(namesOf(notification)).pushed.get()])
    return { pushed: value?.pushed ?? 0, refused: value?.refused ?? 0 }
  },
  async pushesOf(notification, accountKeys) {
    const { pushes } = setsOf(namesOf(notification))
    const found = await read(
      kv,
      accountKeys.map((accountKey) => pushes.get(name(accountKey))),
    )
    return new Map(
      accountKeys.flatMap((accountKey, at) => {
        const push = found[at]?.value
        return push ? [[accountKey, push] as const] : []
      }),
    )
  },
  async forgetPushes(notifications, accountKey) {
    const key = name(accountKey)
    const names = notifications.map(namesOf)
    const found = await read(
      kv,
      names.map((one) => setsOf(one).pushes.get(key)),
    )
    for (const [at, one] of names.entries()) if (found[at]?.value) await forget(kv, one, accountKey)
  },
  async restorePushes(records, now) {
    for (const { accountKey, push, ...names } of records) await note(kv, names, { accountKey, push, now })
  },
})
