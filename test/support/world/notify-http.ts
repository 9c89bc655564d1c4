/** The HTTP side of notify on a real store in a temporary directory, with accounts put there as wallets would. */
import { createHash, randomBytes } from 'node:crypto'
import { createApps } from '../../../src/notify/apps/apps.ts'
import { createLimits, type LimitRules } from '../../../src/notify/apps/limits.ts'
import { createVault } from '../../../src/notify/apps/vault.ts'
import { notifyRoutes } from '../../../src/notify/http/routes.ts'
import { createDirectSends } from '../../../src/notify/outbox/direct-sends.ts'
import { createNotifications } from '../../../src/notify/publish/notifications.ts'
import { createPublishing } from '../../../src/notify/publish/service.ts'
import type { Subscription, Watcher } from '../../../src/notify/store/store.ts'
import { createWebhooks } from '../../../src/notify/webhooks/service.ts'
import { createBuckets } from '../../../src/platform/budgets/token-buckets.ts'
import { addressRules } from '../../../src/platform/net/public-address.ts'
import { createUrlCheck } from '../../../src/platform/net/public-check.ts'
import { type Log, unmeasured } from '../../../src/platform/telemetry.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { agreementKeyFrom, signingKeyFrom } from '../../../src/protocol/keys.ts'
import { NO_RATE_LIMITS } from '../../../src/server/config/settings/rate-limits.ts'
import { capturedLog } from '../capture/log.ts'
import { capture, knownSecret } from '../capture/record.mjs'
import { manualClock } from '../clock.ts'
import { lmdb } from '../stores.ts'

export const PUBLIC_URL = 'https://belfry.example'
export const NEWS = '3b5f8f6a-4c1f-4d8e-9a55-0f6f0c6f2f11'
export const OFFERS = 'offers'

/** Addresses of nobody, all different. */
export const addressOf = (number: number): string => `0x${number.toString(16).padStart(40, '0')}`

export type Answer = { status: number; body: unknown; headers: Headers }

export const startHttpWorld = async (
  logged: Record<string, unknown>[] = [],
  rules: LimitRules = NO_RATE_LIMITS,
) => {
  const stores = await lmdb.open()
  const store = stores.notify
  const clock = manualClock()
  const joined: string[] = []
  const random = (length: number) => new Uint8Array(randomBytes(length))
  const vault = createVault(random(32))
  const deps = {
    store,
    vault,
    clock,
    randomBytes: random,
    join: async (topic: string) => void joined.push(topic),
  }
  const apps = createApps(deps)
  const webhooks = createWebhooks({
    ...deps,
    jobQueue: stores.jobQueue,
    checkUrl: createUrlCheck(addressRules(['127.0.0.1'])),
  })
  const limits = createLimits(createBuckets(clock), rules)
  const { jobQueue } = stores
  const publishing = createPublishing({
    ...{ store, jobQueue, apps, webhooks, limits, clock, randomBytes: random },
    direct: createDirectSends(clock),
    meter: unmeasured,
  })
  const sent = createNotifications({ store, jobQueue, apps, clock })
  const serverKeys = {
    authentication: signingKeyFrom(new Uint8Array(32).fill(1)),
    subscribe: agreementKeyFrom(new Uint8Array(32).fill(2)),
    previous: [],
    async refresh() {},
  }
  const log: Log = {
    ...capturedLog,
    error: (fields, sentence) => {
      capturedLog.error(fields, sentence)
      logged.push(fields)
    },
  }
  const routes = notifyRoutes(
    { apps, publishing, sent, webhooks, serverKeys, log, limits },
    { publicUrl: PUBLIC_URL },
  )
  const { project, secret } = await apps.createProject({ name: 'Test' })
  knownSecret('project secret', secret)

  const call = async (
    method: string,
    url: string,
    body?: unknown,
    headers: HeadersInit = {},
  ): Promise<Answer> => {
    const response = await routes.request(`${PUBLIC_URL}${url}`, {
      method,
      headers: {
        authorization: `Bearer ${secret}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...Object.fromEntries(new Headers(headers)),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) capture('errors', text)
    const isJson = response.headers.get('content-type')?.includes('json')
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
  }

  /** Subscribes an account, as the wallet's request would have. */
  const subscribe = async (
    account: string,
    { domain = 'app.example', scope = [NEWS], life = 30 * 86_400_000, watchers = [] as Watcher[] } = {},
  ): Promise<Subscription> => {
    const key = accountKey(account)
    const { version, record } = await store.account(key)
    const symKey = random(32)
    const subscription: Subscription = {
      id: crypto.randomUUID(),
      domain,
      scope,
      key: vault.seal(symKey),
      topic: createHash('sha256').update(symKey).digest('hex'),
      createdAt: clock.now(),
      expiresAt: clock.now() + life,
      account,
    }
    const next = {
      subscriptions: [...record.subscriptions.filter((one) => one.domain !== domain), subscription],
      watchers: [...record.watchers, ...watchers],
    }
    await store.commit({ accountKey: key, expectedVersion: version, record: next, outbox: [] })
    return subscription
  }

  const unsubscribe = async (account: string, domain = 'app.example') => {
    const key = accountKey(account)
    const { version, record } = await store.account(key)
    const subscriptions = record.subscriptions.filter((one) => one.domain !== domain)
    await store.commit({
      accountKey: key,
      expectedVersion: version,
      record: { ...record, subscriptions },
      outbox: [],
    })
  }

  const watcher = (
    account: string,
    identityKey: string,
    domain: string | null,
    life = 86_400_000,
  ): Watcher => ({
    identityKey,
    domain,
    account,
    key: vault.seal(random(32)),
    topic: Buffer.from(random(32)).toString('hex'),
    expiresAt: clock.now() + life,
  })

  /** Everything that waits to be delivered; it is given back at once. */
  const outbox = async () => {
    const now = clock.now()
    const entries = await store.takeOutbox({ worker: 'test', limit: 10_000, now, until: now + 1 })
    await store.returnOutbox(
      entries.map(({ id }) => id),
      now,
    )
    return entries
  }

  return {
    kv: stores.kv,
    store,
    jobQueue: stores.jobQueue,
    webhooks,
    sent,
    clock,
    joined,
    vault,
    deps,
    apps,
    publishing,
    serverKeys,
    routes,
    project,
    secret,
    call,
    subscribe,
    unsubscribe,
    watcher,
    outbox,
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]()
    },
  }
}

export type HttpWorld = Awaited<ReturnType<typeof startHttpWorld>>

/** A world with `app.example`, which has the types NEWS and OFFERS. */
export const startWithApp = async (
  logged?: Record<string, unknown>[],
  rules?: LimitRules,
): Promise<HttpWorld> => {
  const world = await startHttpWorld(logged, rules)
  await world.apps.enrol({
    projectId: world.project.id,
    domain: 'app.example',
    name: 'App',
    types: [
      { id: NEWS, name: 'News', description: 'What is new' },
      { id: OFFERS, name: 'Offers' },
    ],
  })
  return world
}
