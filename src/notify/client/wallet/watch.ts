/**
 * Watching: what the account has, and being told of changes. A watch ends at the server after a day, and the relay keeps
 * news for five minutes only; so the device watches again twice a day, when it starts, and after it was away for long.
 */

import type { FetchDeps } from '../../../platform/net/fetch-json.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Log } from '../../../platform/telemetry.ts'
import { sealType1 } from '../../../protocol/envelope.ts'
import { NOTIFY_METHODS, type SubscriptionItem } from '../../../protocol/notify-methods.ts'
import { topicOf } from '../../../protocol/topic.ts'
import type { RelayClient } from '../../../relay/client/index.ts'
import { fetchKeys } from '../app-keys.ts'
import type { Device } from './device.ts'
import type { createRequests } from './requests.ts'

export interface WatchDeps {
  fetchDeps: FetchDeps
  clock: Clock
  log: Log
  device: Device
  relay: Pick<RelayClient, 'subscribe' | 'unsubscribe' | 'onConnectionChange'>
  requests: ReturnType<typeof createRequests>
  register: () => Promise<void>
  inTime: <T>(wait: Promise<T>) => Promise<T>
}

const AGAIN_AFTER = 12 * 3_600_000
const RETRY_AFTER = 60_000
/** The relay keeps news for 300 s; who was away for longer has missed some. */
const NEWS_KEPT = 300_000

export const createWatch = (
  { fetchDeps, clock, log, device, relay, requests, register, inTime }: WatchDeps,
  {
    notifyUrl,
    claims,
    take,
  }: {
    notifyUrl: string
    claims: Record<string, unknown>
    take: (view: readonly SubscriptionItem[], iat: number) => Promise<void>
  },
) => {
  let next: Disposable | undefined
  let underWay: Promise<void> | undefined
  let awaySince: number | undefined

  const ask = async (): Promise<void> => {
    await register()
    // VerifiedRequest for each time: a server that was set up anew has other keys.
    const server = await fetchKeys(fetchDeps, `${notifyUrl}/.well-known/did.json`)
    const before = device.watchedWith()?.topic
    device.watchAt(server)
    const watched = device.watchedWith()
    if (!watched) return
    const { key, topic } = watched
    if (before !== undefined && before !== topic) await inTime(relay.unsubscribe([before]))
    await inTime(relay.subscribe([topic]))
    await requests.ask(NOTIFY_METHODS[4010], {
      topic: topicOf(server.subscribe),
      seal: (plaintext) => sealType1({ key, senderPublicKey: device.watchPair.publicKey, plaintext }),
      responseTopic: topic,
      of: server.authentication,
      claims,
      apply: ({ sbs, iat }) => take(sbs, iat),
    })
    await device.save()
    plan(AGAIN_AFTER)
  }

  const now = (): Promise<void> => {
    underWay ??= ask().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  const plan = (delay: number) => {
    next?.[Symbol.dispose]()
    next = clock.after(delay, () => {
      // Nobody is asked for a signature by a timer.
      if (device.server === undefined || !device.isRegistered()) return
      now().catch((error: unknown) => {
        log.warn({ err: error }, 'The account could not be watched again; it is tried later')
        plan(RETRY_AFTER)
      })
    })
  }

  const connections = relay.onConnectionChange((connected) => {
    const away = awaySince === undefined ? 0 : clock.now() - awaySince
    awaySince = connected ? undefined : clock.now()
    if (connected && away >= NEWS_KEPT) plan(0)
  })
  if (device.server !== undefined) plan(0)

  const stop = () => next?.[Symbol.dispose]()
  return {
    now,
    /** By itself, as after a long absence. */
    soon: () => plan(0),
    /** No more by itself, until it is asked for again. */
    stop,
    [Symbol.dispose]() {
      connections[Symbol.dispose]()
      stop()
    },
  }
}
