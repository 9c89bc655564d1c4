import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApps } from '../../../src/notify/apps/apps.ts'
import { createLimits, type LimitRules } from '../../../src/notify/apps/limits.ts'
import { createVault } from '../../../src/notify/apps/vault.ts'
import { createDirectSends } from '../../../src/notify/outbox/direct-sends.ts'
import { createPublishing } from '../../../src/notify/publish/service.ts'
import type { ConnectRelay } from '../../../src/notify/relay/link.ts'
import { createNotifyServer, loadServerKeys, type ServerKeys } from '../../../src/notify/server.ts'
import { createWebhookCalls } from '../../../src/notify/webhooks/calls.ts'
import { createWebhooks } from '../../../src/notify/webhooks/service.ts'
import { createBuckets } from '../../../src/platform/budgets/token-buckets.ts'
import { addressRules } from '../../../src/platform/net/public-address.ts'
import { createUrlCheck } from '../../../src/platform/net/public-check.ts'
import { createPublicFetch } from '../../../src/platform/net/public-fetch.ts'
import type { Clock } from '../../../src/platform/runtime/clock.ts'
import { type Meter, untraced } from '../../../src/platform/telemetry.ts'
import { type Cacao, cacaoSchema } from '../../../src/protocol/cacao.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { messageIdOf } from '../../../src/protocol/topic.ts'
import { NO_RATE_LIMITS } from '../../../src/server/config/settings/rate-limits.ts'
import { createLeaderElection } from '../../../src/server/leader-election.ts'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { leapingClock } from '../../notify/support/clock.ts'
import { createLoop } from '../../notify/support/loop.ts'
import {
  claimsIn,
  type Device,
  KEY_SERVER,
  newCacao,
  newDevice,
  newOwner,
  type Owner,
  opened,
  type Sent,
} from '../../notify/support/wallet.ts'
import { alsoCaptured } from '../capture/log.ts'
import { eventually } from '../eventually.ts'

export const PUBLIC_URL = 'https://notify.example'
export const DOMAIN = 'app.example'
export const TYPES = [
  { id: 'news', name: 'News' },
  { id: '0d1b6f0c-94e0-4a2e-8b38-3a6f1f1b7c55', name: 'Offers' },
]
const SECRET = Uint8Array.from({ length: 32 }, (_, at) => at)

/** Keeps what is logged and counted, so that tests can look at it. */
const createRecorder = () => {
  const lines: { level: string; fields: Record<string, unknown>; sentence: string }[] = []
  const counts = new Map<string, number>()
  const level = (name: string) => (fields: Record<string, unknown>, sentence: string) =>
    void lines.push({ level: name, fields, sentence })
  const log = alsoCaptured({
    debug: level('debug'),
    info: level('info'),
    warn: level('warn'),
    error: level('error'),
  })
  const meter: Meter = {
    count(name, labels = {}, by = 1) {
      const key = [name, ...Object.values(labels)].join(' ')
      counts.set(key, (counts.get(key) ?? 0) + by)
    },
    gauge() {},
    observe() {},
    ...untraced,
  }
  return { lines, counts, log, meter }
}

/** A notify server over a fresh LMDB store, with the relay replaced by a loop (or by what `connect` says). */
export const startNotify = async (
  options: { connect?: (keys: ServerKeys) => ConnectRelay; clock?: Clock; limits?: LimitRules } = {},
) => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-notify-'))
  const hands = leapingClock()
  const clock = options.clock ?? hands
  const identities = new Map<string, Cacao>()
  const recorder = createRecorder()
  const random = (length: number) => new Uint8Array(randomBytes(length))
  let failure: ProtocolError | undefined

  const start = async () => {
    const stores = await openLmdb({ path: dir })
    const vault = createVault(SECRET)
    const serverKeys = await loadServerKeys({ store: stores.notify, vault, clock, secret: SECRET })
    const loop = createLoop()
    const limits = createLimits(createBuckets(clock), options.limits ?? NO_RATE_LIMITS)
    const apps = createApps({
      store: stores.notify,
      vault,
      clock,
      randomBytes: random,
      join: (topic) => server.join(topic),
    })
    const { jobQueue } = stores
    const rules = addressRules(['127.0.0.1'])
    const webhooks = createWebhooks({
      ...{ store: stores.notify, jobQueue, vault, clock, randomBytes: random },
      checkUrl: createUrlCheck(rules),
    })
    const calls = createWebhookCalls({
      ...{ store: stores.notify, jobQueue, vault, clock, log: recorder.log, meter: recorder.meter },
      post: createPublicFetch({ rules }),
    })
    const direct = createDirectSends(clock)
    const server = createNotifyServer(
      {
        store: stores.notify,
        jobQueue: stores.jobQueue,
        vault,
        apps,
        serverKeys,
        limits,
        lookup: async (url, key) => {
          if (failure) throw failure
          if (url !== KEY_SERVER) throw new ProtocolError('key_server_refused')
          const cacao = identities.get(key)
          if (!cacao) throw new ProtocolError('identity_unknown')
          const text = JSON.stringify(cacao)
          return { digest: messageIdOf(text), read: () => cacaoSchema.parse(JSON.parse(text)) }
        },
        webhooks,
        direct,
        clock,
        log: recorder.log,
        meter: recorder.meter,
        randomBytes: random,
        leaderTask: createLeaderElection({ leases: stores.leases, clock, log: recorder.log }, 'the only one'),
        connectRelay: options.connect?.(serverKeys) ?? loop.connect,
        relayKey: async () => {
          throw new ProtocolError('unavailable', 'the loop tells nothing')
        },
      },
      { publicUrl: PUBLIC_URL, renew: false },
    )
    await server.ready()
    const publishing = createPublishing({
      store: stores.notify,
      jobQueue: stores.jobQueue,
      ...{ apps, webhooks, direct, limits, clock, meter: recorder.meter, randomBytes: random },
    })
    return { stores, vault, apps, server, publishing, webhooks, calls, loop }
  }
  let running = await start()
  const stop = async () => {
    await running.server[Symbol.asyncDispose]()
    await running.calls[Symbol.asyncDispose]()
    await running.stores[Symbol.asyncDispose]()
  }

  const { project } = await running.apps.createProject({ name: 'Test' })
  const enrol = async (domain: string) => {
    const app = await running.apps.enrol({ projectId: project.id, domain, types: TYPES })
    return {
      domain,
      did: app.authentication.did,
      publicKey: app.subscribe.publicKey,
      key: app.authentication,
    }
  }
  const app = await enrol(DOMAIN)

  const self = {
    dir,
    clock,
    hands,
    recorder,
    app,
    enrol,
    project,
    identities,
    get loop() {
      return running.loop
    },
    get store() {
      return running.stores.notify
    },
    get leases() {
      return running.stores.leases
    },
    get vault() {
      return running.vault
    },
    get server() {
      return running.server
    },
    get publishing() {
      return running.publishing
    },
    get jobQueue() {
      return running.stores.jobQueue
    },
    get webhooks() {
      return running.webhooks
    },
    get apps() {
      return running.apps
    },
    get serverKeys() {
      return running.server.serverKeys
    },
    get rotation() {
      return running.server.rotation
    },
    /** Who watch requests are addressed to. */
    get address() {
      const { authentication, subscribe } = running.server.serverKeys
      return { did: authentication.did, publicKey: subscribe.publicKey }
    },
    failLookups(error: ProtocolError | undefined) {
      failure = error
    },
    register(device: Device, payload: Partial<Cacao['p']> = {}) {
      identities.set(device.identity.did, newCacao(device.owner, device.identity, payload))
      return device
    },
    newDevice(
      more: { owner?: Owner; mjv?: string | undefined; account?: string; payload?: Partial<Cacao['p']> } = {},
    ): Device {
      const { owner = newOwner(), payload, ...rest } = more
      return self.register(newDevice(owner, { now: () => clock.now(), ...rest }), payload)
    },
    /** What was published on the topic with the tag, opened. */
    publishedOn(topic: string, tag: number, key: Uint8Array) {
      return running.loop.published
        .filter((each) => each.topic === topic && each.tag === tag)
        .map((each) => ({ ...each, rpc: opened(each.message, key) }))
    },
    /** Waits until the outbox is empty. */
    async settled() {
      await eventually(async () => {
        const size = await running.stores.notify.outboxSize()
        if (size === 0) return
        const due: number[] = []
        for await (const { notBefore = 0 } of running.stores.notify.outboxEntries()) due.push(notBefore)
        // All that is left is held back: it becomes due, and is looked for.
        const next = Math.min(...due)
        if (due.length > 0 && next > 0) await hands.advance(Math.max(next - clock.now(), 100))
        throw new Error(`${size} entries wait in the outbox`)
      })
    },
    /** Hands the message over and waits for its answer. */
    async ask(sent: Sent) {
      const count = () => self.publishedOn(sent.answerTopic, sent.tag + 1, sent.key).length
      const before = count()
      await running.loop.deliver(sent)
      const answers = await eventually(() => {
        const all = self.publishedOn(sent.answerTopic, sent.tag + 1, sent.key)
        if (all.length <= before) throw new Error(`There is no answer to ${sent.tag}`)
        return all
      })
      const answer = answers.at(-1)
      if (!answer) throw new Error('unreachable')
      return {
        ...answer,
        get claims() {
          return claimsIn(answer.rpc)
        },
      }
    },
    /** Stops and starts on the same store; what happens in between happens while nothing runs. */
    async restart(meanwhile?: () => Promise<void> | void) {
      await stop()
      await meanwhile?.()
      running = await start()
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return self
}
export type TestNotify = Awaited<ReturnType<typeof startNotify>>

/** `sbs` of an answer, checked for its shape. */
export interface View {
  appDomain: string
  appAuthenticationKey: string
  symKey: string
  account: string
  scope: string[]
  expiry: number
  unreadNotificationCount: number
}
