/**
 * What reaches a wallet over the relay: answers to its requests, notifications (4002), changes of the account (4012).
 *
 * Decrypting and verifying come first, at once. A message that does not verify counts as received, because it would be no
 * better the next time. The action that follows may fail, and is repeated when the relay delivers the message again.
 */
import type * as z from '#schema'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../../platform/telemetry.ts'
import { fromHex } from '../../../protocol/bytes.ts'
import { accountKey } from '../../../protocol/caip.ts'
import { accountFromDidPkh, didPkh, didWeb, domainFromDidWeb } from '../../../protocol/did.ts'
import { openEnvelope, parseEnvelope, sealType0 } from '../../../protocol/envelope.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { parseRpc, type RpcRequest, rpcResult } from '../../../protocol/jsonrpc.ts'
import { signJwt, verifyJwt } from '../../../protocol/jwt.ts'
import { digestOf } from '../../../protocol/notify/digest.ts'
import { type Extras, extrasOf } from '../../../protocol/notify/extras.ts'
import {
  type HistoryItem,
  type MessageItem,
  NOTIFY_METHODS,
  notifyMethodByResponseTag,
  type SubscriptionItem,
} from '../../../protocol/notify-methods.ts'
import type { RelayClient, RelayMessage } from '../../../relay/client/index.ts'
import type { Device } from './device.ts'
import { type createRequests, MJV } from './requests.ts'

/** A notification, as the `message` event and the history have it; extras only where the app gave some. */
export interface Notification extends Extras {
  id: string
  /** Unix ms. */
  sentAt: number
  type: string
  title: string
  body: string
  icon: string | null
  url: string | null
  isRead: boolean
  /** Id of the action that the account answered with; only the history has it. */
  answered?: string
}

export interface ReceivedNotification {
  /** Domain of the app. */
  domain: string
  account: string
  notification: Notification
}

/** What came since the last digest. It is no notification itself: it is in no history and counts as no unread one. */
export interface ReceivedDigest {
  /** Domain of the app. */
  domain: string
  account: string
  digest: {
    id: string
    /** Unix ms. */
    sentAt: number
    /** The app's name. */
    title: string
    /** How many, and the first titles, as published clients show it. */
    body: string
    /** Unread notifications; at most 100 are counted. */
    count: number
    /** Of the first ones, newest first; each came by itself, too. */
    ids: string[]
  }
}

export interface InboxDeps {
  device: Device
  relay: Pick<RelayClient, 'publish'>
  requests: Pick<ReturnType<typeof createRequests>, 'answered'>
  clock: Clock
  log: Log
  meter: Meter
  /** Resolves when the application has processed it. */
  deliver: (received: ReceivedNotification) => Promise<void>
  deliverDigest: (received: ReceivedDigest) => Promise<void>
  /** Applies a view of the account made at `iat`, unix s. */
  take: (view: readonly SubscriptionItem[], iat: number) => Promise<void>
  /** Whether the app's did.json, read now, lists this did:key. Throws `unavailable` when it cannot be read. */
  isKeyOf: (domain: string, did: string) => Promise<boolean>
  /** An unread notification came that the youngest view of the account may have counted. */
  onUnsureCount: () => void
  /** Tells of unread counts that changed. */
  unreadChanged: () => void
  /** What went wrong while nobody waited for it. */
  fail: (during: 'message' | 'receipt', error: unknown) => void
  /** A 4012 came that is signed with another key than the server had when the account was watched. */
  onOtherServerKey: () => void
}

const MESSAGE = NOTIFY_METHODS[4002]
const CHANGED = NOTIFY_METHODS[4012]

/** Whether a message is no answer to a request. */
const isUnasked = (tag: number): boolean => tag === MESSAGE.requestTag || tag === CHANGED.requestTag

/** Answers must not wait behind a notification whose listener waits for them, so they have no lane. */
export const laneOf = ({ topic, tag }: RelayMessage): string | undefined =>
  isUnasked(tag) ? `${topic} ${tag}` : undefined

/** From `msg` or `nfs`; a missing icon or url is empty in one and null in the other. */
export const shownNotification = (item: MessageItem | HistoryItem): Notification => ({
  id: item.id,
  sentAt: item.sent_at,
  type: item.type,
  title: item.title,
  body: item.body,
  icon: item.icon || null,
  url: item.url || null,
  isRead: item.is_read,
  ...extrasOf(item),
  ...(typeof item.answer === 'string' && { answered: item.answer }),
})

type Action = () => Promise<void>

const tokenOf = ({ params }: RpcRequest, member: string): string => {
  const token = params instanceof Object ? new Map(Object.entries(params)).get(member) : undefined
  if (typeof token === 'string') return token
  throw new ProtocolError('bad_request', `it has no ${member}`)
}

const parsedClaims = <S extends z.ZodType>(schema: S, claims: unknown): z.output<S> => {
  const parsed = schema.safeParse(claims)
  if (parsed.success) return parsed.data
  throw new ProtocolError('bad_params', 'the claims are not what is expected')
}

interface InboxOptions {
  keysUrl: string
  receipts: boolean
}

/** Sends the app a receipt for a notification (4003), as published wallets do; nothing waits for it. */
const createReceiptSender =
  (
    { device, relay, clock, log, fail }: Pick<InboxDeps, 'device' | 'relay' | 'clock' | 'log' | 'fail'>,
    { keysUrl }: Pick<InboxOptions, 'keysUrl'>,
  ) =>
  (topic: string, item: SubscriptionItem, rpc: RpcRequest): void => {
    const iat = Math.floor(clock.now() / 1000)
    const claims = {
      iat,
      exp: iat + MESSAGE.responseTtl,
      iss: device.identity.did,
      aud: item.appAuthenticationKey,
      sub: didPkh(device.account),
      act: MESSAGE.responseAct,
      app: didWeb(item.appDomain),
      ksu: keysUrl,
      mjv: MJV,
    }
    const plaintext = rpcResult(rpc.idText, { [MESSAGE.resultParam]: signJwt(claims, device.identity) })
    const message = sealType0({ key: fromHex(item.symKey), plaintext })
    relay
      .publish({ topic, message, tag: MESSAGE.responseTag, ttl: MESSAGE.responseTtl })
      .catch((error: unknown) => {
        log.debug({ err: error }, 'A receipt could not be sent')
        fail('receipt', error)
      })
  }

/**
 * Counts a notification before its listeners hear of it, because one of them may mark it as read. When one rejects, the
 * notification comes again and is counted then.
 */
const createCounted =
  ({ device, onUnsureCount }: Pick<InboxDeps, 'device' | 'onUnsureCount'>) =>
  async (topic: string, iat: number, deliver: () => Promise<void>): Promise<void> => {
    const { isSure, undo } = device.subscriptions.countUnread(topic, iat)
    try {
      await deliver()
    } catch (error) {
      undo()
      throw error
    }
    if (!isSure) onUnsureCount()
  }

/** What a notification (4002) asks for. Throws a `ProtocolError` for one that is not acceptable. */
const createNotified = (
  deps: InboxDeps,
  { keysUrl, receipts }: InboxOptions,
  drop: (error: ProtocolError, tag: number) => void,
) => {
  const { device, clock, deliver, deliverDigest, isKeyOf, unreadChanged } = deps
  const ownKey = accountKey(device.account)
  const sendReceipt = createReceiptSender(deps, { keysUrl })
  /** The key with which each app signed last. */
  const accepted = new Map<string, string>()
  const counted = createCounted(deps)

  return (topic: string, rpc: RpcRequest): Action | undefined => {
    const item = device.subscriptions.onTopic(topic)
    if (!item) return undefined
    const expected = { now: clock.now(), act: MESSAGE.requestAct }
    const claims = parsedClaims(
      MESSAGE.requestClaims,
      verifyJwt(tokenOf(rpc, MESSAGE.requestParam), expected),
    )
    if (accountKey(accountFromDidPkh(claims.sub)) !== ownKey) throw new ProtocolError('account_mismatch')
    if (domainFromDidWeb(claims.app) !== item.appDomain) throw new ProtocolError('unknown_app')
    const notification = shownNotification(claims.msg)
    const { id, sentAt, title, body } = notification
    const digest = digestOf(claims.msg)
    const { appDomain: domain, account } = item
    return async () => {
      // After a rotation the app's did.json has the new key before the next view of the account has it.
      if (
        claims.iss !== item.appAuthenticationKey &&
        accepted.get(item.appDomain) !== claims.iss &&
        !(await isKeyOf(item.appDomain, claims.iss))
      ) {
        return drop(new ProtocolError('jwt_invalid', 'another key signed it'), MESSAGE.requestTag)
      }
      accepted.set(item.appDomain, claims.iss)
      if (!device.hasSeen(id)) {
        if (digest) await deliverDigest({ domain, account, digest: { id, sentAt, title, body, ...digest } })
        else await counted(topic, claims.iat, () => deliver({ domain, account, notification }))
        device.sees(id)
        unreadChanged()
      }
      if (receipts) sendReceipt(topic, item, rpc)
    }
  }
}

/** What a 4012 asks for. Throws a `ProtocolError` for one that is not acceptable. */
const createAccountChanged =
  ({ device, clock, take, onOtherServerKey }: InboxDeps) =>
  (rpc: RpcRequest): Action | undefined => {
    const { server } = device
    if (server === undefined) return undefined
    const expected = { now: clock.now(), act: CHANGED.requestAct, audience: device.identity.did }
    const { sbs, iat, iss } = parsedClaims(
      CHANGED.requestClaims,
      verifyJwt(tokenOf(rpc, CHANGED.requestParam), expected),
    )
    if (iss === server) return () => take(sbs, iat)
    // The server's key was replaced, or the sender is another: watching again decides.
    onOtherServerKey()
    throw new ProtocolError('jwt_invalid', 'another key signed it')
  }

export const createInbox = (deps: InboxDeps, options: InboxOptions) => {
  const { device, requests, log, meter, fail } = deps
  const drop = (error: ProtocolError, tag: number): void => {
    meter.count('wallet_dropped_total')
    log.warn({ err: error, tag }, 'A message was not accepted')
    fail('message', error)
  }
  const notified = createNotified(deps, options, drop)
  const accountChanged = createAccountChanged(deps)

  /** Throws a `ProtocolError` for what is not acceptable. */
  const actionOf = ({ topic, message, tag }: RelayMessage): Action | undefined => {
    const key = device.keyOf(topic)
    if (!key) return undefined
    // Others are a historic no-op, and the requests of other devices of the account.
    if (!isUnasked(tag) && !notifyMethodByResponseTag(tag)) return undefined
    const rpc = parseRpc(openEnvelope(parseEnvelope(message), key))
    if (rpc.kind === 'result' || rpc.kind === 'failure') return () => requests.answered(topic, rpc)
    if (rpc.kind !== 'request') return undefined
    return tag === MESSAGE.requestTag ? notified(topic, rpc) : accountChanged(rpc)
  }

  return {
    /** Resolves when the message need not come again, once the device is saved. */
    async received(message: RelayMessage): Promise<void> {
      let act: Action | undefined
      try {
        act = actionOf(message)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        drop(error, message.tag)
      }
      await act?.()
    },
  }
}
