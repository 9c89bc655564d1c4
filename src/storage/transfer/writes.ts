import { REVOKED_LIFE_MS } from '../../keys/store.ts'
import type { ClickedNotification } from '../../notify/store/clicks.ts'
import type { AccountRecord, Webhook } from '../../notify/store/store.ts'
import type { Stores } from '../stores.ts'
import type { Records, Writers } from './transfer.ts'

/** Tables whose records the rooms' own verbs write exactly, whatever the engine. */
type ByVerbs =
  | 'identity'
  | 'invite'
  | 'serverKeys'
  | 'project'
  | 'app'
  | 'notification'
  | 'account'
  | 'contested'
  | 'webhook'
  | 'click'
  | 'clickDay'
  | 'watch'
  | 'job'
  | 'mqMessage'
  | 'mqAttended'
  | 'approval'
  | 'microblock'
  | 'archived'
  | 'registration'
  | 'contactNonce'
  | 'contactToken'
  | 'installations'
  | 'pushed'
  | 'actionAnswer'
  | 'pushProject'
  | 'pushVapid'
  | 'pushDevices'
  | 'pushWaiting'
  | 'passkey'
  | 'block'
  | 'audit'

/** All at once: the engines group what is asked for in one turn. Returns nothing: everything has its place. */
const each =
  <R>(write: (record: R) => Promise<unknown>) =>
  async (records: readonly R[]): Promise<R[]> => {
    await Promise.all(records.map(write))
    return []
  }

/** By one call of the room. */
const all =
  <R>(write: (records: readonly R[]) => Promise<unknown>) =>
  async (records: readonly R[]): Promise<R[]> => {
    await write(records)
    return []
  }

/** Those whose notification is kept are written together; the others are returned. */
const ofKept =
  <R extends ClickedNotification>(
    notify: Stores['notify'],
    write: (records: readonly R[], now: number) => Promise<void>,
  ) =>
  async (records: readonly R[]): Promise<R[]> => {
    const kept = await Promise.all(
      records.map(async ({ projectId, domain, notificationId, sentAt }) => {
        const notification = await notify.notification(projectId, domain, notificationId)
        return notification?.createdAt === sentAt
      }),
    )
    const [placed, left] = [records.filter((_, at) => kept[at]), records.filter((_, at) => !kept[at])]
    await write(placed, Date.now())
    return left
  }

/** What was kept was within its limits; they may be others by now. */
const UNLIMITED = Number.MAX_SAFE_INTEGER

/** The rooms' stores, as a transfer uses them. */
export type Transferred = Pick<
  Stores,
  'archive' | 'contacts' | 'keys' | 'notify' | 'relay' | 'jobQueue' | 'mq' | 'operator' | 'push' | 'console'
>

const registerWebhooks = async (
  notify: Stores['notify'],
  projectId: string,
  webhooks: readonly Webhook[],
): Promise<void> => {
  for (;;) {
    const { version } = await notify.webhooks(projectId)
    if (await notify.commitWebhooks({ projectId, expectedVersion: version, webhooks })) return
  }
}

const replaceRecord = async (
  notify: Stores['notify'],
  accountKey: string,
  record: AccountRecord,
): Promise<void> => {
  for (;;) {
    const { version } = await notify.account(accountKey)
    const outcome = await notify.commit({ accountKey, expectedVersion: version, record, outbox: [] })
    if (outcome !== 'conflict') return
  }
}

/** One that is there stays. */
const putPasskey = async (store: Stores['console'], passkey: Records['passkey']): Promise<void> => {
  if ((await store.passkeys()).some(({ id }) => id === passkey.id)) return
  await store.addPasskey(passkey)
}

/** The look-up of a watcher leads to the record that got it last, so the watcher leaves the record and comes back. */
const restoreContested = async (
  notify: Stores['notify'],
  { accountKey, watcher }: Records['contested'],
): Promise<void> => {
  const { record } = await notify.account(accountKey)
  const { subscriptions, watchers } = record
  const others = watchers.filter(({ identityKey }) => identityKey !== watcher.identityKey)
  const isPresent = others.length < watchers.length
  await replaceRecord(notify, accountKey, { subscriptions, watchers: others })
  await replaceRecord(notify, accountKey, {
    subscriptions,
    watchers: isPresent ? watchers : [...watchers, watcher],
  })
}

const pushWrites = (
  push: Transferred['push'],
): Pick<Writers, 'pushProject' | 'pushVapid' | 'pushDevices' | 'pushWaiting'> => ({
  pushProject: {
    write: each((project) =>
      push.changeProject(project.id, () => project, { limit: UNLIMITED, now: Date.now() }),
    ),
  },
  pushVapid: { write: each(({ sealed }) => push.vapidKey(sealed)) },
  pushDevices: {
    write: each(({ clientId, devices }) =>
      push.restoreDevices(
        devices.map((device) => ({ clientId, ...device })),
        Date.now(),
      ),
    ),
  },
  pushWaiting: { write: all((pushes) => push.restoreWaiting(pushes, Date.now())) },
})

export const writesByVerbs = ({
  keys,
  notify,
  relay,
  jobQueue,
  mq,
  operator,
  archive,
  contacts,
  push,
  console,
}: Transferred): Pick<Writers, ByVerbs> => {
  return {
    identity: {
      // When it was last used is not kept with it: its time begins anew.
      write: each(async (entry) => {
        await keys.prolong(entry.identityKey, Date.now() + REVOKED_LIFE_MS)
        await keys.registerIdentity(entry)
      }),
    },
    invite: { write: each(({ accountKey, ...entry }) => keys.registerInvite(accountKey, entry)) },
    serverKeys: { write: each(({ keys: own }) => notify.serverKeys(own)) },
    project: { write: each((project) => notify.createProject(project)) },
    webhook: { write: each(({ projectId, webhooks }) => registerWebhooks(notify, projectId, webhooks)) },
    click: { write: ofKept(notify, notify.restoreClicks) },
    clickDay: { write: ofKept(notify, notify.restoreClickDays) },
    app: { write: each((app) => notify.createApp(app)) },
    notification: { write: each((notification) => notify.putNotification(notification)) },
    account: { write: each(({ accountKey, record }) => replaceRecord(notify, accountKey, record)) },
    watch: { write: each((watch) => relay.watch(watch, { now: Date.now(), limit: UNLIMITED })) },
    job: { write: all(jobQueue.add) },
    mqMessage: { write: all(mq.restore) },
    mqAttended: { write: each(({ until, ...queue }) => mq.attend(queue, until, Date.now())) },
    approval: { write: each((approval) => operator.createApproval(approval, Date.now())) },
    microblock: { write: all(operator.restoreMicroblocks) },
    archived: { write: all(archive.restore) },
    registration: { write: each((registration) => archive.register(registration, Date.now())) },
    contactNonce: {
      write: all((records) => contacts.restore(records.map((one) => ({ kind: 'nonce', ...one })))),
    },
    contactToken: {
      write: all((records) => contacts.restore(records.map((one) => ({ kind: 'token', ...one })))),
    },
    installations: {
      write: all((records) => contacts.restore(records.map((one) => ({ kind: 'installations', ...one })))),
    },
    pushed: { write: ofKept(notify, notify.restorePushes) },
    actionAnswer: { write: ofKept(notify, notify.restoreAnswers) },
    ...pushWrites(push),
    passkey: { write: each((passkey) => putPasskey(console, passkey)) },
    block: { write: each((block) => console.block(block, Date.now())) },
    audit: { write: all(console.restoreAudit) },
    contested: {
      write: each((record) => restoreContested(notify, record)),
    },
  }
}
