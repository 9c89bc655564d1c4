import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { createApps } from '../../../src/notify/apps/apps.ts'
import { createVault } from '../../../src/notify/apps/vault.ts'
import { createDirectSends } from '../../../src/notify/outbox/direct-sends.ts'
import { createDigests } from '../../../src/notify/publish/digests.ts'
import { createPublishing } from '../../../src/notify/publish/service.ts'
import { createNotifyService } from '../../../src/notify/subscriptions/service.ts'
import { createSweeper } from '../../../src/notify/sweeper.ts'
import { createWebhooks } from '../../../src/notify/webhooks/service.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { parseAccount } from '../../../src/protocol/caip.ts'
import { createLeaderElection } from '../../../src/server/leader-election.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { hex, message } from '../../contract/relay-samples.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startRedis } from '../../support/redis.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const DOMAIN = 'app.example'
const PEOPLE = 30
const NOTIFICATIONS = 10
const relayServer = 'did:key:z6MkServer'

/**
 * An app is expired when all that anybody had of it is: subscriptions, watchers, notifications, what waits on the relay.
 * Its declaration is not: an operator made it, and wallets cache its keys for life.
 */
it('keeps no key of an app whose subscriptions, watchers and notifications have all expired', async () => {
  await using redis = await startRedis()
  const clock = manualClock(Date.now())
  await using stores = await openRedis({ url: redis.url })
  const raw = new Redis(redis.url)
  const { notify: store, relay } = stores
  const vault = createVault(randomBytes(32))
  const { jobQueue } = stores
  const ground = { store, jobQueue, vault, clock, randomBytes, log: silent, meter: unmeasured }
  const webhooks = createWebhooks({ ...ground, checkUrl: async () => {} })
  const deps = { ...ground, webhooks }
  const apps = createApps({ ...deps, join: async () => {} })
  const digests = createDigests(deps)
  const service = createNotifyService({ ...deps, digests })
  const publishing = createPublishing({
    ...deps,
    ...{ jobQueue: stores.jobQueue, apps, direct: createDirectSends(clock) },
  })
  const leaderTask = createLeaderElection(
    { leases: stores.leases, clock, log: silent },
    'the only one',
  )('sweep')

  const all = async (): Promise<string[]> => {
    const keys: string[] = []
    let cursor = '0'
    do {
      const [next, found] = await raw.scan(cursor, 'MATCH', 'belfry:*', 'COUNT', 1000)
      keys.push(...found.map((key) => key.slice('belfry:'.length)))
      cursor = next
    } while (cursor !== '0')
    return keys.sort()
  }
  /** Answers to commits, for connections that break off: they go by themselves. */
  const isAnswer = (key: string) => /^\{[^}]+\}once:/.test(key)
  /** Not what belongs to the server: the last version and the last place in the order that were given out. */
  const ofApps = async () =>
    (await all()).filter((key) => !isAnswer(key) && !/^\{p\d+\}(version|order)$/.test(key))
  /** Does what delivery does: joins, publishes, leaves, ticks off. */
  const deliver = async () => {
    for (;;) {
      const now = clock.now()
      const taken = await store.takeOutbox({ worker: 'w', limit: 100, now, until: now + 1_000 })
      if (taken.length === 0) return
      for (const { id, task } of taken) {
        const { record } = 'accountKey' in task ? await store.account(task.accountKey) : { record: undefined }
        const topic = task.kind === 'response' ? task.topic : record?.subscriptions[0]?.topic
        if (task.kind === 'response' && task.join)
          await relay.subscribe(relayServer, [task.join], { now: Date.now() })
        if (task.kind === 'leave') await relay.unsubscribe(relayServer, [task.topic])
        else if (topic) {
          const times = { publishedAt: now, expiresAt: now + 30 * DAY }
          await relay.publish([message(topic, id, { ...times, id: hex(id), publisher: relayServer })])
        }
      }
      await store.completeOutbox(taken, now)
    }
  }

  const { project } = await apps.createProject({ id: 'project' })
  const { record: app } = await apps.enrol({
    projectId: project.id,
    domain: DOMAIN,
    types: [{ id: 'news', name: 'News' }],
  })
  const declared = await ofApps()
  expect(declared).toContain('{apps}notify.apps:')
  for (const key of (await all()).filter(isAnswer)) {
    const ttl = await raw.pttl(`belfry:${key}`)
    expect(ttl).toBeGreaterThan(0)
    expect(ttl).toBeLessThanOrEqual(60_000)
  }

  const accounts = Array.from(
    { length: PEOPLE },
    (_, at) => `eip155:1:0x${hex(`account ${at}`).slice(0, 40)}`,
  )
  const asked = (account: string, what: string) => ({
    requestId: { id: hex(`${what} ${account}`), expiresAt: clock.now() + 300_000 },
    rpcId: '1',
    account: parseAccount(account),
    identityKey: `did:key:identity of ${account}`,
    isFresh: true,
    hearsOwnChanges: false,
    answer: {
      topic: hex(`answers for ${account}`),
      key: vault.seal(randomBytes(32)),
      tag: 4001,
      ttl: 300,
      claims: {},
      signerKey: 'did:key:ours',
    },
  })
  for (const account of accounts) {
    await service.watch(asked(account, 'watch'), { domain: DOMAIN })
    await service.subscribe(asked(account, 'subscribe'), { domain: DOMAIN, scope: ['news'] })
  }
  for (let at = 0; at < NOTIFICATIONS; at++) {
    const notification = { type: 'news', title: 'News', body: `${at}`, icon: null, url: null }
    const { sent } = await publishing.notify(app.projectId, [
      { domain: DOMAIN, notificationId: `n${at}`, notification, accounts },
    ])
    expect(sent).toEqual(accounts)
  }
  await publishing.markAllAsRead(app.projectId)
  const unread = { type: 'news', title: 'News', body: 'unread', icon: null, url: null }
  await publishing.notify(app.projectId, [{ domain: DOMAIN, notification: unread, accounts }])
  const topics: string[] = []
  for (const { subscription } of await store.subscribers(DOMAIN, { limit: 100 })) {
    topics.push(subscription.topic)
    await relay.subscribe(`did:key:z6Mk${subscription.id}`, [subscription.topic], { now: Date.now() })
  }
  expect(topics).toHaveLength(PEOPLE)
  await deliver()
  // One more that nobody delivers before it expires.
  await publishing.notify(app.projectId, [{ domain: DOMAIN, notification: unread, accounts }])

  const before = await ofApps()
  for (const kind of [
    ...['a:', 'due', 'topics', `l:${DOMAIN}`, 'q:', 'c:', 'u:', 'h:', 'ids', 'expiring'],
    ...['entries', 'free', 'n:', 'notifications'],
  ]) {
    expect([
      kind,
      before.some((key) => /^\{p\d+\}/.test(key) && key.split('}')[1]?.startsWith(kind)),
    ]).toEqual([kind, true])
  }
  for (const kind of ['nt:', 'nw:', 'nq:', '{t:', '{c:', '{due:']) {
    expect([kind, before.some((key) => key.startsWith(kind))]).toEqual([kind, true])
  }
  expect(before.length).toBeGreaterThan(PEOPLE * (NOTIFICATIONS + 10))

  await clock.advance(31 * DAY)
  {
    await using _ = createSweeper({ ...deps, service, rotation: { sweep: async () => {} }, leaderTask })
    await eventually(async () => {
      await clock.advance(60_000)
      expect(await store.accountsDue(clock.now(), 1)).toEqual([])
      // What expired is thrown away, and the relay is told to forget the topics.
      await deliver()
      await relay.sweep(clock.now(), 10_000)
      expect(await store.outboxSize()).toBe(0)
      expect((await ofApps()).filter((key) => /^(\{p\d|nt:|nw:)/.test(key) && !/\}q:/.test(key))).toEqual([])
    })
  }
  // A wallet that finds its subscription gone leaves the topic.
  for (const key of await all()) {
    const [, client] = /^\{c:(.*)\}:t$/.exec(key) ?? []
    if (client !== undefined) await relay.unsubscribe(client, topics)
  }

  // The sweeper's lease is given back a moment after its end.
  const requests = await eventually(async () => {
    const left = await ofApps()
    const ofRequests = left.filter((key) => /^(\{p\d+\}q:|nq:)/.test(key))
    expect(left.filter((key) => !ofRequests.includes(key))).toEqual(declared)
    return ofRequests
  })
  // Ids of requests go by themselves, an hour after the relay has forgotten the requests.
  for (const key of requests) {
    const ttl = await raw.pttl(`belfry:${key}`)
    expect(ttl).toBeGreaterThan(0)
    expect(ttl).toBeLessThanOrEqual(300_000 + HOUR)
  }
  raw.disconnect()
}, 60_000)
