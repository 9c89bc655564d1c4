/** What a dapp's own server hears of its subscribers, however badly it listens. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { WEBHOOK_QUEUE } from '../../src/notify/webhooks/calls.ts'
import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'
import { newDevice } from '../support/story.ts'
import { type Received, signatureOf, startReceiver } from '../support/webhook-receiver.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

/** Runs with the machine's clock and can leap: hours of waiting pass at once. */
const leaping = (): Clock & { leap(ms: number): void } => {
  let ahead = 0
  return {
    now: () => systemClock.now() + ahead,
    after: systemClock.after,
    leap(ms) {
      ahead += ms
    },
  }
}

const NEWS = 'news'
const registered = z.object({ id: z.string(), secret: z.string().startsWith('whsec_') })

/** A world of its own, on a Redis of its own: tests that run at the same time share no jobs. */
const setUp = async (engine: 'LMDB' | 'Redis', options: Pick<WorldOptions, 'clock' | 'log'>) => {
  const owned = createReleaseStack()
  const redis = engine === 'Redis' ? owned.use(await startRedis()) : undefined
  const config = {
    allowPrivateAddresses: { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] },
    ...(redis && { redisUrl: redis.url, secret: 'a secret of the test, 32 bytes' }),
  }
  const world = owned.use(await startWorld({ ...options, config }))
  await world.addApp('app.example', { types: [{ id: NEWS, name: 'News' }] })
  const { id, secret: token } = world.project
  const call = (method: string, path: string, body?: unknown) =>
    world.http(method, path, { token, ...(body !== undefined && { body }) })
  const register = async (url: string, events: string[]) => {
    const { status, body } = await call('POST', `/${id}/register-webhook`, { url, events })
    expect(status).toBe(201)
    return registered.parse(body)
  }
  return { world, id, call, register, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

/** Whether no job of a webhook is being taken or worked on: then the time may leap, and no lease of one is over. */
const watchJobs = ({ stores: { jobQueue } }: World): (() => boolean) => {
  let atWork = 0
  const { take, complete } = jobQueue
  jobQueue.take = async (lease) => {
    if (lease.queue !== WEBHOOK_QUEUE) return take(lease)
    atWork += 1
    const jobs = await take(lease)
    atWork += jobs.length - 1
    return jobs
  }
  jobQueue.complete = async (queue, outcomes) => {
    await complete(queue, outcomes)
    if (queue === WEBHOOK_QUEUE) atWork -= outcomes.length
  }
  return () => atWork === 0
}

const walletOf = (world: World, clock: Clock) => newDevice(world, undefined, {}, clock)

const EVENTS = ['subscribed', 'unsubscribed', 'updated', 'delivered', 'read']

// Most of their time they wait for workers that look again.
for (const engine of ['LMDB', 'Redis'] as const) {
  describe.concurrent(`webhooks on ${engine}`, () => {
    it('a receiver that is down for its first ten attempts gets every event once in the end, signed', {
      timeout: 90_000,
    }, async () => {
      const clock = leaping()
      await using ground = await setUp(engine, { clock })
      const { world, id, call, register } = ground
      const isIdle = watchJobs(world)
      const attempts = new Map<string, number>()
      await using receiver = await startReceiver((received) => {
        const before = attempts.get(received.id) ?? 0
        attempts.set(received.id, before + 1)
        return before < 10 ? 500 : 200
      })
      const { id: webhook, secret } = await register(receiver.url, EVENTS)

      const wallet = walletOf(world, clock)
      await wallet.subscribe('app.example', [NEWS])
      const { body } = await call('POST', `/${id}/notify`, {
        notification_id: 'n-1',
        notification: { type: NEWS, title: 'Hello', body: 'Hello' },
        accounts: [wallet.account],
      })
      expect(body).toMatchObject({ sent: [wallet.account] })
      await eventually(async () => {
        const { notifications } = await wallet.history('app.example')
        expect(notifications).toHaveLength(1)
      })
      // Who has read it before the relay tells that it arrived is told of no arrival.
      await eventually(async () => {
        const { body } = await call('GET', `/v1/${id}/notifications/n-1/receipts`)
        expect(body).toMatchObject({ receipts: [{ state: 'delivered' }] })
      })
      await wallet.markRead('app.example', 'all')
      await wallet.update('app.example', [])
      await wallet.delete('app.example')
      await wallet[Symbol.asyncDispose]()

      const types = [...EVENTS].sort()
      await eventually(() => expect(attempts.size).toBe(types.length))
      const startedAt = clock.now()
      // From one attempt to the next.
      await eventually(async () => {
        const jobs = await world.stores.jobQueue.list(WEBHOOK_QUEUE, {
          group: webhook,
          dead: false,
          limit: 100,
        })
        if (jobs.length === 0) return
        if (isIdle()) clock.leap(Math.max(0, Math.min(...jobs.map(({ at }) => at)) - clock.now()))
        throw new Error(`${jobs.length} events are left after ${receiver.calls.length} calls`)
      }, 60_000)
      expect(clock.now() - startedAt).toBeLessThan(3 * 86_400_000)
      // Long enough for another attempt, were there one.
      clock.leap(6 * 3_600_000)
      await new Promise((resolve) => setTimeout(resolve, 1_500))

      expect(
        receiver
          .taken()
          .map(({ event }) => event.type)
          .sort(),
      ).toEqual(types)
      expect([...attempts.values()]).toEqual(types.map(() => 11))
      const isRight = (received: Received) => received.signatures.includes(signatureOf(secret, received))
      expect(receiver.calls.filter((one) => !isRight(one))).toEqual([])
      // The same words each time, under the same id.
      for (const eventId of attempts.keys()) {
        expect(new Set(receiver.calls.filter((one) => one.id === eventId).map((one) => one.body)).size).toBe(
          1,
        )
      }
      const data = Object.fromEntries(receiver.taken().map(({ event }) => [event.type, event.data]))
      const whom = { account: wallet.account, app_domain: 'app.example' }
      expect(data).toEqual({
        subscribed: { ...whom, scope: [NEWS] },
        updated: { ...whom, scope: [] },
        unsubscribed: { ...whom, reason: 'deleted' },
        delivered: { ...whom, notification_ids: ['n-1'], message_ids: [expect.any(String)] },
        read: { ...whom, by: 'wallet', all: true },
      })
    })

    it('a receiver that answers 410 is disabled and reported; changed, it is called again', async () => {
      const warnings: unknown[] = []
      const log = { ...silent, warn: (fields: unknown) => void warnings.push(fields) }
      await using ground = await setUp(engine, { log })
      const { world, id, call, register } = ground
      let status = 410
      await using receiver = await startReceiver(() => status)
      const hook = await register(receiver.url, ['subscribed'])
      const wallets = [walletOf(world, systemClock), walletOf(world, systemClock)]
      await wallets[0]?.subscribe('app.example', [NEWS])
      const shown = async () => {
        const { body } = await call('GET', `/${id}/webhooks`)
        return z.record(z.string(), z.looseObject({ state: z.string() })).parse(body)[hook.id]
      }
      await eventually(async () =>
        expect(await shown()).toMatchObject({
          ...{ url: receiver.url, events: ['subscribed'] },
          ...{ state: 'disabled', reason: 'it answered 410' },
        }),
      )
      // Told and counted after it is stored.
      await eventually(async () => {
        expect(await world.metrics.text()).toContain('belfry_notify_webhooks_disabled_total 1')
        expect(warnings).toContainEqual(
          expect.objectContaining({ webhook: hook.id, reason: 'it answered 410' }),
        )
      })

      await eventually(async () => {
        const { body } = await call('GET', `/v1/${id}/webhooks/${hook.id}/dead-letters`)
        expect(body).toMatchObject({
          dead_letters: [{ attempts: 1, failure: 'it answered 410', event: { type: 'subscribed' } }],
          next: null,
        })
      })
      // Nobody is called about a second one.
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      await wallets[1]?.subscribe('app.example', [NEWS])
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      expect(receiver.calls).toHaveLength(1)

      status = 200
      expect((await call('PUT', `/${id}/webhooks/${hook.id}`, { events: EVENTS })).status).toBe(204)
      // It is asked again whether it wants events.
      await eventually(async () => expect(await shown()).toMatchObject({ state: 'enabled', reason: null }))
      const replay = await call('POST', `/v1/${id}/webhooks/${hook.id}/dead-letters/replay`)
      expect(replay.body).toEqual({ replayed: 1 })
      await eventually(() => expect(receiver.taken().map((one) => one.id)).toEqual([receiver.calls[0]?.id]))
      for (const wallet of wallets) await wallet[Symbol.asyncDispose]()
    })
  })
}
