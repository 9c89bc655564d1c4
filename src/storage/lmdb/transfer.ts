/**
 * The embedded store's content as records, and back (`../transfer.ts`). Reading walks the tables; writing uses the
 * rooms' verbs where those are exact, and puts rows otherwise.
 *
 * A snapshot is one read transaction: LMDB keeps the pages that it sees for as long as it lasts, and nobody waits.
 */
import type { Watcher } from '../../notify/store.ts'
import type { Job } from '../../platform/agenda.ts'
import type { Watch } from '../../relay/store.ts'
import type { Stores } from '../stores.ts'
import type { Readers, Records, Transfer, Writers } from '../transfer.ts'
import { writesByVerbs } from '../transfer-writes.ts'
import { name, number, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'
import type { NotifyParts } from './notify.ts'
import { rememberRequest } from './notify-accounts.ts'
import { copyOf, notificationKey } from './notify-copies.ts'
import { createRelayTransfer } from './transfer-relay.ts'
import { type Moment, walk } from './transfer-walk.ts'

const NOTE = name('note')

export const createLmdbTransfer = (
  env: Env,
  rooms: Pick<Stores, 'keys' | 'notify' | 'relay' | 'agenda'>,
  { tables, outbox, rows: { copies } }: NotifyParts,
): Transfer => {
  const identities: Rows<Records['identity']> = env.openDB({ name: 'keys.identities', ...ROWS })
  const invites: Rows<Omit<Records['invite'], 'accountKey'>> = env.openDB({ name: 'keys.invites', ...ROWS })
  const notes: Rows<string> = env.openDB({ name: 'transfer', ...ROWS })
  const watches: Rows<Watch> = env.openDB({ name: 'relay.watches', ...ROWS })
  const jobs: Rows<Job> = env.openDB({ name: 'agenda.jobs', ...ROWS })
  const mailboxes = createRelayTransfer(env, rooms.relay)

  const readers = (moment: Moment): Readers => {
    const subscriptionOf = (n: Buffer) => {
      const id = tables.numbers.get(n, moment)
      const row = id === undefined ? undefined : tables.subscriptions.get(name(id), moment)
      return id !== undefined && row ? { id, accountKey: row[1] } : undefined
    }
    /** The watcher, where another account's record has it, too, and this one is found. */
    const contestedBy = (identityKey: string, accountKey: string): Watcher | undefined => {
      const watchers = tables.accounts.get(name(accountKey), moment)?.record.watchers
      return watchers?.find((watcher) => watcher.identityKey === identityKey)
    }
    const accounts = walk(tables.accounts, moment, (at, { record }) => ({
      accountKey: at.toString(),
      record,
    }))
    return {
      identity: walk(identities, moment, (_, entry) => entry),
      invite: walk(invites, moment, (at, entry) => ({ accountKey: at.toString(), ...entry })),
      serverKeys: walk(tables.server, moment, (_, own) => ({ keys: own })),
      project: walk(tables.projects, moment, (_, project) => project),
      webhook: walk(tables.webhooks, moment, (at, { webhooks }) =>
        webhooks.length > 0 ? { projectId: at.toString(), webhooks } : undefined,
      ),
      app: walk(tables.apps, moment, (_, app) => app),
      notification: walk(tables.notifications, moment, (at, notification, now) => {
        const { projectId, domain, id, expiresAt } = notification
        if (expiresAt <= now) return undefined
        // Another one may have taken the id after this one expired.
        const current = tables.notificationIds.get(notificationKey({ projectId, domain, id }), moment)
        return current === at.readDoubleBE()
          ? { ...notification, deliverBy: notification.deliverBy ?? expiresAt }
          : undefined
      }),
      account: accounts,
      contested: {
        async *read(from) {
          for await (const { records, cursor } of accounts.read(from)) {
            const found: Records['contested'][] = []
            for (const { accountKey, record } of records) {
              for (const { identityKey } of record.watchers) {
                const owner = tables.watchers.get(name(identityKey), moment)
                if (owner === undefined || owner === accountKey) continue
                const watcher = contestedBy(identityKey, owner)
                if (watcher) found.push({ accountKey: owner, watcher })
              }
            }
            yield { records: found, cursor }
          }
        },
        size: async () => undefined,
      },
      copy: walk(tables.copies, moment, (at, [m, expiresAt], now) => {
        if (expiresAt <= now) return undefined
        const subscription = subscriptionOf(at.subarray(0, 8))
        const notification = tables.notifications.get(number(m), moment)
        if (!subscription || !notification) return undefined
        const { id, sentAt, isRead } = copyOf(at, [m, expiresAt])
        const { projectId, domain, id: notificationId } = notification
        const { accountKey, id: subscriptionId } = subscription
        const named = { projectId, domain, notificationId }
        return { accountKey, subscriptionId, id, ...named, sentAt, expiresAt, isRead }
      }),
      request: walk(tables.requests, moment, (at, expiresAt, now) =>
        expiresAt > now ? { id: at.toString(), expiresAt } : undefined,
      ),
      outbox: walk(tables.outbox, moment, (at, entry, now) =>
        entry.expiresAt > now ? { place: at.readDoubleBE(), entry } : undefined,
      ),
      ...mailboxes.read(moment),
      watch: walk(watches, moment, (_, watch, now) => (watch.expiresAt > now ? watch : undefined)),
      job: walk(jobs, moment, (_, job, now) => (job.expiresAt > now ? job : undefined)),
    }
  }

  /** Within a transaction; false for one without its subscription or its notification. */
  const putCopy = (record: Records['copy']): boolean => {
    const subscription = copies.subscription(record.subscriptionId)
    if (subscription?.accountKey !== record.accountKey) return false
    const m = tables.notificationIds.get(notificationKey({ ...record, id: record.notificationId }))
    const notification = m === undefined ? undefined : tables.notifications.get(number(m))
    if (m === undefined || notification?.createdAt !== record.sentAt) return false
    if (copies.byId(record.id)?.n === subscription.number) return true
    copies.put(record.subscriptionId, subscription, { ...record, m })
    return true
  }

  const write: Writers = {
    ...writesByVerbs(rooms),
    copy: {
      async write(records) {
        for (const { id, subscriptionId } of records) name(id) && name(subscriptionId)
        return env.transaction(() => records.filter((record) => !putCopy(record)))
      },
    },
    request: {
      async write(records) {
        for (const { id } of records) name(id)
        await env.transaction(() => {
          for (const request of records) rememberRequest(tables, request)
        })
        return []
      },
    },
    outbox: {
      async write(records) {
        for (const { entry } of records) name(entry.id)
        await env.transaction(() => outbox.restore(records))
        return []
      },
    },
    ...mailboxes.write,
  }

  return {
    read: readers({}),
    write,
    snapshot() {
      const moment = env.snapshot()
      const { transaction } = moment
      return { ...readers({ transaction }), [Symbol.dispose]: () => moment[Symbol.dispose]() }
    },
    async note() {
      return notes.get(NOTE)
    },
    async setNote(note) {
      await env.transaction(() => void (note === undefined ? notes.remove(NOTE) : notes.put(NOTE, note)))
    },
  }
}
