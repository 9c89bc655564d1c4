/**
 * The wallet's side of the notify protocol: one device of one account. Node and browsers.
 *
 * What it guarantees:
 * - A notification is handed to the `message` listeners before it is acknowledged, and not again once they have
 *   resolved (with `save`: once the state is saved). A listener that rejects gets it again later.
 * - Only what the app's own key signed is handed over; what does not verify is dropped and logged.
 * - Every request resolves or rejects with a `ProtocolError`, after `requestTimeout` at the latest.
 * - It stays up to date by itself: it follows reconnects, watches again when it was away for longer than the relay keeps
 *   news, and twice a day.
 *
 * | does        | sends | answer | on                                    |
 * |-------------|-------|--------|---------------------------------------|
 * | watch       | 4010  | 4011   | the server's topic → watch topic      |
 * | subscribe   | 4000  | 4001   | the app's topic → a topic of its own  |
 * | delete      | 4004  | 4005   | notify topic                          |
 * | update      | 4008  | 4009   | notify topic                          |
 * | history     | 4014  | 4015   | notify topic                          |
 * | markRead    | 4016  | 4017   | notify topic                          |
 * | takes       | 4002  | 4003   | notify topic: a notification          |
 * | takes       | 4012  | –      | watch topic: the account has changed  |
 */

import type { z } from 'zod'
import { crypto } from '#crypto'
import { fromHex } from '../../../protocol/bytes.ts'
import { didWeb } from '../../../protocol/did.ts'
import { sealType0, sealType1 } from '../../../protocol/envelope.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { deriveSymKey, generateAgreementKey } from '../../../protocol/keys.ts'
import { NOTIFY_METHODS, type SubscriptionItem } from '../../../protocol/notify-methods.ts'
import { topicOf } from '../../../protocol/topic.ts'
import { withoutTrailingSlashes } from '../../../protocol/urls.ts'
import { createRelayClient } from '../../../relay/client/index.ts'
import { declaredTypes, fromAppDomain, type PublicKeys } from '../app-keys.ts'
import type { Wallet, WalletDeps, WalletEvents, WalletOptions } from './api.ts'
import { createDevice } from './device.ts'
import { grantedCacao } from './identity.ts'
import { createInbox, laneOf, shownNotification } from './inbox.ts'
import { createRequests, type Row } from './requests.ts'
import { shareSubscriptions } from './shared.ts'
import type { ViewChange } from './state.ts'
import { createWatch } from './watch.ts'

const REQUEST_TIMEOUT = 30_000

/** Callers that come while it is under way wait for the same. */
const once = <T>(task: () => Promise<T>): (() => Promise<T>) => {
  let underWay: Promise<T> | undefined
  return () => {
    underWay ??= task().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}

export const createWallet = (deps: WalletDeps, options: WalletOptions): Wallet => {
  const { clock, log, meter, keys, randomBytes = crypto.randomBytes } = deps
  const { account, keysUrl, domain, allApps = false, receipts = true } = options
  const { requestTimeout = REQUEST_TIMEOUT, resolveAppKeys = fromAppDomain(deps) } = options
  const notifyUrl = withoutTrailingSlashes(options.notifyUrl)

  const device = createDevice({ account, state: options.state, save: options.save }, randomBytes)
  const { subscriptions } = device

  const listeners: { [E in keyof WalletEvents]: Set<(value: WalletEvents[E]) => void | Promise<void>> } = {
    message: new Set(),
    changed: new Set(),
  }
  const emit = async <E extends keyof WalletEvents>(event: E, value: WalletEvents[E]): Promise<void> => {
    for (const listener of listeners[event]) await listener(value)
  }

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
  const requests = createRequests(
    { relay, clock, randomBytes },
    {
      account,
      identity: () => device.identity,
      timeout: requestTimeout,
      // It may be a new server; the next request registers again, with a new signature.
      onUnknownIdentity: () => device.unregistered(),
    },
  )

  /** Topics that this connection's relay has been asked for; those of a failed attempt are asked for again. */
  const joined = new Set(device.topics())
  /** Resolves when the topics are joined, the state is saved and the listeners know. */
  const settle = async ({ changed, left }: ViewChange): Promise<void> => {
    const missing = subscriptions.topics().filter((topic) => !joined.has(topic))
    await Promise.all([relay.subscribe(missing), relay.unsubscribe(left)])
    for (const topic of missing) joined.add(topic)
    for (const topic of left) joined.delete(topic)
    if (!changed) return
    await device.save()
    await emit('changed', subscriptions.all(clock.now()))
  }
  /** What this device may see at most. */
  const complete = allApps ? null : domain
  const shared = shareSubscriptions(
    { subscriptions, settle, log },
    { shared: options.sharedSubscriptions, domain: complete },
  )
  /** Takes over a view. */
  const take = async (
    view: readonly SubscriptionItem[],
    about: { complete: string | null; iat: number },
  ): Promise<void> => {
    const change = subscriptions.apply(view, about)
    await settle(change)
    if (change.changed) await shared.changed(change.left)
  }

  const inbox = createInbox(
    {
      device,
      relay,
      requests,
      clock,
      log,
      meter,
      deliver: (received) => emit('message', received),
      take: (view, iat) => take(view, { complete, iat }),
      isKeyOf: async (app, did) => {
        try {
          const { authentication, former = [] } = await resolveAppKeys(app)
          return authentication === did || former.includes(did)
        } catch (error) {
          if (error instanceof ProtocolError && error.code === 'unknown_app') return false
          throw error
        }
      },
      onOtherServerKey: () => watch.soon(),
    },
    { keysUrl, receipts },
  )

  /** For what waits for a connection: rejects with `unavailable` when there is none in time. */
  const inTime = <T>(wait: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const sentence = `the relay did not answer within ${requestTimeout / 1000} s`
      const timer = clock.after(requestTimeout, () => reject(new ProtocolError('unavailable', sentence)))
      wait.then(resolve, reject).finally(() => timer[Symbol.dispose]())
    })

  const register = once(async () => {
    const what = `${allApps ? 'all apps' : domain} at ${keysUrl}`
    if (device.isRegisteredFor(what)) return
    const grant = { account, domain, allApps, identityKey: device.identity.did, keysUrl }
    const { sign } = options
    const cacao = await grantedCacao(grant, { now: clock.now(), nonce: randomBytes(16), sign })
    await keys.registerIdentity(cacao, device.identity)
    await device.registered(what)
  })

  const watch = createWatch(
    { fetchDeps: deps, clock, log, device, relay, requests, register, inTime },
    {
      notifyUrl,
      claims: { ksu: keysUrl, app: allApps ? null : didWeb(domain) },
      take: (view, iat) => take(view, { complete, iat }),
    },
  )

  const appKeys = new Map<string, PublicKeys>()
  const keysOf = async (app: string): Promise<PublicKeys> => {
    const found = appKeys.get(app) ?? (await resolveAppKeys(app))
    appKeys.set(app, found)
    return found
  }

  /** Asks on the notify topic of a subscription. */
  const askApp = async <S extends z.ZodType, R>(
    row: Row<S>,
    app: string,
    claims: Record<string, unknown>,
    apply: (claims: z.output<S>) => R | Promise<R>,
  ): Promise<R> => {
    await register()
    const { topic, item } = subscriptions.of(app)
    const key = fromHex(item.symKey)
    return requests.ask(row, {
      topic,
      seal: (plaintext) => sealType0({ key, plaintext }),
      responseTopic: topic,
      of: item.appAuthenticationKey,
      claims: { ksu: keysUrl, app: didWeb(app), ...claims },
      apply,
    })
  }

  relay.subscribe([...joined]).catch((error: unknown) => {
    log.warn({ err: error }, 'The topics of the wallet could not be joined')
  })

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

    async watch() {
      await watch.now()
      return subscriptions.all(clock.now())
    },

    async unregister() {
      if (device.isRegistered()) await keys.unregisterIdentity(device.identity, account)
      watch.stop()
      shared[Symbol.dispose]()
      const topics = device.topics()
      joined.clear()
      await device.forget()
      await inTime(relay.unsubscribe(topics))
    },

    async subscribe(app, scope) {
      await register()
      const types = scope ?? declaredTypes(deps, notifyUrl, { domain: app, projectId: options.projectId })
      const [to, wanted] = await Promise.all([keysOf(app), types])
      const pair = generateAgreementKey()
      const key = deriveSymKey(pair.privateKey, to.subscribe)
      const responseTopic = topicOf(key)
      using _expected = device.expectAnswer(responseTopic, key)
      try {
        await inTime(relay.subscribe([responseTopic]))
        return await requests.ask(NOTIFY_METHODS[4000], {
          topic: topicOf(to.subscribe),
          seal: (plaintext) => sealType1({ key, senderPublicKey: pair.publicKey, plaintext }),
          responseTopic,
          of: to.authentication,
          claims: { ksu: keysUrl, app: didWeb(app), scp: wanted.join(' ') },
          async apply({ sbs, iat }) {
            await take(sbs, { complete: app, iat })
            return subscriptions.shownOf(app)
          },
        })
      } finally {
        relay.unsubscribe([responseTopic]).catch(() => {})
      }
    },

    update: (app, scope) =>
      askApp(NOTIFY_METHODS[4008], app, { scp: scope.join(' ') }, async ({ sbs, iat }) => {
        await take(sbs, { complete: app, iat })
        return subscriptions.shownOf(app)
      }),

    delete: (app) =>
      askApp(NOTIFY_METHODS[4004], app, {}, ({ sbs, iat }) => take(sbs, { complete: app, iat })),

    history: (app, { limit = 50, after, unreadFirst = false } = {}) =>
      askApp(NOTIFY_METHODS[4014], app, { lmt: limit, aft: after ?? null, urf: unreadFirst }, (page) => ({
        notifications: page.nfs.map(shownNotification),
        hasMore: page.mre,
        hasMoreUnread: page.mur,
      })),

    markRead: (app, ids) =>
      askApp(
        NOTIFY_METHODS[4016],
        app,
        ids === 'all' ? { all: true, ids: null } : { all: false, ids: [...ids] },
        async () => {
          // A guess where some were read before; the next view says it exactly.
          const { topic } = subscriptions.of(app)
          subscriptions.setUnread(topic, (count) => (ids === 'all' ? 0 : count - ids.length))
          await device.save()
        },
      ),

    subscriptions: () => subscriptions.all(clock.now()),
    on(event, listener) {
      listeners[event].add(listener)
      return { [Symbol.dispose]: () => void listeners[event].delete(listener) }
    },
    export: device.export,
    [Symbol.asyncDispose]: close,
  }
}
