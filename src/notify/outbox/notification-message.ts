/** The message (4002) of one subscriber's copy of a notification. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { createQuietCheck } from '../../platform/runtime/quiet-hours.ts'
import { didPkh, didWeb } from '../../protocol/did.ts'
import { rpcRequest } from '../../protocol/jsonrpc.ts'
import { type Extras, isQuiet } from '../../protocol/notify/extras.ts'
import { minutesOf, type Preferences } from '../../protocol/notify/preferences.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import type { App } from '../apps/apps.ts'
import type { Vault } from '../apps/vault.ts'
import type { Notification, OutboxEntry, Subscription } from '../store/store.ts'
import { type OutgoingMessage, rpcIdOf, sealed, signed } from './wire.ts'

const MESSAGE = NOTIFY_METHODS[4002]

/** `entry`: named and dated as the copy's own outbox entry, which gives the same message, byte for byte. */
export type NotificationMessages = (
  app: App,
  notification: Notification,
  subscription: Pick<Subscription, 'account' | 'key' | 'topic' | 'preferences'>,
  entry: Pick<OutboxEntry, 'id' | 'createdAt'>,
) => OutgoingMessage

export const createNotificationMessages = ({
  vault,
  publicUrl,
  clock,
}: {
  vault: Pick<Vault, 'open'>
  /** Where people who follow links reach this server. */
  publicUrl: string
  clock: Pick<Clock, 'now'>
}): NotificationMessages => {
  const isQuietNow = createQuietCheck()
  /** Whether closed devices are to hear of it. */
  const wakes = (extras: Extras, { quiet, digest }: Preferences, now: number): boolean => {
    if (isQuiet(extras)) return false
    if (extras.priority === 'urgent') return true
    // The digest tells of it. What is kept is never `off`.
    if (digest !== undefined) return false
    if (quiet === undefined) return true
    const { from, to, timeZone } = quiet
    return !isQuietNow({ from: minutesOf(from), to: minutesOf(to), timeZone }, now)
  }

  return (app, notification, { account, key, topic, preferences }, { id, createdAt }) => {
    const { type, title, body, icon, url, deliverBy, domain, extras } = notification
    // Histories keep the app's own url, so a visit from a history is counted nowhere.
    const link = url && app.record.links ? new URL(`/v1/notification/${id}`, publicUrl).href : url
    const claims = {
      act: MESSAGE.requestAct,
      sub: didPkh(account),
      app: didWeb(domain),
      msg: {
        id,
        sent_at: notification.createdAt,
        type,
        title,
        body,
        icon: icon ?? '',
        url: link ?? '',
        // As it was when it was sent; the history says what has been read meanwhile.
        is_read: false,
        ...extras,
      },
    }
    const now = clock.now()
    const jwt = signed(claims, app.authentication, createdAt, MESSAGE.requestTtl)
    const text = rpcRequest(rpcIdOf(id), MESSAGE.method, { [MESSAGE.requestParam]: jwt })
    return {
      topic,
      message: sealed(vault.open(key), text),
      tag: MESSAGE.requestTag,
      // The relay does not deliver it, either, once it is too late.
      ttl: Math.max(1, Math.min(MESSAGE.requestTtl, Math.floor((deliverBy - now) / 1000))),
      prompt: extras || preferences ? wakes(extras ?? {}, preferences ?? {}, now) : true,
    }
  }
}
