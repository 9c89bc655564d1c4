/**
 * The wallet's side of the notify protocol: one device of one account. Node and browsers.
 *
 * Guarantees:
 * - A notification is delivered to the `message` listeners before it is acknowledged, and not again once they have
 *   resolved (with `save`: once the state is saved). A listener that rejects gets it again later.
 * - Only notifications that the app's own key signed are delivered; a message that does not verify is dropped and logged.
 * - Every request resolves or rejects with a `ProtocolError`, after `requestTimeout` at the latest.
 * - It stays up to date by itself: it follows reconnects, and watches again twice a day and after a long absence.
 *
 * | does        | sends | answer | on                                    |
 * |-------------|-------|--------|---------------------------------------|
 * | watch       | 4010  | 4011   | the server's topic → watch topic      |
 * | subscribe   | 4000  | 4001   | the app's topic → a topic of its own  |
 * | delete      | 4004  | 4005   | notify topic                          |
 * | update      | 4008  | 4009   | notify topic                          |
 * | history     | 4014  | 4015   | notify topic                          |
 * | markRead    | 4016  | 4017   | notify topic                          |
 * | answer      | 4018  | 4019   | notify topic                          |
 * | takes       | 4002  | 4003   | notify topic: a notification          |
 * | takes       | 4012  | –      | watch topic: the account has changed  |
 */

import { crypto } from '#crypto'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Log } from '../../../platform/telemetry.ts'
import { didWeb } from '../../../protocol/did.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { SubscriptionItem } from '../../../protocol/notify-methods.ts'
import { withoutTrailingSlashes } from '../../../protocol/urls.ts'
import { createRelayClient, type RelayClient } from '../../../relay/client/index.ts'
import { declaredTypes, defaultAppKeys, type ResolveAppKeys } from '../app-keys.ts'
import type { Wallet, WalletDeps, WalletEvents, WalletOptions } from './api.ts'
import { createDevice, type Device } from './device.ts'
import { grantedCacao } from './identity.ts'
import { createInbox, laneOf } from './inbox.ts'
import { createRequests } from './requests.ts'
import { shareSubscriptions } from './shared.ts'
import type { ViewChange } from './state.ts'
import { createAppRequests, createSubscribe, type Take } from './subscription-requests.ts'
import { createWatch } from './watch.ts'

const DEFAULT_REQUEST_TIMEOUT_MS = 30_000

/** Calls during a run wait for that run. */
const once = <T>(task: () => Promise<T>): (() => Promise<T>) => {
  let underWay: Promise<T> | undefined
  return () => {
    underWay ??= task().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}

const createEvents = () => {
  const listeners: { [E in keyof WalletEvents]: Set<(value: WalletEvents[E]) => void | Promise<void>> } = {
    message: new Set(),
    digest: new Set(),
    changed: new Set(),
    connection: new Set(),
  }
  return {
    async emit<E extends keyof WalletEvents>(event: E, value: WalletEvents[E]): Promise<void> {
      for (const listener of listeners[event]) await listener(value)
    },
    on<E extends keyof WalletEvents>(
      event: E,
      listener: (value: WalletEvents[E]) => void | Promise<void>,
    ): Disposable {
      listeners[event].add(listener)
      return { [Symbol.dispose]: () => void listeners[event].delete(listener) }
    },
  }
}

/** The relay topics of the device. */
const createTopics = (device: Device, relay: Pick<RelayClient, 'subscribe' | 'unsubscribe'>) => {
  /** Topics that this connection's relay was asked for; those of a failed attempt are asked for again. */
  const joined = new Set(device.topics())
  return {
    joinKnown: () => relay.subscribe([...joined]),
    /** Joins the topics of new subscriptions and leaves the others; one with an awaited answer is left by `answered`. */
    async follow(left: readonly string[]): Promise<void> {
      const missing = device.subscriptions.topics().filter((topic) => !joined.has(topic))
      const over = left.filter((topic) => !device.isAnswerAwaitedOn(topic))
      await Promise.all([relay.subscribe(missing), relay.unsubscribe(over)])
      for (const topic of missing) joined.add(topic)
      for (const topic of over) joined.delete(topic)
    },
    /** A request on the topic has ended: leaves the topic if its subscription ended meanwhile. */
    answered(topic: string): void {
      const isOver = joined.has(topic) && !device.topics().includes(topic)
      if (!isOver || device.isAnswerAwaitedOn(topic)) return
      joined.delete(topic)
      relay.unsubscribe([topic]).catch(() => {})
    },
    /** Returns the topics that were joined. */
    forget(): string[] {
      const all = [...joined]
      joined.clear()
      return all
    },
  }
}

/** For what waits for a connection: rejects with `unavailable` when there is none in time. */
const createInTime =
  (clock: Clock, timeoutMs: number) =>
  <T>(wait: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const sentence = `the relay did not answer within ${timeoutMs / 1000} s`
      const timer = clock.after(timeoutMs, () => reject(new ProtocolError('unavailable', sentence)))
      wait.then(resolve, reject).finally(() => timer[Symbol.dispose]())
    })

/** Registers the identity key of the device, unless it is registered. */
const createRegister = (
  { keys, clock, randomBytes = crypto.randomBytes }: WalletDeps,
  { account, keysUrl, domain, allApps = false, sign }: WalletOptions,
  device: Device,
) =>
  once(async () => {
    const what = `${allApps ? 'all apps' : domain} at ${keysUrl}`
    if (device.isRegisteredFor(what)) return
    const grant = { account, domain, allApps, identityKey: device.identity.did, keysUrl }
    const cacao = await grantedCacao(grant, { now: clock.now(), nonce: randomBytes(16), sign })
    await keys.registerIdentity(cacao, device.identity)
    await device.registered(what)
  })

/** Whether the did.json of an app, read now, lists the did:key. */
const createIsKeyOf =
  (resolveAppKeys: ResolveAppKeys) =>
  async (app: string, did: string): Promise<boolean> => {
    try {
      const { authentication, former = [] } = await resolveAppKeys(app)
      return authentication === did || former.includes(did)
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'unknown_app') return false
      throw error
    }
  }

/** Has the listeners know when the connection is made or lost. */
const tellConnection = (
  relay: Pick<RelayClient, 'onConnectionChange'>,
  { events, log }: { events: ReturnType<typeof createEvents>; log: Log },
): void => {
  relay.onConnectionChange((connected) => {
    events.emit('connection', connected).catch((error: unknown) => {
      log.warn({ err: error }, 'A listener of the connection failed')
    })
  })
}

/** Both resolve when the application has processed it. */
const deliveriesTo = ({ emit }: Pick<ReturnType<typeof createEvents>, 'emit'>) => ({
  deliver: (received: WalletEvents['message']) => emit('message', received),
  deliverDigest: (received: WalletEvents['digest']) => emit('digest', received),
})

/** The device with its relay connection, events and subscriptions; it processes what the relay delivers. */
const createConnectedDevice = (deps: WalletDeps, options: WalletOptions) => {
  const { clock, log, meter, randomBytes = crypto.randomBytes } = deps
  const { account, keysUrl, domain, allApps = false, receipts = true } = options
  const { requestTimeout = DEFAULT_REQUEST_TIMEOUT_MS, resolveAppKeys = defaultAppKeys(deps, options) } =
    options
  const device = createDevice({ account, state: options.state, save: options.save }, randomBytes)
  const { subscriptions } = device
  const events = createEvents()
  const relay = createRelayClient(
    { clock, log, meter, randomBytes },
    {
      url: options.relayUrl,
      key: device.relayKey,
      ...(options.projectId !== undefined && { projectId: options.projectId }),
      onMessage: (message) => inbox.received(message),
      laneOf,
    },
  )
  const topics = createTopics(device, relay)
  const requests = createRequests(
    { relay, clock, randomBytes },
    {
      account,
      identity: () => device.identity,
      timeout: requestTimeout,
      // The key server may be a new one; the next request registers again, with a new signature.
      onUnknownIdentity: () => device.unregistered(),
    },
  )

  /** Resolves when the topics are joined, the state is saved and the listeners have the change. */
  const follow = async ({ changed, left }: ViewChange): Promise<void> => {
    await topics.follow(left)
    if (!changed) return
    await device.save()
    await events.emit('changed', subscriptions.all(clock.now()))
  }
  /** The app that this device may see; null for all apps. */
  const complete = allApps ? null : domain
  const shared = shareSubscriptions(
    { subscriptions, settle: follow, log },
    { shared: options.sharedSubscriptions, domain: complete },
  )
  const take: Take = async (view, about) => {
    const change = subscriptions.apply(view, about)
    await follow(change)
    if (change.changed) await shared.changed(change.left)
  }
  const takeAll = (view: readonly SubscriptionItem[], iat: number) => take(view, { complete, iat })
  let onOtherServerKey = () => {}
  const isKeyOf = createIsKeyOf(resolveAppKeys)
  const inbox = createInbox(
    {
      ...{ device, relay, requests, clock, log, meter, isKeyOf, take: takeAll },
      ...deliveriesTo(events),
      onOtherServerKey: () => onOtherServerKey(),
    },
    { keysUrl, receipts },
  )
  topics
    .joinKnown()
    .catch((err: unknown) => log.warn({ err }, 'The topics of the wallet could not be joined'))
  tellConnection(relay, { events, log })
  return {
    ...{ device, events, relay, topics, requests, shared, take, takeAll },
    setOnOtherServerKey(listener: () => void) {
      onOtherServerKey = listener
    },
  }
}

export const createWallet = (deps: WalletDeps, options: WalletOptions): Wallet => {
  const { clock, log, keys } = deps
  const { account, keysUrl, domain, allApps = false } = options
  const { requestTimeout = DEFAULT_REQUEST_TIMEOUT_MS, resolveAppKeys = defaultAppKeys(deps, options) } =
    options
  const notifyUrl = withoutTrailingSlashes(options.notifyUrl)
  const connected = createConnectedDevice(deps, options)
  const { device, events, relay, topics, requests, shared, take } = connected
  const inTime = createInTime(clock, requestTimeout)
  const register = createRegister(deps, options, device)
  const watch = createWatch(
    { fetchDeps: deps, clock, log, device, relay, requests, register, inTime },
    {
      notifyUrl,
      claims: { ksu: keysUrl, app: allApps ? null : didWeb(domain) },
      take: connected.takeAll,
    },
  )
  connected.setOnOtherServerKey(watch.soon)
  const { projectId } = options
  const typesOf = (app: string) => declaredTypes(deps, notifyUrl, { domain: app, projectId })
  const appRequest = { device, requests, register, take, onAnswered: topics.answered, keysUrl }

  const unregister = async (): Promise<void> => {
    if (device.isRegistered()) await keys.unregisterIdentity(device.identity, account)
    watch.stop()
    shared[Symbol.dispose]()
    const left = [...device.topics(), ...topics.forget()]
    await device.forget()
    await inTime(relay.unsubscribe(left))
  }

  const close = async () => {
    options.signal?.removeEventListener('abort', onAbort)
    watch[Symbol.dispose]()
    shared[Symbol.dispose]()
    requests.failAll(new ProtocolError('unavailable', 'the wallet was closed'))
    await relay[Symbol.asyncDispose]()
  }
  const onAbort = () => void close()
  if (options.signal?.aborted) onAbort()
  else options.signal?.addEventListener('abort', onAbort, { once: true })

  return {
    account,
    get identityKey() {
      return device.identity.did
    },
    get connected() {
      return relay.connected
    },
    ready: relay.ready,
    register,
    ...createAppRequests(appRequest),
    subscribe: createSubscribe(appRequest, { relay, inTime, resolveAppKeys, typesOf }),

    async watch() {
      await watch.now()
      return device.subscriptions.all(clock.now())
    },

    unregister,

    subscriptions: () => device.subscriptions.all(clock.now()),
    on: events.on,
    export: device.export,
    [Symbol.asyncDispose]: close,
  }
}
