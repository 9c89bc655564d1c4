/** Push: jobs a second, and what registered devices cost the relay's publish → deliver. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createSender } from '../../src/push/delivery/sender.ts'
import { createPushWorker } from '../../src/push/delivery/worker.ts'
import type { Addition, PushProject, PushStore } from '../../src/push/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import { startRedis } from '../../test/support/redis.ts'
import { alternate, inTurns, median, ratio, startBoth } from './engines.ts'
import { measure } from './relay.ts'
import { count, type Row } from './table.ts'

const ROUNDS = 3
const JOBS = 3_000
const DAY_MS = 86_400_000

const PROJECT: PushProject = { id: 'bench', createdAt: 0, isOpen: true, credentials: {} }

/** A push for each device: kept, taken, handed to a provider that answers at once, and ticked off. */
const jobsPerSecond = async (store: PushStore, round: number): Promise<number> => {
  const names = Array.from({ length: JOBS }, (_, at) => `client-${round}-${at}`)
  const now = Date.now()
  for (let at = 0; at < JOBS; at += 500)
    await Promise.all(
      names.slice(at, at + 500).map((name) =>
        store.register(
          name,
          {
            ...{ id: 'd', projectId: PROJECT.id, form: 'published', isLegacy: false, isProven: true },
            address: { provider: 'noop', token: name },
            expiresAt: now + DAY_MS,
          },
          { now, devices: 1 },
        ),
      ),
    )
  let handed = 0
  let done = () => {}
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const provider = {
    maxBytes: 4_096,
    sizeOf: () => 0,
    async send() {
      handed += 1
      if (handed === JOBS) done()
      return { kind: 'accepted' } as const
    },
  }
  const projects = { find: async () => PROJECT, list: async () => [PROJECT], stop: async () => {} }
  const mailboxes = {
    async *waiting() {},
    pending: async () => ({ messages: [], hasMore: false }),
    message: async () => undefined,
    pick: async () => [],
  }
  const send = createSender({
    ...{ store, projects, mailboxes, clock: systemClock, log: silent, meter: unmeasured },
    providers: { of: () => ({ provider, credentialsId: '' }) },
    told: async () => {},
  })
  await using _worker = createPushWorker({ store, projects, send, clock: systemClock, log: silent })
  const start = performance.now()
  for (let at = 0; at < JOBS; at += 100) {
    const additions = names.slice(at, at + 100).map(
      (clientId): Addition => ({
        ...{ clientId, deviceId: 'd', projectId: PROJECT.id, provider: 'noop', at: Date.now() },
        messages: [
          {
            ...{
              topic: 'a'.repeat(64),
              id: `${round}-${clientId}`,
              tag: 4002,
              rank: 2,
              at: now,
              text: 'AAEC',
            },
            ...{ expiresAt: now + DAY_MS, isForeign: true },
          },
        ],
      }),
    )
    await store.add(additions, { limit: 8, now: Date.now() })
  }
  await all
  return JOBS / ((performance.now() - start) / 1000)
}

const benchJobs = async (): Promise<Row> => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-bench-push-'))
  await using redisServer = await startRedis({ appendonly: true })
  await using embedded = await openLmdb({ path })
  await using redis = await openRedis({ url: redisServer.url, prefix: 'bench-push:' })
  const stores = { embedded: embedded.push, redis: redis.push }
  const rates = await alternate(stores, ROUNDS, jobsPerSecond)
  await rm(path, { recursive: true, force: true })
  return {
    what: 'push jobs: kept, taken, handed over, ticked off',
    figure: `${count(median(rates.embedded))} /s`,
    onRedis: `${count(median(rates.redis))} /s`,
    ratio: ratio(rates),
    reference: 'one process; the provider answers at once',
  }
}

/** Clients that are connected and acknowledge: each has a device, or none has. */
const benchRelayWithDevices = async (): Promise<Row> => {
  await using servers = await startBoth()
  const register = async (url: string, did: string) => {
    const body = JSON.stringify({ client_id: did, type: 'noop', token: did })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/clients`, { method: 'POST', headers, body })
    if (answer.status !== 200) throw new Error(`A device was not registered: ${answer.status}`)
  }
  const figures = { embedded: 0, redis: 0 }
  const shares = { embedded: 0, redis: 0 }
  for (const name of ['embedded', 'redis'] as const) {
    const { url, wsUrl } = servers[name]
    // So that nobody is spared by there being no device at all.
    await register(url, generateSigningKey().did)
    const [without, withDevices] = await inTurns<boolean, number>([false, true], 2 * ROUNDS, async (has) => {
      const enrol = has ? (did: string) => register(url, did) : undefined
      return (await measure(wsUrl, 10, 1_500, 64, enrol)).rate
    })
    figures[name] = median(withDevices)
    shares[name] = median(withDevices) / median(without)
  }
  return {
    what: 'publish → deliver, 10 subscribers with registered devices',
    figure: `${count(figures.embedded)} /s`,
    onRedis: `${count(figures.redis)} /s`,
    ratio: (figures.redis / figures.embedded).toFixed(2),
    reference: `${shares.embedded.toFixed(2)} (embedded), ${shares.redis.toFixed(2)} (Redis) × without devices`,
  }
}

export const benchPush = async (): Promise<Row[]> => [await benchJobs(), await benchRelayWithDevices()]
