/** Jobs that one process does for all on a store: leases in a real Redis, and a clock that the test turns. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silent } from '../../src/platform/telemetry.ts'
import { composeServer } from '../../src/server/compose.ts'
import { configWith } from '../../src/server/config/config.ts'
import { createLeaderElection } from '../../src/server/leader-election.ts'
import { createMetrics } from '../../src/server/telemetry/metrics.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { message, topic } from '../contract/relay-samples.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { sharedRedis, startRedis } from '../support/redis.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const QUESTIONS = 3

describe('a duty', () => {
  let clock: ReturnType<typeof manualClock>
  let prefix: string
  let stores: Stores[]
  let prefixes = 0
  beforeEach(() => {
    clock = manualClock()
    prefix = `belfry-duties-${process.pid}-${++prefixes}:`
    stores = []
  })
  afterEach(async () => {
    for (const one of stores) await one[Symbol.asyncDispose]()
  })

  /** A process with one job: `ran` is how often it began, `isOn` whether it is at it. */
  const startProcess = async (holder: string, work: () => Promise<void> = async () => {}) => {
    const own = await openRedis({ url: (await sharedRedis()).url, prefix })
    stores.push(own)
    const state = { ran: 0, isOn: false }
    const duty = createLeaderElection({ leases: own.leases, clock, log: silent }, holder)('job')(
      async (signal) => {
        state.ran++
        await work()
        state.isOn = true
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        state.isOn = false
      },
    )
    return { state, stores: own, [Symbol.asyncDispose]: () => duty[Symbol.asyncDispose]() }
  }
  /**
   * Redis answers in order, so what was asked before is answered, too. Taking a lease is a question or two, each after the answer
   * to the one before, and only then a process waits for the clock.
   */
  const answered = async () => {
    for (let round = 0; round < QUESTIONS; round++)
      await Promise.all(stores.map((one) => one.ping().catch(() => {})))
  }
  const pass = async (ms: number) => {
    await answered()
    for (let at = 0; at < ms; at += SECOND) {
      await clock.advance(SECOND)
      await answered()
    }
  }

  it('is one process at a time, the same as long as it lives, and the next soon after it stopped', async () => {
    const one = await startProcess('one')
    await pass(SECOND)
    await using two = await startProcess('two')
    await pass(10 * MINUTE)
    expect([one.state, two.state]).toEqual([
      { ran: 1, isOn: true },
      { ran: 0, isOn: false },
    ])
    await one[Symbol.asyncDispose]()
    expect(one.state.isOn).toBe(false)
    await pass(16 * SECOND)
    expect(two.state).toEqual({ ran: 1, isOn: true })
  })

  it('is over when the lease can no longer be prolonged, before another one takes it', async () => {
    await using one = await startProcess('one')
    await pass(SECOND)
    await using two = await startProcess('two')
    await pass(SECOND)
    await one.stores[Symbol.asyncDispose]()
    for (let at = 0; at < MINUTE && one.state.isOn; at += SECOND) {
      expect(two.state.isOn).toBe(false)
      await pass(SECOND)
    }
    expect(one.state.isOn).toBe(false)
    await pass(16 * SECOND)
    expect(two.state).toEqual({ ran: 1, isOn: true })
    // It asks on, in vain.
    await pass(2 * MINUTE)
    expect(one.state).toEqual({ ran: 1, isOn: false })
  })

  it('is over when another one has it, as after a long sleep', async () => {
    await using one = await startProcess('one')
    await pass(SECOND)
    const now = clock.now() + MINUTE
    await two(now)
    await pass(16 * SECOND)
    expect(one.state.isOn).toBe(false)

    async function two(at: number) {
      const other = await openRedis({ url: (await sharedRedis()).url, prefix })
      stores.push(other)
      expect(await other.leases.take('job', { holder: 'two', now: at, until: at + MINUTE })).toBe(true)
    }
  })

  it('is tried again when its work fails', async () => {
    let failures = 2
    await using one = await startProcess('one', async () => {
      if (failures-- > 0) throw new Error('not yet')
    })
    await pass(MINUTE)
    expect(one.state).toEqual({ ran: 3, isOn: true })
  })
})

it('the relays on one Redis sweep in turns of one, and the next takes over from one that is cut off', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-duties-'))
  await using redis = await startRedis()
  const clock = manualClock()
  const start = async (name: string) => {
    const metrics = createMetrics({ log: silent, strict: true })
    const config = configWith({
      port: 0,
      host: '127.0.0.1',
      data: join(dir, name),
      metrics: 'off',
      rooms: ['relay'],
      redisUrl: redis.url,
      secret: 'a secret that processes share',
    })
    const server = await composeServer(config, { clock, metrics })
    await server.ready()
    const swept = async () => Number(/^belfry_relay_swept_total (\d+)/m.exec(await metrics.text())?.[1] ?? 0)
    return { server, swept, [Symbol.asyncDispose]: () => server.stop() }
  }
  try {
    await using one = await start('one')
    await eventually(async () =>
      expect(await redis.cli('get', 'belfry:{relay sweep}leases.held:')).not.toBe(''),
    )
    await using two = await start('two')
    const store = two.server.stores.relay
    const counts = async () => [await one.swept(), await two.swept()]
    let published = 0
    const publish = async () => {
      const [publishedAt, expiresAt] = [clock.now(), clock.now() + 300 * SECOND]
      const some = Array.from({ length: 10 }, () =>
        message(topic('a'), `${++published}`, { publishedAt, expiresAt }),
      )
      await store.publish(some)
    }
    for (let period = 1; period <= 3; period++) {
      await publish()
      // The clock runs no faster than Redis answers.
      const end = clock.now() + 6 * MINUTE
      while (clock.now() < end) {
        await clock.advance(SECOND)
        await Promise.all([one.server.stores.ping(), two.server.stores.ping()])
      }
      await eventually(async () => {
        await clock.advance(SECOND)
        await Promise.all([one.server.stores.ping(), two.server.stores.ping()])
        expect(await counts()).toEqual([period * 10, 0])
      })
    }

    await publish()
    await one.server.stores[Symbol.asyncDispose]()
    for (let second = 0; second < 360; second++) {
      await clock.advance(SECOND)
      await two.server.stores.ping()
    }
    await eventually(async () => {
      await clock.advance(SECOND)
      await two.server.stores.ping()
      expect(await counts()).toEqual([30, 10])
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}, 120_000)
