/**
 * The verbs of the notify store, of two builds of it against each other: CPU of this process for one item, and of Redis;
 * interleaved rounds, medians. A build is a bundle of one file that exports `openLmdb` and `openRedis`:
 *
 *     esbuild engines.ts --bundle --platform=node --format=esm --packages=external --outfile=before.mjs
 *     BEFORE=…/before.mjs AFTER=…/after.mjs node verbs.mjs
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { deliveredIdOf } from '../../src/notify/ids.ts'
import type { Notification, NotifyStore, OutboxEntry, Subscription } from '../../src/notify/store/store.ts'
import type { openLmdb } from '../../src/storage/lmdb/open.ts'
import type { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 7)
const SUBSCRIBERS = Number(process.env.SUBSCRIBERS ?? 2_000)
const PAGES = (process.env.PAGES ?? '1,50,500').split(',').map(Number)
const ENGINES = (process.env.ENGINES ?? 'lmdb,redis').split(',')
const ITEMS: Record<number, number> = { 1: 200, 50: 1_000, 500: 2_000 }
const PREFILLED = 20
const WARM_ROUNDS = Number(process.env.WARM ?? 15)
const DAY = 86_400_000
const LEASE = 30_000
const REQUEST_MS = 5_000

interface Build {
  openLmdb: typeof openLmdb
  openRedis: typeof openRedis
}

interface Side {
  name: 'before' | 'after'
  verbs: NotifyStore
  stores: Stores
  /** Of its Redis, µs so far. */
  redisCpu(): Promise<number>
  bytes(): Promise<number>
}

const buildOf = async (path: string | undefined): Promise<Build> => {
  if (!path) throw new Error('BEFORE and AFTER are paths of builds')
  const { openLmdb, openRedis }: Build = await import(path)
  return { openLmdb, openRedis }
}
const BUILDS = { before: await buildOf(process.env.BEFORE), after: await buildOf(process.env.AFTER) }
/** Before, a history was named by its subscription alone. */
const OLD_NAMES = process.env.OLD_NAMES === 'yes'

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })

const ends: (() => Promise<void>)[] = []

/** A store of the former interface, as one of today's. */
const renamed = (store: NotifyStore): NotifyStore => {
  const { history, delivered, unreadCounts } = store as unknown as {
    history(id: string, page: unknown): ReturnType<NotifyStore['history']>
    delivered(id: string, copyId: string): ReturnType<NotifyStore['delivered']>
    unreadCounts(ids: readonly string[]): Promise<number[]>
  }
  return Object.assign(Object.create(store), {
    history: (_: string, id: string, page: unknown) => history(id, page),
    delivered: (_: string, id: string, copyId: string) => delivered(id, copyId),
    unreadCounts: (of: readonly { subscriptionId: string }[]) =>
      unreadCounts(of.map(({ subscriptionId }) => subscriptionId)),
  })
}
const verbsOf = (name: Side['name'], { notify }: Stores): NotifyStore =>
  name === 'before' && OLD_NAMES ? renamed(notify) : notify

const redisSide = async (name: Side['name']): Promise<Side> => {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'verbs-redis-'))
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes']
  const child = spawn(
    process.env.REDIS_SERVER ?? 'redis-server',
    [...args, '--auto-aof-rewrite-percentage', '0'],
    { stdio: 'ignore' },
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  const admin = new Redis(port, '127.0.0.1')
  const stores = await BUILDS[name].openRedis({ url: `redis://127.0.0.1:${port}` })
  await stores.ping()
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    admin.disconnect()
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    rmSync(dir, { recursive: true, force: true })
  })
  const info = async (section: string, field: string) =>
    Number(new RegExp(`${field}:([\\d.]+)`).exec(await admin.info(section))?.[1] ?? 0)
  return {
    name,
    stores,
    verbs: verbsOf(name, stores),
    redisCpu: async () =>
      1e6 *
      ((await info('cpu', 'used_cpu_user_main_thread')) + (await info('cpu', 'used_cpu_sys_main_thread'))),
    bytes: () => info('memory', 'used_memory'),
  }
}

const lmdbSide = async (name: Side['name']): Promise<Side> => {
  const path = mkdtempSync(join(tmpdir(), 'verbs-lmdb-'))
  const stores = await BUILDS[name].openLmdb({ path })
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    rmSync(path, { recursive: true, force: true })
  })
  return {
    name,
    stores,
    verbs: verbsOf(name, stores),
    redisCpu: async () => 0,
    bytes: async () => {
      const space = await stores.space.measure()
      const { bavail, bsize } = statfsSync(path)
      const reusable = space.kind === 'disk' ? space.freeBytes - bavail * bsize : 0
      return statSync(join(path, 'data.mdb')).size - reusable
    },
  }
}

interface Subscriber {
  accountKey: string
  subscription: Subscription
}

const hex = (nth: number, length: number) => nth.toString(16).padStart(length, '0')
const subscribers = Array.from({ length: SUBSCRIBERS }, (_, nth): Subscriber => {
  const address = `0x${hex((nth * 2_654_435_761) % 2 ** 32, 8)}${hex(nth, 32)}`
  return {
    accountKey: `eip155:${address}`,
    subscription: {
      id: randomUUID(),
      domain: 'app.example',
      scope: [randomUUID(), randomUUID()],
      key: Buffer.alloc(76, nth).toString('base64url'),
      topic: hex(nth, 64),
      createdAt: Date.now(),
      expiresAt: Date.now() + 30 * DAY,
      account: `eip155:1:${address.replace(/[a-f]/g, (letter, at) => (at % 2 ? letter.toUpperCase() : letter))}`,
    },
  }
})

const entryOf = (id: string, task: OutboxEntry['task'], now: number): OutboxEntry => ({
  id,
  task,
  createdAt: now,
  expiresAt: now + 30 * DAY,
})

const targetOf = ({ accountKey, subscription }: Subscriber, notification: Notification) => {
  const deliveredId = deliveredIdOf(subscription.id, notification.id)
  const { projectId, domain, id: notificationId } = notification
  const outbox = entryOf(
    deliveredId,
    { kind: 'notification', accountKey, subscriptionId: subscription.id, projectId, domain, notificationId },
    notification.createdAt,
  )
  outbox.expiresAt = notification.deliverBy
  return { accountKey, account: subscription.account, subscriptionId: subscription.id, deliveredId, outbox }
}

const responseOf = (cause: string, topic: string, now: number): OutboxEntry =>
  entryOf(
    `response:${cause}`,
    {
      kind: 'response',
      topic,
      key: Buffer.alloc(76, 7).toString('base64url'),
      tag: 4009,
      rpcId: '1677161676776777',
      signer: 'app.example',
      signerKey: 'did:key:z6MkqU5wmj1fKJhP1rXjBtHpuqiUd4yPYTTvcYbkSHhTjDsG',
      claims: {
        act: 'notify_update_response',
        aud: 'did:key:z6MkqU5wmj1fKJhP1rXjBtHpuqiUd4yPYTTvcYbkSHhTjDsG',
      },
    },
    now,
  )

const groups = <T>(items: readonly T[], size: number): T[][] => {
  const found: T[][] = []
  for (let at = 0; at < items.length; at += size) found.push(items.slice(at, at + size))
  return found
}

const figures = new Map<string, number[]>()
const note = (name: string, value: number) => figures.set(name, [...(figures.get(name) ?? []), value])
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const measured = async (
  side: Side,
  name: string,
  items: number,
  isKept: boolean,
  work: () => Promise<void>,
) => {
  const redisBefore = await side.redisCpu()
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  const redis = (await side.redisCpu()) - redisBefore
  if (!isKept) return
  note(`${name} ${side.name} node`, (user + system) / items)
  note(`${name} ${side.name} redis`, redis / items)
}

const subscribeAll = async ({ verbs }: Side) => {
  for (const some of groups(subscribers, 200))
    await Promise.all(
      some.map(async ({ accountKey, subscription }) => {
        const record = { subscriptions: [subscription], watchers: [] }
        const outcome = await verbs.commit({ accountKey, expectedVersion: 0, record, outbox: [] })
        if (outcome !== 'committed') throw new Error(`Not subscribed: ${outcome}`)
      }),
    )
}

const notificationOf = (number: number): Notification => {
  const now = Date.now()
  return {
    id: `notification-${number}`,
    projectId: 'project',
    domain: 'app.example',
    type: randomUUID(),
    title: 'A title of some length',
    body: 'A body that is somewhat longer than its title, as bodies are',
    icon: null,
    url: 'https://app.example/news',
    createdAt: now,
    deliverBy: now + 30 * DAY,
    expiresAt: now + 30 * DAY,
  }
}

const completeAll = (side: Side, entries: readonly OutboxEntry[]) =>
  side.verbs.completeOutbox(
    entries.map(({ id, task }) => {
      if (task.kind !== 'notification') return { id }
      const { projectId = '', domain, notificationId, accountKey, subscriptionId } = task
      const of = { projectId, domain, id: notificationId }
      return { id, receipt: { of, accountKey, subscriptionId, became: 'published' as const } }
    }),
    Date.now(),
  )

let nth = 0
const publishRound = async (side: Side, label: string, size: number, isKept: boolean) => {
  const { verbs } = side
  nth += 1
  const items = ITEMS[size] ?? 1_000
  const notification = notificationOf(nth)
  await verbs.putNotification(notification)
  const start = (nth * 271) % SUBSCRIBERS
  const chosen = [...subscribers.slice(start), ...subscribers.slice(0, start)].slice(0, items)
  const pages = groups(
    chosen.map((one) => targetOf(one, notification)),
    size,
  )
  await measured(side, `${label} ${size} enqueue`, items, isKept, async () => {
    for (const page of pages) {
      const outcomes = await verbs.enqueue(notification, page)
      if (outcomes.some((outcome) => outcome !== 'sent')) throw new Error(`not sent: ${outcomes}`)
    }
  })
  const taken: OutboxEntry[][] = []
  await measured(side, `${label} ${size} take`, items, isKept, async () => {
    for (let left = items; left > 0; ) {
      const at = Date.now() + 2
      const some = await verbs.takeOutbox({ worker: 'w', limit: size, now: at, until: at + LEASE })
      if (some.length === 0) throw new Error(`There are ${left} less`)
      taken.push(some)
      left -= some.length
    }
  })
  await measured(side, `${label} ${size} complete`, items, isKept, async () => {
    for (const entries of taken) await completeAll(side, entries)
  })
  await measured(side, `${label} ${size} deliver`, items, isKept, async () => {
    for (const page of pages) {
      const at = Date.now()
      const marked = await verbs.markDelivered(
        page.map(({ accountKey, subscriptionId, deliveredId }) => ({
          accountKey,
          subscriptionId,
          deliveredId,
          at,
        })),
      )
      if (marked.some((one) => one?.id !== notification.id)) throw new Error('not marked')
    }
  })
  await measured(side, `${label} ${size} enqueue again`, items, isKept, async () => {
    for (const page of pages) {
      const outcomes = await verbs.enqueue(notification, page)
      if (outcomes.some((outcome) => outcome !== 'repeated')) throw new Error(`not repeated: ${outcomes}`)
    }
  })
}

/** Every subscriber has a history. */
const prefill = async (side: Side) => {
  for (let done = 0; done < PREFILLED; done++) {
    nth += 1
    const notification = notificationOf(nth)
    await side.verbs.putNotification(notification)
    for (const page of groups(subscribers, 500))
      await side.verbs.enqueue(
        notification,
        page.map((one) => targetOf(one, notification)),
      )
    for (;;) {
      const at = Date.now() + 2
      const some = await side.verbs.takeOutbox({ worker: 'w', limit: 500, now: at, until: at + LEASE })
      if (some.length === 0) break
      await completeAll(side, some)
    }
  }
}

const readHistory = async ({ verbs }: Side, { accountKey, subscription: { id } }: Subscriber) => {
  const page = { after: null, limit: 20, unreadFirst: false, now: Date.now() }
  const { notifications } = await verbs.history(accountKey, id, page)
  if (notifications.length !== 20) throw new Error(`a history of ${notifications.length}`)
}

/** What is asked less often. */
const otherRound = async (side: Side, label: string, size: number, isKept: boolean) => {
  const { verbs } = side
  nth += 1
  const items = Math.min(ITEMS[size] ?? 1_000, 1_000)
  const chosen = subscribers.slice((nth * 61) % (SUBSCRIBERS - items + 1)).slice(0, items)
  const at = Date.now()
  const collapsing = (which: number): Notification => ({
    ...notificationOf(nth * 1e6 + which),
    collapseKey: 'k',
  })
  const all = async (name: string, work: (one: Subscriber) => Promise<unknown>) =>
    measured(side, `${label} ${size} ${name}`, items, isKept, async () => {
      for (const page of groups(chosen, size)) await Promise.all(page.map(work))
    })
  const published: Notification[] = []
  for (const which of [0, 1]) {
    const notification = collapsing(which)
    published.push(notification)
    await verbs.putNotification(notification)
    await measured(side, `${label} ${size} collapse`, items, isKept && which === 1, async () => {
      for (const page of groups(chosen, size))
        await verbs.enqueue(
          notification,
          page.map((one) => targetOf(one, notification)),
        )
    })
  }
  const [, last] = published
  if (!last) return
  await all('topic owner', ({ subscription: { topic } }) => verbs.topicOwner(topic))
  await all('delivered', ({ accountKey, subscription: { id } }) =>
    verbs.delivered(accountKey, id, deliveredIdOf(id, last.id)),
  )
  await all('unread', ({ accountKey, subscription: { id: subscriptionId } }) =>
    verbs.unreadCounts([{ accountKey, subscriptionId }]),
  )
  await all('mark read', ({ accountKey, subscription: { id: subscriptionId } }) => {
    const ids = [deliveredIdOf(subscriptionId, last.id)]
    return verbs.markRead({ accountKey, subscriptionId, ids, at, outbox: [], outboxIfChanged: [] })
  })
  await all('committed?', ({ subscription: { topic } }) => verbs.wasCommitted(topic, at))
  await measured(side, `${label} ${size} subscribers`, SUBSCRIBERS, isKept, async () => {
    for (let after: string | undefined; ; ) {
      const page = await verbs.subscribers('app.example', {
        limit: Math.max(size, 50),
        ...(after && { after }),
      })
      after = page.at(-1)?.accountKey
      if (page.length < Math.max(size, 50)) break
    }
  })
  await measured(side, `${label} ${size} receipts`, items, isKept, async () => {
    for (let after: string | undefined; ; ) {
      const page = await verbs.receipts(last, { limit: Math.max(size, 50), ...(after && { after }) })
      after = page.at(-1)?.accountKey
      if (page.length < Math.max(size, 50)) break
    }
  })
  await measured(side, `${label} ${size} counts`, items, isKept, async () => {
    const { read } = await verbs.receiptCounts(last)
    if (read !== items) throw new Error(`${read} read`)
  })
  const cancelled = notificationOf(nth * 1e6 + 2)
  await verbs.putNotification(cancelled)
  for (const page of groups(chosen, 500))
    await verbs.enqueue(
      cancelled,
      page.map((one) => targetOf(one, cancelled)),
    )
  await measured(side, `${label} ${size} cancel`, items, isKept, async () => {
    for (;;) if (!(await verbs.cancelQueued(cancelled, Math.max(size, 50), at)).more) break
  })
  await drainAll(side)
}

const drainAll = async (side: Side) => {
  for (;;) {
    const at = Date.now() + 2
    const some = await side.verbs.takeOutbox({ worker: 'w', limit: 500, now: at, until: at + LEASE })
    if (some.length === 0) break
    await completeAll(side, some)
  }
}

const updateRound = async (side: Side, label: string, size: number, isKept: boolean) => {
  const { verbs } = side
  const items = Math.min(ITEMS[size] ?? 1_000, 1_000)
  nth += 1
  const chosen = subscribers.slice((nth * 97) % (SUBSCRIBERS - items + 1)).slice(0, items)
  const read: Awaited<ReturnType<NotifyStore['account']>>[] = []
  await measured(side, `${label} ${size} account`, items, isKept, async () => {
    for (const page of groups(chosen, size))
      read.push(...(await Promise.all(page.map(({ accountKey }) => verbs.account(accountKey)))))
  })
  await measured(side, `${label} ${size} history`, items, isKept, async () => {
    for (const page of groups(chosen, size)) await Promise.all(page.map((one) => readHistory(side, one)))
  })
  const now = Date.now()
  const commits = chosen.map(({ accountKey }, at) => {
    const before = read[at]
    if (!before) throw new Error('not read')
    const cause = `${hex(nth, 32)}${hex(at, 32)}`
    const subscriptions = before.record.subscriptions.map((one) => ({
      ...one,
      scope: [...one.scope].reverse(),
      expiresAt: now + at + 30 * DAY,
    }))
    return {
      accountKey,
      expectedVersion: before.version,
      record: { ...before.record, subscriptions },
      // A wallet has some requests at a time that count.
      requestId: { id: cause, token: `jwt:${cause}`, at: now, expiresAt: now + REQUEST_MS },
      outbox: [responseOf(cause, hex(at, 64), now)],
    }
  })
  await measured(side, `${label} ${size} update`, items, isKept, async () => {
    for (const page of groups(commits, size)) {
      const outcomes = await Promise.all(page.map((one) => verbs.commit(one)))
      if (outcomes.some((outcome) => outcome !== 'committed')) throw new Error(`not committed: ${outcomes}`)
    }
  })
  const [again] = commits
  if (again && (await verbs.commit(again)) !== 'repeated') throw new Error('not repeated')
  for (;;) {
    const at = Date.now() + 2
    const some = await verbs.takeOutbox({ worker: 'w', limit: 500, now: at, until: at + LEASE })
    if (some.length === 0) break
    await verbs.completeOutbox(
      some.map(({ id }) => ({ id })),
      at,
    )
  }
}

const report = (label: string) => {
  const verbs = [
    ...['enqueue', 'enqueue again', 'take', 'complete', 'deliver', 'account', 'history', 'update'],
    ...['collapse', 'cancel', 'mark read', 'unread', 'delivered', 'topic owner', 'committed?'],
    ...['subscribers', 'receipts', 'counts'],
  ]
  for (const size of PAGES)
    for (const verb of verbs) {
      const at = (side: string, of: string) =>
        median(figures.get(`${label} ${size} ${verb} ${side} ${of}`) ?? [])
      const [before, after] = [at('before', 'node'), at('after', 'node')]
      const redis =
        label === 'redis'
          ? `   redis ${at('before', 'redis').toFixed(1)} → ${at('after', 'redis').toFixed(1)}`
          : ''
      const speed = (before / after).toFixed(2)
      console.log(
        `${label.padEnd(6)}${String(size).padEnd(5)}${verb.padEnd(15)}${before.toFixed(1).padStart(8)} → ${after.toFixed(1).padStart(7)}  speed ${speed}${redis}`,
      )
    }
}

for (const label of ENGINES) {
  const make = label === 'lmdb' ? lmdbSide : redisSide
  const sides = [await make('before'), await make('after')]
  const empty = await Promise.all(sides.map((side) => side.bytes()))
  for (const side of sides) await subscribeAll(side)
  const subscribed = await Promise.all(sides.map((side) => side.bytes()))
  for (const side of sides) await prefill(side)
  const filled = await Promise.all(sides.map((side) => side.bytes()))
  // A server runs for days: what is measured is compiled.
  for (let round = 0; round < WARM_ROUNDS; round++)
    for (const side of sides) {
      await publishRound(side, label, 500, false)
      await updateRound(side, label, 500, false)
      await updateRound(side, label, 500, false)
    }
  for (let round = 0; round < (process.env.ONLY === 'update' ? 0 : ROUNDS + 2); round++)
    for (const size of PAGES) {
      const order = round % 2 ? [...sides].reverse() : sides
      for (const side of order) await publishRound(side, label, size, round >= 2)
    }
  for (let round = 0; round < ROUNDS + 2; round++)
    for (const size of PAGES) {
      const order = round % 2 ? [...sides].reverse() : sides
      for (const side of order) await updateRound(side, label, size, round >= 2)
    }
  for (let round = 0; round < (process.env.ONLY === 'update' ? 0 : ROUNDS + 2); round++)
    for (const size of PAGES) {
      const order = round % 2 ? [...sides].reverse() : sides
      for (const side of order) await otherRound(side, label, size, round >= 2)
    }
  report(label)
  for (const [at, side] of sides.entries()) {
    const [a, b, c] = [empty[at] ?? 0, subscribed[at] ?? 0, filled[at] ?? 0]
    console.log(
      `${label} ${side.name}: ${((b - a) / SUBSCRIBERS).toFixed(0)} bytes a subscriber, ${((c - b) / (PREFILLED * SUBSCRIBERS)).toFixed(0)} bytes a copy`,
    )
  }
  for (const end of ends.splice(0)) await end()
}
