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
import { fromHex, toHex, utf8 } from '../../protocol/bytes.ts'
import { didPkh, didWeb } from '../../protocol/did.ts'
import { deterministicIv, sealType0 } from '../../protocol/envelope.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { rpcFailure, rpcRequest, rpcResult } from '../../protocol/jsonrpc.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { NOTIFY_METHODS, notifyMethodByResponseTag } from '../../protocol/notify-methods.ts'
import { LIMITS } from '../../protocol/relay-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { App, Apps } from '../apps/apps.ts'
import { type KeyRing, type Keys, keysOf } from '../apps/key-ring.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import { deliveredIdOf } from '../ids.ts'
import type { NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import { viewOf, watcherOf } from '../subscriptions/rules.ts'

/** A message for the relay; `ttl` in seconds. */
export interface OutgoingMessage {
  topic: string
  message: string
  tag: number
  ttl: number
  prompt: boolean
}

export type MessageTask = Exclude<OutboxTask, { kind: 'leave' | 'event' | 'welcome' }>

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

const MESSAGE = NOTIFY_METHODS[4002]
const CHANGED = NOTIFY_METHODS[4012]

/** Version of our JWTs, as the published clients write it. */
const MJV = '1'

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

const sealed = (key: Uint8Array, plaintext: string): string =>
  sealType0({ key, plaintext, iv: deterministicIv(key, plaintext) })

const signed = (claims: Record<string, unknown>, signer: SigningKey, at: number, ttl: number): string => {
  const iat = Math.floor(at / 1000)
  return signJwt({ iat, exp: iat + ttl, iss: signer.did, mjv: MJV, ...claims }, signer)
}

/** One writer for each batch: it looks up an app once. */
export const createMessageWriter = (deps: MessageWriterDeps): MessageWriter => {
  const appOf = createAppLookup(deps)
  const keysWith = createKeyLookup(deps)
  const viewOfReader = createViews(deps, appOf)
  const writeResponse = createResponseWriter(deps, { appOf, keysWith, viewOfReader })
  const writeChanged = createAccountChangedWriter(deps, { keysWith, viewOfReader })
  const writeNotification = createNotificationWriter(deps, appOf)
  return {
    async write(entry) {
      const { task } = entry
      if (task.kind === 'response') return writeResponse(entry, task)
      if (task.kind === 'changed') return writeChanged(entry, task)
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
    const { accountKey } = reader
    const of = subscriptions.map(({ id: subscriptionId }) => ({ accountKey, subscriptionId }))
    const unread = of.length > 0 ? await store.unreadCounts(of) : []
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

const createNotificationWriter =
  (
    { store, vault, publicUrl, clock }: Pick<MessageWriterDeps, 'store' | 'vault' | 'publicUrl' | 'clock'>,
    appOf: AppLookup,
  ): Write<'notification'> =>
  async (entry, task) => {
    const id = deliveredIdOf(task.subscriptionId, task.notificationId)
    const [app, { record }, copy] = await Promise.all([
      appOf(task.domain),
      store.account(task.accountKey),
      store.delivered(task.accountKey, task.subscriptionId, id),
    ])
    const subscription = viewOf(record, task.domain, clock.now()).find(
      (one) => one.id === task.subscriptionId,
    )
    if (!app || !copy || !subscription) return undefined
    invariant(copy.id === id, 'A copy is stored under its own id')
    const { type, title, body, icon, url, deliverBy } = copy.notification
    // Histories keep the app's own url, so a visit from a history is counted nowhere.
    // It was published before the app asked for links: then none leads to it.
    const isLinked = url && app.record.links && (await store.deliveredById(id))
    const link = isLinked ? new URL(`/v1/notification/${id}`, publicUrl).href : url
    const claims = {
      act: MESSAGE.requestAct,
      sub: didPkh(subscription.account),
      app: didWeb(task.domain),
      msg: {
        id,
        sent_at: copy.sentAt,
        type,
        title,
        body,
        icon: icon ?? '',
        url: link ?? '',
        // As it was when it was sent; the history says what has been read meanwhile.
        is_read: false,
      },
    }
    const jwt = signed(claims, app.authentication, entry.createdAt, MESSAGE.requestTtl)
    const text = rpcRequest(rpcIdOf(entry.id), MESSAGE.method, { [MESSAGE.requestParam]: jwt })
    return {
      topic: subscription.topic,
      message: sealed(vault.open(subscription.key), text),
      tag: MESSAGE.requestTag,
      // The relay does not deliver it, either, once it is too late.
      ttl: Math.max(1, Math.min(MESSAGE.requestTtl, Math.floor((deliverBy - clock.now()) / 1000))),
      prompt: true,
    }
  }

const MIN_RPC_ID = 1_000_000_000_000_000n
const RPC_ID_COUNT = BigInt(Number.MAX_SAFE_INTEGER) - MIN_RPC_ID

/**
 * A JSON-RPC id of 16 digits that follows from the entry's id. Clients key received messages by it, so it is spread over
 * all such numbers rather than made of the time.
 */
const rpcIdOf = (entryId: string): number => {
  const hash = toHex(fromHex(topicOf(utf8(entryId))).subarray(0, 8))
  return Number(MIN_RPC_ID + (BigInt(`0x${hash}`) % RPC_ID_COUNT))
}
