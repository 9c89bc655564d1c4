/**
 * The relay's mailboxes as each engine has them, against the same written once over the port. CPU of this process for one
 * item, and of Redis; interleaved rounds, medians.
 *
 *     esbuild scripts/bench/mailboxes.ts --bundle --platform=node --format=esm --packages=external --outfile=…
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createMailboxes } from '../../src/relay/store/verbs/mailboxes.ts'
import type { MailboxStore, NewMessage, Publication } from '../../src/relay/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 7)
const WARM = Number(process.env.WARM ?? 6)
const TOPICS = Number(process.env.TOPICS ?? 2_000)
const PREFILLED = Number(process.env.PREFILLED ?? 12)
const SIZES = (process.env.SIZES ?? '1,50,500').split(',').map(Number)
const ENGINES = (process.env.ENGINES ?? 'lmdb,redis').split(',')
const ITEMS: Record<number, number> = { 1: 200, 50: 1_000, 500: 2_000 }
const MESSAGE_BYTES = 1_200
const DAY = 86_400_000
/** Whether another process acknowledges than the one that publishes. */
const OTHER_ACKNOWLEDGES = process.env.OTHER === '1'
/** Where a message is acknowledged with its seq. */
const WITH_SEQ = process.env.WITH_SEQ === '1'

interface Side {
  name: 'native' | 'port'
  store: MailboxStore
  /** Where it is acknowledged: the same, or as another process has it. */
  acknowledging: MailboxStore
  /** Of its Redis, µs so far. */
  redisCpu(): Promise<number>
  bytes(): Promise<number>
  aofBytes(): Promise<number>
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

const storeOf = (name: Side['name'], stores: Stores, instance?: string): MailboxStore =>
  name === 'native'
    ? stores.relay
    : createMailboxes(stores.kv, systemClock, instance === undefined ? {} : { instance })

const redisSide = async (name: Side['name']): Promise<Side> => {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'mailboxes-redis-'))
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes']
  const child = spawn('redis-server', [...args, '--auto-aof-rewrite-percentage', '0'], { stdio: 'ignore' })
  await new Promise((resolve) => setTimeout(resolve, 500))
  const admin = new Redis(port, '127.0.0.1')
  const stores = await openRedis({ url: `redis://127.0.0.1:${port}` })
  await stores.ping()
  const other = OTHER_ACKNOWLEDGES ? await openRedis({ url: `redis://127.0.0.1:${port}` }) : stores
  await other.ping()
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    admin.disconnect()
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    rmSync(dir, { recursive: true, force: true })
  })
  const info = async (section: string, field: string) =>
    Number(new RegExp(`${field}:([\\d.]+)`).exec(await admin.info(section))?.[1] ?? 0)
  const store = storeOf(name, stores, 'bench')
  return {
    name,
    store,
    acknowledging: other === stores ? store : storeOf(name, other, 'other'),
    redisCpu: async () =>
      1e6 *
      ((await info('cpu', 'used_cpu_user_main_thread')) + (await info('cpu', 'used_cpu_sys_main_thread'))),
    bytes: () => info('memory', 'used_memory'),
    aofBytes: () => info('persistence', 'aof_current_size'),
  }
}

const lmdbSide = async (name: Side['name']): Promise<Side> => {
  const path = mkdtempSync(join(tmpdir(), 'mailboxes-lmdb-'))
  const stores = await openLmdb({ path })
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    rmSync(path, { recursive: true, force: true })
  })
  const store = storeOf(name, stores)
  return {
    name,
    store,
    acknowledging: store,
    redisCpu: async () => 0,
    aofBytes: async () => 0,
    bytes: async () => {
      const space = await stores.space.measure()
      const { bavail, bsize } = statfsSync(path)
      const reusable = space.kind === 'disk' ? space.freeBytes - bavail * bsize : 0
      return statSync(join(path, 'data.mdb')).size - reusable
    },
  }
}

const hexOf = (text: string) => createHash('sha256').update(text).digest('hex')
const clientOf = (nth: number) =>
  `did:key:z6Mk${Buffer.from(hexOf(`client ${nth}`), 'hex')
    .toString('base64url')
    .slice(0, 44)}`
const SERVER = clientOf(-1)
const topics = Array.from({ length: TOPICS }, (_, nth) => ({
  topic: hexOf(`topic ${nth}`),
  // A wallet has some subscriptions, on two devices.
  wallet: clientOf(nth >> 2),
  other: clientOf(1_000_000 + (nth >> 2)),
}))
type Place = (typeof topics)[number]

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
  const [redisBefore, aofBefore] = [await side.redisCpu(), await side.aofBytes()]
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  const redis = (await side.redisCpu()) - redisBefore
  if (!isKept) return
  note(`${name} ${side.name} node`, (user + system) / items)
  note(`${name} ${side.name} redis`, redis / items)
  note(`${name} ${side.name} aof`, ((await side.aofBytes()) - aofBefore) / items)
}

const messageFor = (topic: string, now = Date.now()): NewMessage => {
  const message = randomBytes((MESSAGE_BYTES * 3) / 4).toString('base64')
  return {
    ...{ topic, message, tag: 4002, attestation: '', publisher: SERVER, payer: 'payer' },
    id: hexOf(message),
    publishedAt: now,
    expiresAt: now + 30 * DAY,
  }
}

const allStored = (publications: readonly Publication[], isCaughtUp?: boolean) => {
  for (const one of publications) {
    if (one.outcome !== 'stored' || one.subscribers.length !== 2) throw new Error('not stored')
    if (isCaughtUp && !one.subscribers.some(({ caughtUp }) => caughtUp)) throw new Error('not caught up')
  }
}

interface Sent {
  place: Place
  topic: string
  id: string
  seq?: number
}
const acknowledgeAll = (side: Side, sent: readonly Sent[], who: 'wallet' | 'other') =>
  Promise.all(sent.map(({ place, ...receipt }) => side.acknowledging.acknowledge(place[who], [receipt])))

/** Both sides have the same work. */
const counts = new Map<string, number>()
const next = (side: Side): number => {
  const count = (counts.get(side.name) ?? 0) + 1
  counts.set(side.name, count)
  return count
}

/** Messages to different topics, which a wallet gets and acknowledges; its other device is away every fourth time. */
const manyTopics = async (side: Side, label: string, size: number, isKept: boolean) => {
  const nth = next(side)
  const items = ITEMS[size] ?? 1_000
  const start = (nth * 271) % TOPICS
  const chosen = [...topics.slice(start), ...topics.slice(0, start)].slice(0, items)
  const messages = chosen.map(({ topic }) => messageFor(topic))
  const publications: Publication[] = []
  await measured(side, `${label} ${size} publish`, items, isKept, async () => {
    for (const page of groups(messages, size)) publications.push(...(await side.store.publish(page)))
  })
  allStored(publications, true)
  await measured(side, `${label} ${size} pending`, items, isKept, async () => {
    for (const page of groups(chosen, size)) {
      const now = Date.now()
      const read = { after: 0, limit: 128, maxBytes: 1_048_576, now }
      const found = await Promise.all(
        page.map(({ topic, wallet }) => side.store.pending(wallet, topic, read)),
      )
      if (found.some(({ messages: some }) => some.length !== 1)) throw new Error('not one waits')
    }
  })
  const sent = messages.map(({ topic, id }, at): Sent => {
    const [place, publication] = [chosen[at], publications[at]]
    if (!place || publication?.outcome !== 'stored') throw new Error('not stored')
    return { place, topic, id, ...(WITH_SEQ && { seq: publication.seq }) }
  })
  await measured(side, `${label} ${size} acknowledge`, items, isKept, async () => {
    for (const some of groups(sent, size)) await acknowledgeAll(side, some, 'wallet')
  })
  const again = messages.slice(0, size)
  const repeated = await side.store.publish(again)
  if (repeated.some(({ outcome }) => outcome !== 'duplicate')) throw new Error('not a duplicate')
  if (nth % 4 > 0) for (const some of groups(sent, 500)) await acknowledgeAll(side, some, 'other')
}

/** Many messages to one topic. */
const oneTopic = async (side: Side, label: string, size: number, isKept: boolean) => {
  const nth = next(side)
  const count = size === 1 ? 100 : 1_000
  const topic = hexOf(`one topic ${nth}`)
  const place = { topic, wallet: clientOf(2_000_000 + nth), other: clientOf(3_000_000 + nth) }
  for (const client of [place.wallet, place.other])
    await side.store.subscribe(client, [topic], { now: Date.now() })
  const messages = Array.from({ length: count }, () => messageFor(topic))
  const publications: Publication[] = []
  await measured(side, `${label} ${size} publish, one topic`, count, isKept, async () => {
    for (const page of groups(messages, size)) publications.push(...(await side.store.publish(page)))
  })
  allStored(publications)
  if (size === 1) return
  const pages: string[] = []
  await measured(side, `${label} ${size} pending, page of 128`, count, isKept, async () => {
    for (let after = 0; ; ) {
      const read = { after, limit: 128, maxBytes: 1_048_576, now: Date.now() }
      const page = await side.store.pending(place.wallet, topic, read)
      for (const { id } of page.messages) pages.push(id)
      after = page.messages.at(-1)?.seq ?? after
      if (!page.hasMore) break
    }
  })
  if (pages.join() !== messages.map(({ id }) => id).join()) throw new Error('not all wait')
  const receipts = messages.map(({ id }, at) => {
    const publication = publications[at]
    return { topic, id, ...(WITH_SEQ && publication?.outcome === 'stored' && { seq: publication.seq }) }
  })
  await measured(side, `${label} ${size} acknowledge, one topic`, count, isKept, async () => {
    for (const some of groups(receipts, size)) await side.acknowledging.acknowledge(place.wallet, some)
  })
  const rest = await side.store.pending(place.wallet, topic, {
    after: 0,
    limit: 1,
    maxBytes: 1,
    now: Date.now(),
  })
  if (rest.messages.length > 0) throw new Error('not acknowledged')
}

const subscribing = async (side: Side, label: string, size: number, isKept: boolean) => {
  const nth = next(side)
  const [items, round] = [200, nth]
  const own = Array.from({ length: items }, (_, at) => hexOf(`own ${round} ${at}`))
  await measured(side, `${label} ${size} subscribe`, items, isKept, async () => {
    for (const [at, some] of groups(own, Math.min(size, 50)).entries())
      await side.store.subscribe(clientOf(5_000_000 + round * 1_000 + at), some, {
        now: Date.now(),
        limit: 10_000,
      })
  })
}

const VERBS = [
  ...['publish', 'pending', 'acknowledge', 'publish, one topic', 'pending, page of 128'],
  ...['acknowledge, one topic', 'subscribe'],
]
const report = (label: string) => {
  for (const size of SIZES)
    for (const verb of VERBS) {
      const at = (side: string, of: string) =>
        median(figures.get(`${label} ${size} ${verb} ${side} ${of}`) ?? [])
      const [native, port] = [at('native', 'node'), at('port', 'node')]
      if (Number.isNaN(native)) continue
      const redis =
        label === 'redis'
          ? `   redis ${at('native', 'redis').toFixed(1)} → ${at('port', 'redis').toFixed(1)}   aof ${at('native', 'aof').toFixed(0)} → ${at('port', 'aof').toFixed(0)}`
          : ''
      const both =
        label === 'redis'
          ? `  both ${((native + at('native', 'redis')) / (port + at('port', 'redis'))).toFixed(2)}`
          : ''
      console.log(
        `${label.padEnd(6)}${String(size).padEnd(5)}${verb.padEnd(24)}${native.toFixed(1).padStart(8)} → ${port.toFixed(1).padStart(7)}  speed ${(native / port).toFixed(2)}${both}${redis}`,
      )
    }
}

const prefill = async (side: Side) => {
  for (let done = 0; done < PREFILLED; done++)
    for (const some of groups(topics, 500)) {
      const messages = some.map(({ topic }) => messageFor(topic))
      allStored(await side.store.publish(messages))
      const sent = messages.map(({ topic, id }, at) => ({
        place: some[at] ?? { topic, wallet: '', other: '' },
        topic,
        id,
      }))
      for (const who of ['wallet', 'other'] as const) await acknowledgeAll(side, sent, who)
    }
}

for (const label of ENGINES) {
  const make = label === 'lmdb' ? lmdbSide : redisSide
  const sides = process.env.SIDE
    ? [await make(process.env.SIDE === 'port' ? 'port' : 'native')]
    : [await make('native'), await make('port')]
  const empty = await Promise.all(sides.map((side) => side.bytes()))
  for (const side of sides)
    for (const { topic, wallet, other } of topics)
      await Promise.all(
        [wallet, other].map((client) => side.store.subscribe(client, [topic], { now: Date.now() })),
      )
  const subscribed = await Promise.all(sides.map((side) => side.bytes()))
  for (const side of sides) await prefill(side)
  const filled = await Promise.all(sides.map((side) => side.bytes()))
  for (let round = 0; round < WARM; round++)
    for (const side of sides) {
      await manyTopics(side, label, 500, false)
      await oneTopic(side, label, 50, false)
      await subscribing(side, label, 50, false)
    }
  for (let round = 0; round < ROUNDS + 2; round++)
    for (const size of SIZES) {
      const order = round % 2 ? [...sides].reverse() : sides
      for (const work of [manyTopics, oneTopic, subscribing])
        for (const side of order) await work(side, label, size, round >= 2)
    }
  report(label)
  for (const [at, side] of sides.entries()) {
    const [a, b, c] = [empty[at] ?? 0, subscribed[at] ?? 0, filled[at] ?? 0]
    console.log(
      `${label} ${side.name}: ${((b - a) / (2 * TOPICS)).toFixed(0)} bytes a subscription, ${((c - b) / (PREFILLED * TOPICS)).toFixed(0)} bytes a message of ${MESSAGE_BYTES}`,
    )
  }
  for (const end of ends.splice(0)) await end()
}
