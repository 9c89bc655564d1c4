/**
 * Watching an account: reads what it has, and subscribes to its changes. A watch ends at the server after a day, and the
 * relay keeps a 4012 for five minutes. So the device watches again twice a day, when it starts, and after a long absence.
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
  fail: (error: unknown) => void
}

const WATCH_INTERVAL_MS = 12 * 3_600_000
const RETRY_AFTER_MS = 60_000
/** Notifications of the second in which the account was read are over then. */
const RECOUNT_AFTER_MS = 3_000
/** An app that sends without pause must not have the account read without pause. */
const MIN_RECOUNT_INTERVAL_MS = 60_000
/** The relay keeps a 4012 for as long; a device that was away for longer may have missed one. */
const MAX_ABSENCE_MS = NOTIFY_METHODS[4012].requestTtl * 1000

interface WatchOptions {
  notifyUrl: string
  claims: Record<string, unknown>
  take: (view: readonly SubscriptionItem[], iat: number) => Promise<void>
}

/** Sends one watch request; resolves with whether the device watches then. */
const createWatchRequest =
  (
    { fetchDeps, device, relay, requests, register, inTime }: WatchDeps,
    { notifyUrl, claims, take }: WatchOptions,
  ) =>
  async (): Promise<boolean> => {
    await register()
    // Read each time: a server that was set up anew has other keys.
    const server = await fetchKeys(fetchDeps, `${notifyUrl}/.well-known/did.json`)
    const before = device.watchedWith()?.topic
    device.watchAt(server)
    const watched = device.watchedWith()
    if (!watched) return false
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
    device.changed()
    await device.save()
    return true
  }

export const createWatch = (deps: WatchDeps, options: WatchOptions) => {
  const { clock, log, device, relay, fail } = deps
  const requestWatch = createWatchRequest(deps, options)
  let next: Disposable | undefined
  let underWay: Promise<void> | undefined
  let awaySince: number | undefined
  let watchedAt = Number.NEGATIVE_INFINITY
  let isRecountPlanned = false
  let isOver = false

  const ask = async (): Promise<void> => {
    if (!(await requestWatch())) return
    watchedAt = clock.now()
    isRecountPlanned = false
    plan(WATCH_INTERVAL_MS)
  }

  const now = (): Promise<void> => {
    underWay ??= ask().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  const plan = (delay: number) => {
    next?.[Symbol.dispose]()
    // What is still under way at the end may ask for more.
    if (isOver) return
    next = clock.after(delay, () => {
      // A timer must not ask the account's owner for a signature.
      if (device.server === undefined || !device.isRegistered()) return
      now().catch((error: unknown) => {
        log.warn({ err: error }, 'The account could not be watched again; it is tried later')
        fail(error)
        plan(RETRY_AFTER_MS)
      })
    })
  }

  const connections = relay.onConnectionChange((connected) => {
    const away = awaySince === undefined ? 0 : clock.now() - awaySince
    awaySince = connected ? undefined : clock.now()
    if (connected && away >= MAX_ABSENCE_MS) plan(0)
  })
  if (device.server !== undefined) plan(0)

  const stop = () => next?.[Symbol.dispose]()
  return {
    now,
    /** Watches without being asked, as after a long absence. */
    soon: () => plan(0),
    /** Reads the account soon, because nobody can tell whether a notification is counted. */
    recount(): void {
      if (isRecountPlanned || device.server === undefined) return
      isRecountPlanned = true
      plan(Math.max(RECOUNT_AFTER_MS, watchedAt + MIN_RECOUNT_INTERVAL_MS - clock.now()))
    },
    /** Stops watching by itself until `now` is called. */
    stop,
    [Symbol.dispose]() {
      isOver = true
      connections[Symbol.dispose]()
      stop()
    },
  }
}
