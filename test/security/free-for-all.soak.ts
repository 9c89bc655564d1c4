/**
 * A free-for-all: two hundred throw-away ids of one address do at once whatever costs a server something. A wallet and a
 * dapp of another address do not notice, and when the attackers are gone, what they left ends by itself.
 *
 * It lasts half a minute here; `BELFRY_FREE_FOR_ALL_SECONDS=300` makes it five.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fetchKeys } from '../../src/notify/client/app-keys.ts'
import { type Clock, pause, systemClock } from '../../src/platform/runtime/clock.ts'
import { toHex } from '../../src/protocol/bytes.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { countOf, tallyOf } from '../../src/storage/transfer/sum.ts'
import { startFleet } from '../support/fleet.ts'
import { startServerProcess } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { type EnrolledApp, enrol, temporaryHome } from '../support/story.ts'
import { startWorld } from '../support/world.ts'
import { watchHealth } from './bystander/bystander.ts'
import { startPulseAt } from './pulse.ts'
import { residentBytes } from './strangers-http.ts'

const SECONDS = Number(process.env.BELFRY_FREE_FOR_ALL_SECONDS ?? 30)
const IDS = 200
const DOMAIN = 'bystander.example'
/** Longer than anything that a stranger may leave. */
const PAST_ALL_LEASES_MS = 400 * 86_400_000
/** The default limits and budgets. */
const AS_DEFAULT = { BELFRY_LIMITS: 'notify: off; subscriber: off; mark: off', BELFRY_BUDGETS: '' }
const MIB = 1024 * 1024
const BEAT_MS = 50

interface Ground {
  relays: readonly string[]
  servers: readonly string[]
  dataDir: string
}

const wsOf = (url: string) => url.replace(/^http/, 'ws')

/** Round trips of a wallet and a dapp, one after the other: notified, received, marked as read with an answer. */
const startBystander = async ({ relays, servers }: Ground, app: EnrolledApp) => {
  const place = { servers: servers.slice(0, 1), relay: wsOf(relays[0] ?? ''), app }
  const pulse = await startPulseAt(place, { everyMs: BEAT_MS })
  const health = watchHealth(place.servers)
  return {
    next: pulse.next,
    /** How long things took, ms. Rejects with what went wrong, if anything did. */
    async stop() {
      await using _ = pulse
      const healthy = await health.stop()
      await pulse.stop()
      return { ...pulse.times, healthy }
    },
  }
}
type Times = Awaited<ReturnType<Awaited<ReturnType<typeof startBystander>>['stop']>>

const percentile = (times: readonly number[], part: number): number =>
  [...times].sort((a, b) => a - b)[Math.floor((times.length - 1) * part)] ?? Number.NaN

const runAttackers = async (ground: Ground, app: EnrolledApp): Promise<unknown> => {
  const [server = ''] = ground.servers
  const keys = await Promise.all(
    [`${server}/.well-known/did.json`, `${server}/apps/${app.domain}/did.json`].map((url) =>
      fetchKeys({ clock: systemClock, fetch }, url),
    ),
  )
  const orders = {
    relays: ground.relays.map(wsOf),
    servers: ground.servers,
    seconds: SECONDS,
    ids: IDS,
    address: '203.0.113.66',
    requestKeys: keys.map(({ subscribe }) => toHex(subscribe)),
  }
  const attackers = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--conditions=source',
      'test/security/free-for-all/attacker.ts',
      JSON.stringify(orders),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let printed = ''
  attackers.stdout.on('data', (chunk) => {
    printed += chunk
  })
  await once(attackers, 'close')
  return JSON.parse(printed)
}

const rowsOf = async (stores: Stores, now: number): Promise<number> =>
  countOf(await tallyOf(stores.transfer.read, now))

/** The same time of day, much later; what is done every minute is done every six seconds. */
const SPEED = 10
const SWEEP_EVERY_MS = 60_000 / SPEED
const later: Clock = {
  now: () => Date.now() + PAST_ALL_LEASES_MS,
  after: (delay, task) => systemClock.after(delay / SPEED, task),
}

/** 50th and 99th percentile and maximum of each, ms. */
const summaryOf = (times: Times) =>
  Object.fromEntries(
    Object.entries(times).map(([what, all]) => [
      what,
      [all.length, ...[0.5, 0.99, 1].map((part) => Math.round(percentile(all, part)))],
    ]),
  )

const expectCalm = (times: Times) => {
  expect(times.received.length).toBeGreaterThan(SECONDS / 2)
  for (const one of Object.values(times)) expect(percentile(one, 0.99)).toBeLessThan(1_000)
  expect(percentile(times.healthy, 0.5)).toBeLessThan(100)
}

/** The bystander's hour, and the attackers' if there are any. */
const live = async (name: string, ground: Ground, isAttacked: boolean): Promise<void> => {
  const app = await enrol(ground.dataDir, DOMAIN)
  const bystander = await startBystander(ground, app)
  if (!isAttacked) {
    await bystander.next()
    await bystander.stop()
    return
  }
  const attacks = await runAttackers(ground, app)
  const times = await bystander.stop()
  console.log(name, JSON.stringify({ attacks, bystander: summaryOf(times) }))
  expectCalm(times)
}

/** What is left of it on the embedded store when everything that has an end has ended: rows. */
const leftOnEmbedded = async (isAttacked: boolean): Promise<number> => {
  await using home = await temporaryHome()
  {
    await using server = await startServerProcess(home.path, { env: AS_DEFAULT })
    const ground = { relays: [server.url], servers: [server.url], dataDir: home.path }
    const before = await residentBytes(server.pid)
    await live('embedded', ground, isAttacked)
    expect((await residentBytes(server.pid)) - before).toBeLessThan(600 * MIB)
    expect(await server.end('SIGTERM')).toBe(0)
  }
  await using world = await startWorld({ dataDir: home.path, clock: later })
  return await settledCount(() => rowsOf(world.stores, 0))
}

/** What a count comes to when no sweep changes it any more. */
const settledCount = async (count: () => Promise<number>): Promise<number> => {
  for (let at = 0, last = -1; at < 20; at++) {
    const now = await count()
    if (now === last) return now
    last = now
    await pause(systemClock, 2 * SWEEP_EVERY_MS)
  }
  throw new Error('it goes on changing')
}

it('one process on the embedded store serves everybody else, and is left as it was', async () => {
  const calm = await leftOnEmbedded(false)
  expect(await leftOnEmbedded(true)).toBeLessThanOrEqual(calm * 1.1)
}, 900_000)

/** Does what Redis itself does when time has passed: keys whose end has come are gone. */
const passTime = async (redis: RedisServer): Promise<void> => {
  const script = `
local cursor, gone = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local at = redis.call('PEXPIRETIME', key)
    if at > 0 and at <= tonumber(ARGV[1]) then gone = gone + redis.call('DEL', key) end
  end
until cursor == '0'
return gone`
  await redis.cli('EVAL', script, '0', String(later.now()))
}

/** The same on Redis with two relays and two notify servers: rows, and keys of Redis. */
const leftOnRedis = async (isAttacked: boolean): Promise<{ rows: number; keys: number }> => {
  await using redis = await startRedis({
    config: ['--maxmemory', '256mb', '--maxmemory-policy', 'noeviction'],
  })
  let secret = ''
  {
    await using fleet = await startFleet(redis.url, {
      env: { ...AS_DEFAULT, BELFRY_TRUSTED_PROXIES: 'loopback' },
    })
    secret = fleet.secret
    const ground = {
      relays: fleet.relays.map(({ url }) => url),
      servers: fleet.notifies.map(({ url }) => url),
      dataDir: fleet.notifies[0]?.dataDir ?? '',
    }
    await live('Redis', ground, isAttacked)
    const used = Number(/used_memory:(\d+)/.exec(await redis.cli('INFO', 'memory'))?.[1])
    expect(used).toBeLessThan(0.8 * 256 * MIB)
  }
  await passTime(redis)
  await using home = await temporaryHome()
  await using world = await startWorld({
    dataDir: join(home.path, 'data'),
    clock: later,
    config: { redisUrl: redis.url, secret },
  })
  return {
    rows: await settledCount(() => rowsOf(world.stores, 0)),
    keys: await settledCount(async () => Number(await redis.cli('DBSIZE'))),
  }
}

it('two relays and two notify servers on Redis serve everybody else, and are left as they were', async () => {
  const calm = await leftOnRedis(false)
  const left = await leftOnRedis(true)
  expect(left.rows).toBeLessThanOrEqual(calm.rows * 1.1)
  expect(left.keys).toBeLessThanOrEqual(calm.keys * 1.1)
}, 900_000)
