/**
 * The wallet's side of the notify protocol: one device of one account. Node and browsers.
 *
 * Guarantees:
 * - A notification is delivered to the `message` listeners before it is acknowledged, and not again once they have
 *   resolved (with `save`: once the state is saved). A listener that rejects gets it again later.
 * - Only notifications that the app's own key signed are delivered; a message that does not verify is dropped and logged.
 * - Every request resolves or rejects with a `ProtocolError`, after `requestTimeout` at the latest.
 * - What fails while nobody waits for it is told of as an `error`; nothing is lost in silence.
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
import { closeOnce } from '../../../platform/concurrency/close-once.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import { didWeb } from '../../../protocol/did.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { withoutTrailingSlashes } from '../../../protocol/urls.ts'
import { defaultAppKeys } from '../app-keys.ts'
import { declaredTypes, listedApps, MAX_APPS_PER_PAGE } from '../declared-apps.ts'
import type { Wallet, WalletDeps, WalletOptions } from './api.ts'
import { createCalls } from './calls.ts'
import { createConnectedDevice, DEFAULT_REQUEST_TIMEOUT_MS } from './connected-device.ts'
import type { Device } from './device.ts'
import { grantedCacao } from './identity.ts'
import { createAppRequests, createSubscribe } from './subscription-requests.ts'
import { createWatch } from './watch.ts'

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

/** What the server tells everybody about apps, and how the account stands to them. */
const createLookUps = (
  deps: WalletDeps,
  { notifyUrl, projectId }: { notifyUrl: string; projectId: string | undefined },
  scopeOf: (domain: string) => readonly string[],
) => {
  const typesOf = (domain: string) => declaredTypes(deps, notifyUrl, { domain, projectId })
  return {
    apps: ({ page = 1, limit = MAX_APPS_PER_PAGE }: { page?: number; limit?: number } = {}) =>
      listedApps(deps, notifyUrl, { page, limit }),
    async typesOf(domain: string) {
      const types = await typesOf(domain)
      const scope = scopeOf(domain)
      return types.map((type) => ({ ...type, isWanted: scope.includes(type.id) }))
    },
    /** What is subscribed to without a scope: nothing, where the server knows no such app. */
    async typeIdsOf(domain: string): Promise<string[]> {
      try {
        return (await typesOf(domain)).map(({ id }) => id)
      } catch (error) {
        if (error instanceof ProtocolError && error.code !== 'unavailable') return []
        throw error
      }
    },
  }
}

/** Forgets the account, here and at the key server. */
const createUnregister = (
  { keys }: Pick<WalletDeps, 'keys'>,
  { device, topics, relay, shared, unread }: ReturnType<typeof createConnectedDevice>,
  { inTime, watch }: { inTime: <T>(wait: Promise<T>) => Promise<T>; watch: ReturnType<typeof createWatch> },
) => {
  return async (): Promise<void> => {
    if (device.isRegistered()) await keys.unregisterIdentity(device.identity, device.account)
    watch.stop()
    shared[Symbol.dispose]()
    const left = [...device.topics(), ...topics.forget()]
    await device.forget()
    unread.changed()
    await inTime(relay.unsubscribe(left))
  }
}

/** Closes once, when it is called first or when the signal is aborted. */
const createClose = (
  {
    relay,
    requests,
    shared,
  }: Pick<ReturnType<typeof createConnectedDevice>, 'relay' | 'requests' | 'shared'>,
  calls: ReturnType<typeof createCalls>,
  { watch, signal, onClose }: { watch: Disposable; signal: AbortSignal | undefined; onClose: () => void },
) =>
  closeOnce(signal, async () => {
    calls.close()
    onClose()
    watch[Symbol.dispose]()
    shared[Symbol.dispose]()
    requests.failAll(new ProtocolError('closed'))
    await relay[Symbol.asyncDispose]()
  })

export const createWallet = (deps: WalletDeps, options: WalletOptions): Wallet => {
  const { clock, log, onClose = () => {} } = deps
  const { account, keysUrl, domain, allApps = false, projectId, signal } = options
  const { requestTimeout = DEFAULT_REQUEST_TIMEOUT_MS, resolveAppKeys = defaultAppKeys(deps, options) } =
    options
  const notifyUrl = withoutTrailingSlashes(options.notifyUrl)
  const calls = createCalls()
  const connected = createConnectedDevice(deps, options, () => calls.isClosed)
  const { device, events, relay, topics, requests, take, unread } = connected
  const inTime = createInTime(clock, requestTimeout)
  const register = createRegister(deps, options, device)
  const fail = (error: unknown) => events.fail('watch', error)
  const watch = createWatch(
    { fetchDeps: deps, clock, log, device, relay, requests, register, inTime, fail },
    {
      notifyUrl,
      claims: { ksu: keysUrl, app: allApps ? null : didWeb(domain) },
      take: connected.takeAll,
    },
  )
  connected.setWatch(watch)
  const subscriptions = () => device.subscriptions.all(clock.now())
  const scopeOf = (app: string) => subscriptions().find((one) => one.domain === app)?.scope ?? []
  const { apps, typesOf, typeIdsOf } = createLookUps(deps, { notifyUrl, projectId }, scopeOf)
  const appRequest = { device, requests, register, take, onAnswered: topics.answered, keysUrl }
  const asked = createAppRequests({ ...appRequest, unreadChanged: unread.changed })
  const close = createClose(connected, calls, { watch, signal, onClose })

  return {
    account,
    get identityKey() {
      return device.identity.did
    },
    get connected() {
      return relay.connected
    },
    get registered() {
      return device.isRegistered()
    },
    ready: calls.of(relay.ready),
    register: calls.of(register),
    unregister: calls.of(createUnregister(deps, connected, { inTime, watch })),
    watch: calls.of(async () => {
      await watch.now()
      return subscriptions()
    }),
    subscribe: calls.of(createSubscribe(appRequest, { relay, inTime, resolveAppKeys, typesOf: typeIdsOf })),
    update: calls.of(asked.update),
    delete: calls.of(asked.delete),
    history: calls.of(asked.history),
    markRead: calls.of(asked.markRead),
    answer: calls.of(asked.answer),
    subscriptions,
    unread: unread.count,
    apps: calls.of(apps),
    typesOf: calls.of(typesOf),
    on: events.on,
    export: device.export,
    close,
    [Symbol.asyncDispose]: close,
  }
}
