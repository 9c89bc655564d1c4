/** A broadcast to many subscribers, by a server that is killed meanwhile. The subscribers are put into the store before. */
import { describe, expect, it } from 'vitest'
import { createDapp } from '../../src/notify/client/index.ts'
import { BROADCASTS_QUEUE } from '../../src/notify/publish/broadcasts.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice } from '../support/story.ts'
import { strikesAtSeal } from '../support/strike.ts'
import { fill, PLACES } from './crowd.ts'

/** How often the server is killed during a broadcast to so many. */
const KILLS = crowd(3, 2)
const SUBSCRIBERS = crowd(3_000, 2_000)
const BIG = 'big.example.com'
/**
 * Messages after which a server dies. Its outbox holds no more than 400 and a page: those it may have sent before it was ready,
 * and as many may wait when it dies. So each of them brings a broadcast at most 800 on.
 */
const SEALS = 200

// On Redis it is mostly waited, until what a killed process held is free again.
describe.concurrent.each(PLACES)('on %s', (_, open) => {
  it('a broadcast goes on after each kill, and everybody has it once', { timeout: 300_000 }, async () => {
    const count = SUBSCRIBERS
    await using place = await open()
    const { env, dataDir } = place
    const port = await freePort()
    let server = await startServerProcess(dataDir, { env, port })
    const app = await enrol(dataDir, BIG)
    const [news = ''] = app.types.map(({ id }) => id)
    await server.end('SIGTERM')
    {
      await using stores = await place.open()
      await fill(stores, env.BELFRY_SECRET, { domain: BIG, type: news, count })
    }
    server = await startServerProcess(dataDir, { env: { ...env, ...strikesAtSeal(SEALS) }, port })
    await using wallet = newDevice(server)
    const received: string[] = []
    wallet.on('message', ({ notification }) => void received.push(notification.body))
    await wallet.subscribe(BIG, [news])
    const { projectId, secret } = app
    const crier = createDapp({ clock: systemClock, fetch }, { url: server.url, projectId, secret })
    const id = 'to-all'
    // It may die before it answers.
    await crier.broadcast({ type: news, title: 'To all', body: 'Hear' }, { id }).catch(() => {})

    for (let kill = 1; kill <= KILLS; kill++) {
      expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' })
      {
        await using stores = await place.open()
        const page = { group: projectId, dead: false, limit: 1 }
        // Some of it is left to do.
        expect(await stores.jobQueue.list(BROADCASTS_QUEUE, page)).toHaveLength(1)
      }
      const more = kill < KILLS ? strikesAtSeal(SEALS) : {}
      server = await startServerProcess(dataDir, { env: { ...env, ...more }, port })
    }
    await eventually(async () => {
      const { counts, ...rest } = await crier.broadcastProgress(id)
      expect(rest).toMatchObject({ status: 'done', handed: count + 1, skipped: 0 })
      expect(counts).toMatchObject({ queued: 0, delivered: 1, published: count, failed: 0 })
      expect(received).toEqual(['Hear'])
      // What a killed process had of the broadcast is free after 20 s, what it had of the outbox after 30 s.
    }, 120_000)
    expect(await wallet.history(BIG)).toMatchObject({ notifications: [{ body: 'Hear' }], hasMore: false })
    await server.end('SIGKILL')
  })
})
