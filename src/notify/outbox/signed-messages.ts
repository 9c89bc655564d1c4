/**
 * Turns an outbox entry into the message for the relay: looks up what the entry is about, signs, seals.
 *
 * Guarantees: the same entry gives the same message, byte for byte, as long as its content is the same. `iat` is when the
 * entry was made, ids follow from the entry's id, the iv follows from key and text. So the relay drops a repetition as a
 * duplicate. (Views say what is true when they are written; a repetition may say something newer.)
 *
 * **Which key signs, while former keys still count.** An answer is signed with the key that its request was addressed to,
 * and a 4012 with the key that its watch was addressed to: a client verifies with the key that it asked, and may have
 * cached an old one for life. A notification is signed with the app's present key, and views name that key, because
 * devices of one account know different keys. Published clients do not check who signed a notification. Ours looks up an
 * unknown key in the app's did.json, which lists all that count.
 */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { toHex } from '../../protocol/bytes.ts'
import { didPkh } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { rpcFailure, rpcRequest, rpcResult } from '../../protocol/jsonrpc.ts'
import { NOTIFY_METHODS, notifyMethodByResponseTag } from '../../protocol/notify-methods.ts'
import { LIMITS } from '../../protocol/relay-methods.ts'
import type { App, Apps } from '../apps/apps.ts'
import { type KeyRing, type Keys, keysOf } from '../apps/key-ring.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import { deliveredIdOf } from '../ids.ts'
import type { NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import { viewOf, watcherOf } from '../subscriptions/rules.ts'
import { createDigestWriter } from './digest-message.ts'
import { createNotificationMessages } from './notification-message.ts'
import { type OutgoingMessage, rpcIdOf, sealed, signed } from './wire.ts'

export type MessageTask = Exclude<OutboxTask, { kind: 'leave' | 'event' | 'welcome' | 'notifications' }>

export interface MessageWriterDeps {
  store: NotifyStore
  vault: Pick<Vault, 'open'>
  apps: Pick<Apps, 'byDomain'>
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
  /** Where people who follow links reach this server. */
  publicUrl: string
  clock: Clock
}

export interface MessageWriter {
  /** Undefined when there is nothing to say any more: the subscription or watcher is gone. */
  write(entry: OutboxEntry & { task: MessageTask }): Promise<OutgoingMessage | undefined>
}

/** A client that asked is online, and anybody can cause faults, so the relay keeps such answers for a short time. */
const FAULT_TTL_S = 300

const CHANGED = NOTIFY_METHODS[4012]

type AppLookup = (domain: string) => Promise<App | undefined>
type KeyLookup = (ring: KeyRing, did: string | undefined) => Promise<Keys | undefined>
/** `sbs`: what the account has now, named as this reader names itself. */
type ViewOf = (reader: {
  accountKey: string
  account: string
  domain: string | null
}) => Promise<Record<string, unknown>[]>
type Task<K extends MessageTask['kind']> = Extract<MessageTask, { kind: K }>
type Write<K extends MessageTask['kind']> = (
  entry: OutboxEntry,
  task: Task<K>,
) => Promise<OutgoingMessage | undefined>

/** One writer for each batch: it looks up an app once. */
export const createMessageWriter = (deps: MessageWriterDeps): MessageWriter => {
  const appOf = createAppLookup(deps)
  const keysWith = createKeyLookup(deps)
  const viewOfReader = createViews(deps, appOf)
  const writeResponse = createResponseWriter(deps, { appOf, keysWith, viewOfReader })
  const writeChanged = createAccountChangedWriter(deps, { keysWith, viewOfReader })
  const writeNotification = createNotificationWriter(deps, appOf)
  const writeDigest = createDigestWriter(deps, appOf)
  return {
    async write(entry) {
      const { task } = entry
      if (task.kind === 'response') return writeResponse(entry, task)
      if (task.kind === 'changed') return writeChanged(entry, task)
      if (task.kind === 'digest') return writeDigest({ ...entry, task })
      return writeNotification(entry, task)
    },
  }
}

const createAppLookup = ({ apps }: Pick<MessageWriterDeps, 'apps'>): AppLookup => {
  const lookedUp = new Map<string, Promise<App | undefined>>()
  return (domain) => {
    const known = lookedUp.get(domain)
    if (known) return known
    const app = apps.byDomain(domain)
    lookedUp.set(domain, app)
    return app
  }
}

/**
 * Finds the keys with this did:key. An unknown key of the server may be new: another process has replaced the keys a
 * moment ago and carried out the request that is answered here. So the keys are read again, once.
 */
const createKeyLookup = ({ serverKeys }: Pick<MessageWriterDeps, 'serverKeys'>): KeyLookup => {
  let refreshed: Promise<void> | undefined
  return async (ring, did) => {
    const known = keysOf(ring, did)
    if (known || did === undefined || ring !== serverKeys) return known
    refreshed ??= serverKeys.refresh()
    await refreshed
    return keysOf(ring, did)
  }
}

const createViews =
  ({ store, vault, clock }: Pick<MessageWriterDeps, 'store' | 'vault' | 'clock'>, appOf: AppLookup): ViewOf =>
  async (reader) => {
    const { record } = await store.account(reader.accountKey)
    const subscriptions = viewOf(record, reader.domain, clock.now())
    const unread = subscriptions.length > 0 ? await store.unreadCounts(subscriptions.map(({ id }) => id)) : []
    invariant(unread.length === subscriptions.length, 'Each subscription has one unread count')
    const items = await Promise.all(
      subscriptions.map(async (subscription, at) => {
        const app = await appOf(subscription.domain)
        const count = unread[at] ?? 0
        invariant(count >= 0, 'An unread count is never below zero')
        return (
          app && {
            appDomain: subscription.domain,
            appAuthenticationKey: app.authentication.did,
            symKey: toHex(vault.open(subscription.key)),
            account: reader.account,
            scope: subscription.scope,
            expiry: Math.floor(subscription.expiresAt / 1000),
            unreadNotificationCount: count,
            ...(subscription.preferences && { preferences: subscription.preferences }),
          }
        )
      }),
    )
    return items.filter((item) => item !== undefined)
  }

const createResponseWriter =
  (
    { vault, serverKeys }: Pick<MessageWriterDeps, 'vault' | 'serverKeys'>,
    { appOf, keysWith, viewOfReader }: { appOf: AppLookup; keysWith: KeyLookup; viewOfReader: ViewOf },
  ): Write<'response'> =>
  async (entry, task) => {
    const method = notifyMethodByResponseTag(task.tag)
    if (!method) throw new Error(`No method is answered with tag ${task.tag}`)
    const ttl = method.responseTtl
    const response = { topic: task.topic, tag: task.tag, ttl, prompt: false }
    const key = vault.open(task.key)
    const failed = ({ code, message }: { code: number; message: string }) =>
      sealed(key, rpcFailure(task.rpcId, code, message))
    if (task.error) return { ...response, ttl: FAULT_TTL_S, message: failed(task.error) }
    const ring = task.signer === null ? serverKeys : await appOf(task.signer)
    if (!ring) return undefined
    const signer = ((await keysWith(ring, task.signerKey)) ?? ring).authentication
    const claims = task.view ? { ...task.claims, sbs: await viewOfReader(task.view) } : task.claims
    const jwt = signed(claims, signer, entry.createdAt, ttl)
    const message = sealed(key, rpcResult(task.rpcId, { [method.resultParam]: jwt }))
    if (message.length <= LIMITS.messageBytes) return { ...response, message }
    // Clients wait for an answer without a time-out, so there must be one.
    const tooLarge = new ProtocolError('too_large', 'the account has too many subscriptions to list')
    return { ...response, message: failed({ code: tooLarge.rpc, message: tooLarge.message }) }
  }

const createAccountChangedWriter =
  (
    { store, vault, serverKeys, clock }: Pick<MessageWriterDeps, 'store' | 'vault' | 'serverKeys' | 'clock'>,
    { keysWith, viewOfReader }: { keysWith: KeyLookup; viewOfReader: ViewOf },
  ): Write<'changed'> =>
  async (entry, task) => {
    const { record } = await store.account(task.accountKey)
    const watcher = watcherOf(record, task.identityKey, clock.now())
    if (!watcher) return undefined
    const claims = {
      act: CHANGED.requestAct,
      aud: watcher.identityKey,
      sub: didPkh(watcher.account),
      sbs: await viewOfReader({ ...watcher, accountKey: task.accountKey }),
    }
    const oldest = watcher.serverKey === undefined ? serverKeys.previous.at(-1) : undefined
    const addressed = await keysWith(serverKeys, watcher.serverKey)
    const signer = (addressed ?? oldest ?? serverKeys).authentication
    const jwt = signed(claims, signer, entry.createdAt, CHANGED.requestTtl)
    const text = rpcRequest(rpcIdOf(entry.id), CHANGED.method, { [CHANGED.requestParam]: jwt })
    return {
      topic: watcher.topic,
      message: sealed(vault.open(watcher.key), text),
      tag: CHANGED.requestTag,
      ttl: CHANGED.requestTtl,
      prompt: false,
    }
  }

const createNotificationWriter = (deps: MessageWriterDeps, appOf: AppLookup): Write<'notification'> => {
  const { store, clock } = deps
  const messageOf = createNotificationMessages(deps)
  return async ({ createdAt }, task) => {
    const id = deliveredIdOf(task.subscriptionId, task.notificationId)
    const [app, { record }, copy] = await Promise.all([
      appOf(task.domain),
      store.account(task.accountKey),
      store.delivered(task.subscriptionId, id),
    ])
    const subscription = viewOf(record, task.domain, clock.now()).find(
      (one) => one.id === task.subscriptionId,
    )
    if (!app || !copy || !subscription) return undefined
    invariant(copy.id === id, 'A copy is stored under its own id')
    return messageOf(app, copy.notification, subscription, { id, createdAt })
  }
}
