/** The device with its relay connection: what the relay delivers reaches the device, and whoever listens to it. */
import { crypto } from '#crypto'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { SubscriptionItem } from '../../../protocol/notify-methods.ts'
import { createRelayClient, type RelayClient } from '../../../relay/client/index.ts'
import { defaultAppKeys, type ResolveAppKeys } from '../app-keys.ts'
import type { WalletDeps, WalletOptions } from './api.ts'
import { createDevice, type Device } from './device.ts'
import { createEvents, type Events } from './events.ts'
import { createInbox, laneOf } from './inbox.ts'
import { createRequests } from './requests.ts'
import { shareSubscriptions } from './shared.ts'
import type { ViewChange } from './state.ts'
import type { Take } from './subscription-requests.ts'
import { createUnread } from './unread.ts'

export const DEFAULT_REQUEST_TIMEOUT_MS = 30_000

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

/** Has the listeners know when the connection is made or lost, and when the relay refuses the device. */
const tellConnection = (relay: Pick<RelayClient, 'onConnectionChange' | 'ready'>, events: Events): void => {
  relay.onConnectionChange((connected) => events.tell(connected ? 'connected' : 'disconnected', undefined))
  relay.ready().catch((error: unknown) => events.fail('connect', error))
}

/** The device, and who is told of what happens to it. */
const createToldDevice = (
  { clock, log }: Pick<WalletDeps, 'clock' | 'log'>,
  { account, state, save }: Pick<WalletOptions, 'account' | 'state' | 'save'>,
  { randomBytes, isClosed }: { randomBytes: (length: number) => Uint8Array; isClosed: () => boolean },
) => {
  const events = createEvents(log, isClosed)
  const onSaveFailed = (error: unknown) => events.fail('save', error)
  const device = createDevice({ account, state, save, onSaveFailed }, randomBytes)
  const live = () => device.subscriptions.all(clock.now())
  const unread = createUnread(live, (changed) => events.tell('unread', changed))
  return { events, device, live, unread }
}
type ToldDevice = ReturnType<typeof createToldDevice>

/** Has the device follow what it is told of the account, by the server and by the account's other devices. */
const createFollowing = (
  { events, device, live, unread, topics }: ToldDevice & { topics: ReturnType<typeof createTopics> },
  { log }: Pick<WalletDeps, 'log'>,
  { domain, allApps = false, sharedSubscriptions }: WalletOptions,
) => {
  const { subscriptions } = device
  /** Resolves when the topics are joined, the state is saved and the listeners have the change. */
  const follow = async ({ changed, left }: ViewChange): Promise<void> => {
    // Before anything may fail: what comes again then changes nothing, and is to be saved all the same.
    if (changed) device.changed()
    await topics.follow(left)
    if (!changed) return
    await device.save()
    unread.changed()
    await events.emit('changed', live())
  }
  /** The app that this device may see; null for all apps. */
  const complete = allApps ? null : domain
  const shared = shareSubscriptions(
    { subscriptions, settle: follow, log, fail: (error) => events.fail('share', error) },
    { shared: sharedSubscriptions, domain: complete },
  )
  const take: Take = async (view, about) => {
    const change = subscriptions.apply(view, about)
    await follow(change)
    if (change.changed) await shared.changed(change.left)
  }
  const takeAll = (view: readonly SubscriptionItem[], iat: number) => take(view, { complete, iat })
  return { shared, take, takeAll }
}

/** The device with its relay connection, events and subscriptions; it processes what the relay delivers. */
export const createConnectedDevice = (
  deps: WalletDeps,
  options: WalletOptions,
  /** Errors of closing are none. */
  isClosed: () => boolean,
) => {
  const { clock, log, meter, randomBytes = crypto.randomBytes } = deps
  const { account, keysUrl, receipts = true, requestTimeout: timeout = DEFAULT_REQUEST_TIMEOUT_MS } = options
  const { resolveAppKeys = defaultAppKeys(deps, options) } = options
  const told = createToldDevice(deps, options, { randomBytes, isClosed })
  const { events, device, unread } = told
  const relay = createRelayClient(
    { clock, log, meter, randomBytes },
    {
      url: options.relayUrl,
      key: device.relayKey,
      ...(options.projectId !== undefined && { projectId: options.projectId }),
      onMessage: (message) => inbox.received(message),
      save: device.save,
      laneOf,
    },
  )
  const topics = createTopics(device, relay)
  const requests = createRequests(
    { relay, clock, randomBytes },
    {
      ...{ account, timeout, identity: () => device.identity },
      // The key server may be a new one; the next request registers again, with a new signature.
      onUnknownIdentity: () => device.unregistered(),
    },
  )
  const { shared, take, takeAll } = createFollowing({ ...told, topics }, deps, options)
  let watch = { soon: () => {}, recount: () => {} }
  const isKeyOf = createIsKeyOf(resolveAppKeys)
  const inbox = createInbox(
    {
      ...{ device, relay, requests, clock, log, meter, isKeyOf, take: takeAll, fail: events.fail },
      deliver: (received) => events.emit('message', received),
      deliverDigest: (received) => events.emit('digest', received),
      unreadChanged: unread.changed,
      onOtherServerKey: () => watch.soon(),
      onUnsureCount: () => watch.recount(),
    },
    { keysUrl, receipts },
  )
  topics.joinKnown().catch((err: unknown) => {
    if (isClosed()) return
    log.warn({ err }, 'The topics of the wallet could not be joined')
    events.fail('connect', err)
  })
  tellConnection(relay, events)
  return {
    ...{ device, events, relay, topics, requests, shared, take, takeAll, unread },
    setWatch(made: typeof watch) {
      watch = made
    },
  }
}
