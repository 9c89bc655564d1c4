/**
 * Turns an outbox entry into the message that goes to the relay: looks up what it is about, signs, seals.
 *
 * The same entry gives the same message, byte for byte, as long as what it says is the same: `iat` is when the entry
 * came into being, ids follow from the entry's id, the iv follows from key and text. So a repeated delivery is a
 * duplicate to the relay. (Views say what is true at delivery; there a repetition may say something newer.)
 *
 * **Which key signs, while former keys still count.** An answer, the one that its request was addressed to, and news to a
 * watcher, the one that its watch was: a client that verifies does so with the key that it asked, and it may have cached
 * an old one for life. A notification, the app's present one, and views name that one: nobody asked for it, devices of
 * one account know different keys, and no choice suits all of them. Published clients do not look at who signed a
 * notification; ours looks for a key that it does not know in the app's did.json, which lists all that count.
 */
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

/** Who asked is there to hear it, or nobody is: strangers cause such answers for nothing. */
const FAULT_TTL_SECONDS = 300

const MESSAGE = NOTIFY_METHODS[4002]
const CHANGED = NOTIFY_METHODS[4012]

/** Version of our JWTs, as the published clients write it. */
const MJV = '1'

export interface MessageWriter {
  /** Undefined when there is nothing to say any more: the subscription or watcher is gone. */
  write(entry: OutboxEntry & { task: MessageTask }): Promise<OutgoingMessage | undefined>
}

/** One for each batch: it looks up an app once. */
export const createMessageWriter = (deps: MessageWriterDeps): MessageWriter => {
  const { store, vault, apps, serverKeys, publicUrl, clock } = deps

  const seen = new Map<string, Promise<App | undefined>>()
  const appOf = (domain: string): Promise<App | undefined> => {
    const known = seen.get(domain)
    if (known) return known
    const app = apps.byDomain(domain)
    seen.set(domain, app)
    return app
  }

  let looked: Promise<void> | undefined
  /**
   * The keys with this did:key. One of the server's that is not known here may be new: another process has replaced the
   * keys a moment ago, and carried out what is answered here.
   */
  const keysWith = async (ring: KeyRing, did: string | undefined): Promise<Keys | undefined> => {
    const known = keysOf(ring, did)
    if (known || did === undefined || ring !== serverKeys) return known
    looked ??= serverKeys.refresh()
    await looked
    return keysOf(ring, did)
  }

  const sealed = (key: Uint8Array, plaintext: string): string =>
    sealType0({ key, plaintext, iv: deterministicIv(key, plaintext) })

  const signed = (claims: Record<string, unknown>, signer: SigningKey, from: number, ttl: number): string => {
    const iat = Math.floor(from / 1000)
    return signJwt({ iat, exp: iat + ttl, iss: signer.did, mjv: MJV, ...claims }, signer)
  }

  /** `sbs`: what the account has now, named as this reader names itself. */
  const subscriptionsFor = async (reader: {
    accountKey: string
    account: string
    domain: string | null
  }): Promise<Record<string, unknown>[]> => {
    const { record } = await store.account(reader.accountKey)
    const held = viewOf(record, reader.domain, clock.now())
    const unread = held.length > 0 ? await store.unreadCounts(held.map(({ id }) => id)) : []
    const items = await Promise.all(
      held.map(async (subscription, at) => {
        const app = await appOf(subscription.domain)
        return (
          app && {
            appDomain: subscription.domain,
            appAuthenticationKey: app.authentication.did,
            symKey: toHex(vault.open(subscription.key)),
            account: reader.account,
            scope: subscription.scope,
            expiry: Math.floor(subscription.expiresAt / 1000),
            unreadNotificationCount: unread[at] ?? 0,
          }
        )
      }),
    )
    return items.filter((item) => item !== undefined)
  }

  const response = async (
    entry: OutboxEntry,
    task: Extract<OutboxTask, { kind: 'response' }>,
  ): Promise<OutgoingMessage | undefined> => {
    const method = notifyMethodByResponseTag(task.tag)
    if (!method) throw new Error(`No method is answered with tag ${task.tag}`)
    const letter = { topic: task.topic, tag: task.tag, ttl: method.responseTtl, prompt: false }
    const key = vault.open(task.key)
    if (task.error) {
      return {
        ...letter,
        ttl: FAULT_TTL_SECONDS,
        message: sealed(key, rpcFailure(task.rpcId, task.error.code, task.error.message)),
      }
    }
    const ring = task.signer === null ? serverKeys : await appOf(task.signer)
    if (!ring) return undefined
    const signer = ((await keysWith(ring, task.signerKey)) ?? ring).authentication
    const claims = task.view ? { ...task.claims, sbs: await subscriptionsFor(task.view) } : task.claims
    const jwt = signed(claims, signer, entry.createdAt, method.responseTtl)
    const message = sealed(key, rpcResult(task.rpcId, { [method.resultParam]: jwt }))
    if (message.length <= LIMITS.messageBytes) return { ...letter, message }
    // Clients wait for an answer without a time-out, so there must be one.
    const tooLarge = new ProtocolError('too_large', 'the account has too many subscriptions to list')
    return { ...letter, message: sealed(key, rpcFailure(task.rpcId, tooLarge.rpc, tooLarge.message)) }
  }

  const changed = async (
    entry: OutboxEntry,
    task: Extract<OutboxTask, { kind: 'changed' }>,
  ): Promise<OutgoingMessage | undefined> => {
    const { record } = await store.account(task.accountKey)
    const watcher = watcherOf(record, task.identityKey, clock.now())
    if (!watcher) return undefined
    const claims = {
      act: CHANGED.requestAct,
      aud: watcher.identityKey,
      sub: didPkh(watcher.account),
      sbs: await subscriptionsFor({ ...watcher, accountKey: task.accountKey }),
    }
    const former = watcher.serverKey === undefined ? serverKeys.previous.at(-1) : undefined
    const asked = await keysWith(serverKeys, watcher.serverKey)
    const signer = (asked ?? former ?? serverKeys).authentication
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

  const notification = async (
    entry: OutboxEntry,
    task: Extract<OutboxTask, { kind: 'notification' }>,
  ): Promise<OutgoingMessage | undefined> => {
    const id = deliveredIdOf(task.subscriptionId, task.notificationId)
    const [app, { record }, copy] = await Promise.all([
      appOf(task.domain),
      store.account(task.accountKey),
      store.delivered(task.subscriptionId, id),
    ])
    const subscription = viewOf(record, task.domain, clock.now()).find(
      (held) => held.id === task.subscriptionId,
    )
    if (!app || !copy || !subscription) return undefined
    const { type, title, body, icon, url, deliverBy } = copy.notification
    // Histories keep the app's own url: what is followed from there is counted nowhere.
    const link = url && app.record.links ? new URL(`/v1/notification/${id}`, publicUrl).href : url
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
        // As it was when it was sent; what has been read meanwhile, the history knows.
        is_read: false,
      },
    }
    const jwt = signed(claims, app.authentication, entry.createdAt, MESSAGE.requestTtl)
    const text = rpcRequest(rpcIdOf(entry.id), MESSAGE.method, { [MESSAGE.requestParam]: jwt })
    return {
      topic: subscription.topic,
      message: sealed(vault.open(subscription.key), text),
      tag: MESSAGE.requestTag,
      // Nobody gets it from the relay, either, once it is too late.
      ttl: Math.max(1, Math.min(MESSAGE.requestTtl, Math.floor((deliverBy - clock.now()) / 1000))),
      prompt: true,
    }
  }

  return {
    async write(entry) {
      const { task } = entry
      if (task.kind === 'response') return response(entry, task)
      if (task.kind === 'changed') return changed(entry, task)
      return notification(entry, task)
    },
  }
}

const LEAST_ID = 1_000_000_000_000_000n
const IDS = BigInt(Number.MAX_SAFE_INTEGER) - LEAST_ID

/**
 * A JSON-RPC id of 16 digits that follows from the entry's id. Clients key what they received by it, so it is spread
 * over all such numbers rather than made of the time.
 */
const rpcIdOf = (entryId: string): number => {
  const hash = toHex(fromHex(topicOf(utf8(entryId))).subarray(0, 8))
  return Number(LEAST_ID + (BigInt(`0x${hash}`) % IDS))
}
