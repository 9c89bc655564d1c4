/**
 * Notifications for later, for all, replaced, cancelled and expired, while the server is killed again and again: each
 * reaches the wallet once, or not at all, as it should. On the embedded store, and as several processes on Redis.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createDapp } from '../../src/notify/client/dapp.ts'
import { fromNotifyServer } from '../../src/notify/client/index.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { type EnrolledApp, enrol, newDevice, temporaryHome } from '../support/story.ts'

const DOMAIN = 'story.example.com'
/** What is taken back is due this long after it was asked for, ms: on a slow machine, too, it is taken back before. */
const RECALLED_DUE_MS = 20_000
/** What must not go out is due when nothing runs, which is so long after it was asked for that all are killed before, ms. */
const EXPIRED_DUE_MS = 10_000
/** Each ends with a kill, of the other notify server each time. */
const ROUNDS = crowd(3, 2)

/** What the story needs of a server, however many processes it is. */
interface Place extends AsyncDisposable {
  server: { url: string; wsUrl: string }
  /** Where wallets reach the relay and what the server calls itself. */
  wallet: { url: string; wsUrl: string }
  app: EnrolledApp
  kill(): Promise<void>
  /** Nothing that sends runs until then, unix ms. */
  rest(until: number): Promise<void>
}

const embedded = async (): Promise<Place> => {
  const home = await temporaryHome()
  const port = await freePort()
  let server = await startServerProcess(home.path, { port })
  const app = await enrol(home.path, DOMAIN)
  return {
    server,
    wallet: server,
    app,
    async kill() {
      await server.end('SIGKILL')
      server = await startServerProcess(home.path, { port })
    },
    async rest(until) {
      await server.end('SIGKILL')
      await sleep(until - Date.now())
      server = await startServerProcess(home.path, { port })
    },
    async [Symbol.asyncDispose]() {
      await server.end('SIGKILL')
      await home[Symbol.asyncDispose]()
    },
  }
}

const fleet = async (): Promise<Place> => {
  const redis = await startRedis()
  const all = await startFleet(redis.url, { relays: 1, notifies: 2 })
  const [relay, first, second] = [all.relays[0], all.notifies[0], all.notifies[1]]
  if (!relay || !first || !second) throw new Error('unreachable')
  const app = await enrol(first.dataDir, DOMAIN)
  let round = 0
  return {
    server: first,
    wallet: { url: first.url, wsUrl: relay.wsUrl },
    app,
    async kill() {
      round += 1
      await (round % 2 === 1 ? first : second).restart()
    },
    async rest(until) {
      await Promise.all([first, second].map(({ process }) => process.end('SIGKILL')))
      await sleep(until - Date.now())
      await Promise.all([first.restart(), second.restart()])
    },
    async [Symbol.asyncDispose]() {
      await all[Symbol.asyncDispose]()
      await redis[Symbol.asyncDispose]()
    },
  }
}

/** Until it succeeds: the server may be away. */
const insist = <T>(act: () => Promise<T>): Promise<T> => eventually(act, 30_000)

// Both wait for times to come, and for leases of processes that were killed.
it.concurrent.each([
  ['the embedded store', embedded],
  ['Redis, as two notify servers', fleet],
])(
  'what was promised comes once, what was taken back does not, over kills, on %s',
  {
    timeout: 240_000,
  },
  async (_, start) => {
    await using place = await start()
    const { app } = place
    const [news = ''] = app.types.map(({ id }) => id)
    const owner = newOwner()
    const wallet = newDevice(place.wallet, owner, {
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, place.server.url),
    })
    const received: string[] = []
    wallet.on('message', ({ notification }) => void received.push(notification.body))
    await wallet.subscribe(DOMAIN, [news])
    const dapp = createDapp(
      { clock: systemClock, fetch },
      { url: place.server.url, projectId: app.projectId, secret: app.secret, domain: DOMAIN },
    )
    const says = (body: string) => ({ type: news, title: 'Story', body })
    const send = (id: string, more = {}) =>
      insist(() => dapp.notify(says(id), [owner.account], { id, ...more }))

    const expected: string[] = []
    let recalledDueAt = 0
    for (let round = 0; round < ROUNDS; round++) {
      const soon = Date.now() + 1_500
      await send(`scheduled ${round}`, { deliverAt: soon })
      recalledDueAt = Date.now() + RECALLED_DUE_MS
      await send(`recalled ${round}`, { deliverAt: recalledDueAt })
      await insist(() =>
        dapp.broadcast(says(`stopped ${round}`), { id: `stopped ${round}`, deliverAt: recalledDueAt }),
      )
      expect(await insist(() => dapp.cancel(`recalled ${round}`))).toBe(1)
      await insist(() => dapp.cancelBroadcast(`stopped ${round}`))
      await insist(() => dapp.broadcast(says(`broadcast ${round}`), { id: `broadcast ${round}` }))
      await insist(() => dapp.broadcast(says(`later ${round}`), { id: `later ${round}`, deliverAt: soon }))
      expected.push(`scheduled ${round}`, `broadcast ${round}`, `later ${round}`)
      // At any point of all that.
      await sleep(Math.random() * 1_500)
      await place.kill()
    }
    // Due while nothing runs that could send it, and over when something does.
    const expiredDueAt = Date.now() + EXPIRED_DUE_MS
    await send('expired', { deliverAt: expiredDueAt, ttl: 1 })
    await place.rest(expiredDueAt + 1_200)

    await eventually(
      () => expect([...new Set(received)].sort()).toEqual(expect.arrayContaining(expected)),
      90_000,
    )
    for (let round = 0; round < ROUNDS; round++) {
      await eventually(async () => {
        expect((await dapp.broadcastProgress(`broadcast ${round}`)).status).toBe('done')
        expect((await dapp.broadcastProgress(`later ${round}`)).status).toBe('done')
        expect((await dapp.broadcastProgress(`stopped ${round}`)).status).toBe('cancelled')
      }, 60_000)
      expect((await dapp.notification(`recalled ${round}`)).status).toBe('cancelled')
      const { receipts } = await dapp.receipts(`recalled ${round}`)
      expect(receipts).toMatchObject([{ state: 'failed', reason: 'Cancelled' }])
    }
    // What was taken back would have come by now.
    await sleep(Math.max(0, recalledDueAt + 2_000 - Date.now()))
    // The wallet is away: what a newer one replaces is not in its history, nor counted.
    await wallet[Symbol.asyncDispose]()
    await send('old score', { collapseKey: 'score' })
    await place.kill()
    await send('new score', { collapseKey: 'score' })
    const old = await insist(() => dapp.receipts('old score'))
    expect(old.receipts).toMatchObject([{ state: 'failed', reason: 'Replaced by a newer notification' }])

    const { receipts } = await insist(() => dapp.receipts('new score'))
    expect(receipts).toHaveLength(1)
    await eventually(async () => {
      expect((await dapp.receipts('expired')).receipts).toMatchObject([
        { state: 'failed', reason: 'Expired before delivery' },
      ])
    }, 60_000)
    // Once each, and nothing else.
    expect(received.sort()).toEqual(expected.sort())
  },
)
