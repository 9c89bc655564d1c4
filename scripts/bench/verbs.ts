/**
 * The hot verbs of the notify store: as each engine has them, against the same written once over the port. CPU of this
 * process for one item, and of Redis; interleaved rounds, medians.
 *
 *     esbuild scripts/bench/verbs.ts --bundle --platform=node --format=esm --packages=external --outfile=…
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
import { createVerbs, type Verbs } from '../../src/notify/store/verbs/store.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
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

interface Side {
  name: 'native' | 'port'
  verbs: Pick<Verbs, keyof Verbs & keyof Omit<NotifyStore, 'history'>>
  /** The first page of 20, and how many are unread. */
  history(subscriber: Subscriber): Promise<void>
  stores: Stores
  /** Of its Redis, µs so far. */
  redisCpu(): Promise<number>
  bytes(): Promise<number>
}

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

const verbsOf = (name: Side['name'], stores: Stores): Pick<Side, 'verbs' | 'history'> => {
  const page = { after: null, limit: 20, unreadFirst: false }
  const check = (notifications: readonly unknown[]) => {
    if (notifications.length !== 20) throw new Error(`a history of ${notifications.length}`)
  }
  if (name === 'native')
    return {
      verbs: stores.notify,
      history: async ({ subscription: { id } }) =>
        check((await stores.notify.history(id, { ...page, now: Date.now() })).notifications),
    }
  const verbs = createVerbs(stores.kv, systemClock)
  return {
    verbs,
    history: async ({ accountKey, subscription: { id } }) =>
      check((await verbs.history(accountKey, id, { ...page, now: Date.now() })).notifications),
  }
}

const redisSide = async (name: Side['name']): Promise<Side> => {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'verbs-redis-'))
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes']
  const child = spawn('redis-server', [...args, '--auto-aof-rewrite-percentage', '0'], { stdio: 'ignore' })
  await new Promise((resolve) => setTimeout(resolve, 500))
  const admin = new Redis(port, '127.0.0.1')
  const stores = await openRedis({ url: `redis://127.0.0.1:${port}` })
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
    ...verbsOf(name, stores),
    redisCpu: async () =>
      1e6 *
      ((await info('cpu', 'used_cpu_user_main_thread')) + (await info('cpu', 'used_cpu_sys_main_thread'))),
    bytes: () => info('memory', 'used_memory'),
  }
}

const lmdbSide = async (name: Side['name']): Promise<Side> => {
  const path = mkdtempSync(join(tmpdir(), 'verbs-lmdb-'))
  const stores = await openLmdb({ path })
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    rmSync(path, { recursive: true, force: true })
  })
  return {
    name,
    stores,
    ...verbsOf(name, stores),
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
    for (const page of groups(chosen, size)) await Promise.all(page.map((one) => side.history(one)))
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
      requestId: { id: cause, token: `jwt:${cause}`, expiresAt: now + REQUEST_MS },
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
  const verbs = ['enqueue', 'enqueue again', 'take', 'complete', 'deliver', 'account', 'history', 'update']
  for (const size of PAGES)
    for (const verb of verbs) {
      const at = (side: string, of: string) =>
        median(figures.get(`${label} ${size} ${verb} ${side} ${of}`) ?? [])
      const [native, port] = [at('native', 'node'), at('port', 'node')]
      const redis =
        label === 'redis'
          ? `   redis ${at('native', 'redis').toFixed(1)} → ${at('port', 'redis').toFixed(1)}`
          : ''
      const speed = (native / port).toFixed(2)
      console.log(
        `${label.padEnd(6)}${String(size).padEnd(5)}${verb.padEnd(15)}${native.toFixed(1).padStart(8)} → ${port.toFixed(1).padStart(7)}  speed ${speed}${redis}`,
      )
    }
}

for (const label of ENGINES) {
  const make = label === 'lmdb' ? lmdbSide : redisSide
  const sides = [await make('native'), await make('port')]
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
  report(label)
  for (const [at, side] of sides.entries()) {
    const [a, b, c] = [empty[at] ?? 0, subscribed[at] ?? 0, filled[at] ?? 0]
    console.log(
      `${label} ${side.name}: ${((b - a) / SUBSCRIBERS).toFixed(0)} bytes a subscriber, ${((c - b) / (PREFILLED * SUBSCRIBERS)).toFixed(0)} bytes a copy`,
    )
  }
  for (const end of ends.splice(0)) await end()
}
