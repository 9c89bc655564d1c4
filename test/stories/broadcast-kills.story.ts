/** A broadcast to many subscribers, by a server that is killed meanwhile. The subscribers are put into the store before. */
import { describe, expect, it } from 'vitest'
import { createDapp } from '../../src/notify/client/index.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice } from '../support/story.ts'
import { fill, PLACES } from './crowd.ts'

/** How often the server is killed during a broadcast to so many. */
const KILLS = crowd(3, 2)
const SUBSCRIBERS = crowd(3_000, 2_000)
const BIG = 'big.example.com'

// On Redis it is mostly waited, until what a killed process held is free again.
describe.concurrent.each(PLACES)('on %s', (_, open) => {
  it('a broadcast goes on after each kill, and everybody has it once', { timeout: 180_000 }, async () => {
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
    server = await startServerProcess(dataDir, { env, port })
    await using wallet = newDevice(server)
    const received: string[] = []
    wallet.on('message', ({ notification }) => void received.push(notification.body))
    await wallet.subscribe(BIG, [news])
    const { projectId, secret } = app
    const crier = createDapp({ clock: systemClock, fetch }, { url: server.url, projectId, secret })
    const { id } = await crier.broadcast({ type: news, title: 'To all', body: 'Hear' })

    let before = 0
    for (let kill = 0; kill < KILLS; kill++) {
      await eventually(async () => {
        const { handed } = await crier.broadcastProgress(id)
        expect(handed).toBeGreaterThan(before)
        before = handed
      }, 30_000)
      await server.end('SIGKILL')
      server = await startServerProcess(dataDir, { env, port })
    }
    // Some of it was left to do after the last kill.
    expect(before).toBeLessThan(count)
    await eventually(async () => {
      const { counts, ...rest } = await crier.broadcastProgress(id)
      expect(rest).toMatchObject({ status: 'done', handed: count + 1, skipped: 0 })
      expect(counts).toMatchObject({ queued: 0, delivered: 1, published: count, failed: 0 })
      expect(received).toEqual(['Hear'])
    }, 60_000)
    expect(await wallet.history(BIG)).toMatchObject({ notifications: [{ body: 'Hear' }], hasMore: false })
    await server.end('SIGKILL')
  })
})
