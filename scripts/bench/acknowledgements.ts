/**
 * What an acknowledgement costs by how long it waits for company: CPU of this process for one, and of Redis. They come at a
 * steady rate, of many wallets to as many topics, or of one server to one topic.
 *
 *     esbuild scripts/bench/acknowledgements.ts --bundle --platform=node --format=esm --packages=external --outfile=…
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createAckBatcher } from '../../src/relay/delivery/ack-batcher.ts'
import { createMailboxes } from '../../src/relay/store/verbs/mailboxes.ts'
import type { MailboxStore, NewMessage } from '../../src/relay/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'

const RATE = Number(process.env.RATE ?? 1_000)
const SECONDS = Number(process.env.SECONDS ?? 4)
const ROUNDS = Number(process.env.ROUNDS ?? 3)
const DELAYS = (process.env.DELAYS ?? 'at once,20,100,250,1000').split(',')
const ENGINES = (process.env.ENGINES ?? 'lmdb,redis').split(',')
const SIDES = (process.env.SIDES ?? 'native,port').split(',')
const TICK_MS = 5
const TOPICS = 1_000
const DAY = 86_400_000

interface Side {
  name: string
  store: MailboxStore
  redisCpu(): Promise<number>
}
const ends: (() => Promise<void>)[] = []

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })

const storeOf = (name: string, stores: Stores, instance?: string): MailboxStore =>
  name === 'native'
    ? stores.relay
    : createMailboxes(stores.kv, systemClock, instance === undefined ? {} : { instance })

const redisSide = async (name: string): Promise<Side> => {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'acks-redis-'))
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes']
  const child = spawn('redis-server', args, { stdio: 'ignore' })
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
  const of = (info: string, field: string) => Number(new RegExp(`${field}:([\\d.]+)`).exec(info)?.[1] ?? 0)
  return {
    name,
    store: storeOf(name, stores, 'bench'),
    async redisCpu() {
      const info = await admin.info('cpu')
      return 1e6 * (of(info, 'used_cpu_user_main_thread') + of(info, 'used_cpu_sys_main_thread'))
    },
  }
}

const lmdbSide = async (name: string): Promise<Side> => {
  const path = mkdtempSync(join(tmpdir(), 'acks-lmdb-'))
  const stores = await openLmdb({ path })
  ends.push(async () => {
    await stores[Symbol.asyncDispose]()
    rmSync(path, { recursive: true, force: true })
  })
  return { name, store: storeOf(name, stores), redisCpu: async () => 0 }
}

interface Ack {
  clientId: string
  topic: string
  id: string
}
interface Acks {
  acknowledge(ack: Ack): void
  idle(): Promise<void>
  writes(): number
}

/** As the relay does it. */
const atOnce = (store: MailboxStore): Acks => {
  let writes = 0
  const counted: Pick<MailboxStore, 'acknowledge'> = {
    acknowledge(...args) {
      writes += 1
      return store.acknowledge(...args)
    },
  }
  const log = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} }
  const meter = { count() {}, observe() {}, gauge() {} }
  const batcher = createAckBatcher({ store: counted, log, meter } as unknown as Parameters<
    typeof createAckBatcher
  >[0])
  return {
    acknowledge: ({ clientId, topic, id }) => batcher.acknowledge(clientId, topic, id),
    idle: () => batcher.idle(),
    writes: () => writes,
  }
}

/** What comes within so many ms is written together. */
const after = (store: MailboxStore, delayMs: number): Acks => {
  let waiting = new Map<string, Ack[]>()
  let timer: NodeJS.Timeout | undefined
  let writes = 0
  let last = Promise.resolve<unknown>(undefined)
  const write = () => {
    timer = undefined
    const all = waiting
    waiting = new Map()
    writes += all.size
    last = Promise.all([last, ...[...all].map(([clientId, acks]) => store.acknowledge(clientId, acks))])
  }
  return {
    acknowledge(ack) {
      const own = waiting.get(ack.clientId)
      if (own) own.push(ack)
      else waiting.set(ack.clientId, [ack])
      timer ??= setTimeout(write, delayMs)
    },
    async idle() {
      if (timer) {
        clearTimeout(timer)
        write()
      }
      await last
    },
    writes: () => writes,
  }
}

const hexOf = (text: string) => createHash('sha256').update(text).digest('hex')
let made = 0
const messageFor = (topic: string): NewMessage => {
  const now = Date.now()
  made += 1
  const message = `${made}`.padEnd(1_200, 'x')
  return {
    ...{ topic, message, tag: 4002, attestation: '', publisher: 'did:key:zServer', payer: 'payer' },
    ...{ id: hexOf(message), publishedAt: now, expiresAt: now + 30 * DAY },
  }
}

const prepared = async ({ store }: Side, scenario: string, round: string): Promise<Ack[]> => {
  const isMany = scenario === 'wallets'
  const count = RATE * SECONDS
  const places = Array.from({ length: isMany ? TOPICS : 1 }, (_, nth) => ({
    topic: hexOf(`${scenario} ${isMany ? '' : round} ${nth}`),
    clientId: `did:key:z6Mk${hexOf(`${scenario} ${nth}`).slice(0, 44)}`,
  }))
  for (const { topic, clientId } of places) await store.subscribe(clientId, [topic], { now: Date.now() })
  const acks: Ack[] = []
  for (let at = 0; at < count; at += 500) {
    const some = Array.from(
      { length: Math.min(500, count - at) },
      (_, nth) => places[(at + nth) % places.length],
    )
    const messages = some.map((place) => messageFor(place?.topic ?? ''))
    await store.publish(messages)
    for (const [nth, { topic, id }] of messages.entries())
      acks.push({ topic, id, clientId: some[nth]?.clientId ?? '' })
  }
  return acks
}

/** CPU of one acknowledgement, of this process and of Redis, and how many writes there were for each. */
const measure = async (side: Side, list: readonly Ack[], acks: Acks | undefined) => {
  const redisBefore = await side.redisCpu()
  const before = process.cpuUsage()
  const perTick = (RATE * TICK_MS) / 1_000
  let next = 0
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      for (let left = perTick; left > 0 && next < list.length; left--) {
        const ack = list[next++]
        if (ack) acks?.acknowledge(ack)
      }
      if (next < list.length) return
      clearInterval(timer)
      resolve()
    }, TICK_MS)
  })
  await acks?.idle()
  const { user, system } = process.cpuUsage(before)
  return {
    node: (user + system) / list.length,
    redis: ((await side.redisCpu()) - redisBefore) / list.length,
    writes: (acks?.writes() ?? 0) / list.length,
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

for (const label of ENGINES) {
  const sides: Side[] = []
  for (const name of SIDES) sides.push(await (label === 'lmdb' ? lmdbSide : redisSide)(name))
  for (const scenario of ['wallets', 'server']) {
    const figures = new Map<string, Awaited<ReturnType<typeof measure>>[]>()
    for (let round = 0; round < ROUNDS; round++)
      for (const delay of ['none', ...DELAYS])
        for (const side of sides) {
          const list = await prepared(side, scenario, `${round} ${delay}`)
          const made =
            delay === 'none'
              ? undefined
              : delay === 'at once'
                ? atOnce(side.store)
                : after(side.store, Number(delay))
          const name = `${delay} ${side.name}`
          figures.set(name, [...(figures.get(name) ?? []), await measure(side, list, made)])
        }
    for (const delay of DELAYS)
      for (const { name } of sides) {
        const of = (which: 'node' | 'redis' | 'writes', at = delay) =>
          median((figures.get(`${at} ${name}`) ?? []).map((one) => one[which]))
        const node = of('node') - of('node', 'none')
        const redis = of('redis') - of('redis', 'none')
        console.log(
          `${label.padEnd(6)}${scenario.padEnd(9)}${delay.padEnd(9)}${name.padEnd(8)} node ${node.toFixed(1).padStart(6)}  redis ${redis.toFixed(1).padStart(6)}  calls ${of('writes').toFixed(3)}`,
        )
      }
  }
  for (const end of ends.splice(0)) await end()
}
