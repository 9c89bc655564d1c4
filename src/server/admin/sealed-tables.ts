/**
 * The one list of what is encrypted at rest under the secret. Another encrypted value is one more entry of
 * `createSealedTables`.
 */
import type { Vault } from '../../notify/apps/vault.ts'
import type { NotifyStore, Sealed, Subscription, Watcher } from '../../notify/store/store.ts'
import type { Webhook } from '../../notify/store/webhooks.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Records } from '../../storage/transfer/transfer.ts'

export type SealedTableName = 'serverKeys' | 'project' | 'app' | 'account' | 'outbox'

/**
 * Encrypts what the record holds with the present secret, where another one was used. Returns under which secret it was.
 * Idempotent; a record that somebody else changes meanwhile is read again.
 */
export type Reencrypt<R> = (record: R) => Promise<'present' | 'other' | 'unreadable'>

/** How often a record is tried that somebody else changes meanwhile. */
const MAX_ATTEMPTS = 20

/** `change` returns true when nobody else changed the record first. */
const retryConflicts = async (change: () => Promise<boolean>): Promise<void> => {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) if (await change()) return
}

type Renew = (sealed: Sealed) => Sealed

/** `sealedIn`: what is encrypted in the record. `replace` writes the record anew. */
const reencryptRecords =
  <R>(
    vault: Vault,
    sealedIn: (record: R) => readonly Sealed[],
    replace: (record: R) => Promise<void>,
  ): Reencrypt<R> =>
  async (record) => {
    let isDue: boolean
    try {
      isDue = sealedIn(record).some((sealed) => vault.reencrypt(sealed) !== undefined)
    } catch {
      return 'unreadable'
    }
    if (!isDue) return 'present'
    await replace(record)
    return 'other'
  }

const replaceServerKeys = (notify: NotifyStore, renew: Renew) => () =>
  retryConflicts(async () => {
    const stored = await notify.storedServerKeys()
    if (!stored) return true
    const next = Object.fromEntries(Object.entries(stored).map(([name, sealed]) => [name, renew(sealed)]))
    return notify.swapServerKeys(stored, next)
  })

/** The secrets that sign a project's webhook calls. A former one that signs no more is left as it is: nobody opens it. */
const secretsOf = (webhooks: readonly Webhook[], now: number): Sealed[] =>
  webhooks.flatMap(({ secret, previous }) =>
    previous && previous.until > now ? [secret, previous.secret] : [secret],
  )

const replaceWebhooks =
  (notify: NotifyStore, renew: Renew, clock: Clock) =>
  ({ projectId }: { projectId: string }) =>
    retryConflicts(async () => {
      const { version, webhooks: stored } = await notify.webhooks(projectId)
      const now = clock.now()
      const webhooks = stored.map(
        ({ previous, ...webhook }): Webhook => ({
          ...webhook,
          secret: renew(webhook.secret),
          ...(previous &&
            previous.until > now && { previous: { ...previous, secret: renew(previous.secret) } }),
        }),
      )
      return notify.commitWebhooks({ projectId, expectedVersion: version, webhooks })
    })

const replaceApp =
  (notify: NotifyStore, renew: Renew) =>
  ({ domain }: { domain: string }) =>
    retryConflicts(async () => {
      const stored = await notify.app(domain)
      if (!stored) return true
      const renewKeys = <K extends { authenticationSeed: Sealed; subscribePrivateKey: Sealed }>(
        keys: K,
      ): K => ({
        ...keys,
        authenticationSeed: renew(keys.authenticationSeed),
        subscribePrivateKey: renew(keys.subscribePrivateKey),
      })
      const { previousKeys } = stored
      const next = {
        ...renewKeys(stored),
        ...(previousKeys && { previousKeys: previousKeys.map(renewKeys) }),
      }
      return notify.swapApp(stored, next)
    })

const replaceAccount =
  (notify: NotifyStore, renew: Renew) =>
  ({ accountKey }: { accountKey: string }) =>
    retryConflicts(async () => {
      const { version, record } = await notify.account(accountKey)
      if (version === 0) return true
      const renewKey = <H extends Subscription | Watcher>(one: H): H => ({ ...one, key: renew(one.key) })
      const next = {
        subscriptions: record.subscriptions.map(renewKey),
        watchers: record.watchers.map(renewKey),
      }
      const commit = { accountKey, expectedVersion: version, record: next, outbox: [] }
      return (await notify.commit(commit)) !== 'conflict'
    })

export const createSealedTables = (
  notify: NotifyStore,
  vault: Vault,
  clock: Clock,
): { [T in SealedTableName]: Reencrypt<Records[T]> } => {
  const renew: Renew = (sealed) => vault.reencrypt(sealed) ?? sealed
  const reencryptWebhooks = reencryptRecords(
    vault,
    ({ webhooks }: { projectId: string; webhooks: readonly Webhook[] }) => secretsOf(webhooks, clock.now()),
    replaceWebhooks(notify, renew, clock),
  )
  return {
    serverKeys: reencryptRecords(vault, ({ keys }) => Object.values(keys), replaceServerKeys(notify, renew)),
    /** What is encrypted of a project is what its webhooks' calls are signed with. */
    project: async ({ id }) =>
      reencryptWebhooks({ projectId: id, webhooks: (await notify.webhooks(id)).webhooks }),
    app: reencryptRecords<Records['app']>(
      vault,
      (app) =>
        [app, ...(app.previousKeys ?? [])].flatMap((keys) => [
          keys.authenticationSeed,
          keys.subscribePrivateKey,
        ]),
      replaceApp(notify, renew),
    ),
    /** Keys of subscriptions and watchers. */
    account: reencryptRecords<Records['account']>(
      vault,
      ({ record }) => [...record.subscriptions, ...record.watchers].map(({ key }) => key),
      replaceAccount(notify, renew),
    ),
    /** Answers that wait for the relay. */
    outbox: reencryptRecords(
      vault,
      ({ entry: { task } }) => (task.kind === 'response' ? [task.key] : []),
      async ({ entry: { id, task } }) => {
        if (task.kind === 'response') await notify.swapAnswerKey(id, task.key, renew(task.key))
      },
    ),
  }
}
