/** What processes say to each other about sessions, in a real Redis: nothing of it stays, and nothing is lost on the way. */
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { dial } from '../../sessions/wire.ts'
import { eventually } from '../../support/eventually.ts'
import { startRedis } from '../../support/redis.ts'
import { runningTimeOf } from '../../support/running-time.ts'

/** Socket.IO with what a store gives it; `close` ends it as a server does. */
const startMember = async (url: string) => {
  const stores = await openRedis({ url, prefix: 'told:' })
  const adapter = await stores.sessionsAdapter?.()
  const server = createServer()
  const io = new Server(server, { wsEngine: WebSocketServer, ...(adapter && { adapter }) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    io,
    stores,
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    async [Symbol.asyncDispose]() {
      await io.close()
      await stores[Symbol.asyncDispose]()
    },
  }
}

it('the very first thing that is said arrives, however long nothing was, and is gone after a minute', async () => {
  await using redis = await startRedis()
  await using one = await startMember(redis.url)
  await using two = await startMember(redis.url)
  const wire = await dial(two.url)
  const id = wire.socket.id ?? ''
  // Longer than a read waits: the reader has begun anew, with nothing read yet.
  await eventually(async () => {
    const [, reads = '0'] = /cmdstat_xread:calls=(\d+)/.exec(await redis.cli('info', 'commandstats')) ?? []
    expect(Number(reads)).toBeGreaterThanOrEqual(4)
  })
  for (let at = 0; at < 500; at++) one.io.to(id).emit('message', at)
  await wire.hears('message', 500)
  expect(wire.heard.map(([, at]) => at)).toEqual(Array.from({ length: 500 }, (_, at) => at))

  const left = Number(await redis.cli('pttl', 'told:{sessions}'))
  expect(left).toBeGreaterThan(0)
  expect(left).toBeLessThanOrEqual(60_000)
  wire.close()
})

it('goes on where it was after Redis was away, and ends at once whether it is there or not', async () => {
  await using redis = await startRedis({ appendonly: true })
  const one = await startMember(redis.url)
  const two = await startMember(redis.url)
  const wire = await dial(two.url)
  const id = wire.socket.id ?? ''
  one.io.to(id).emit('message', 'before')
  await wire.hears('message')
  await redis.restart()
  await one.stores.ping()
  one.io.to(id).emit('message', 'after')
  await wire.hears('message', 2)
  expect(wire.heard).toEqual([
    ['message', 'before'],
    ['message', 'after'],
  ])
  wire.close()

  for (const [member, meanwhile] of [
    [one, async () => {}],
    [two, () => redis.stop()],
  ] as const) {
    await meanwhile()
    // A read under way would be waited for for five seconds.
    expect(await runningTimeOf(() => member[Symbol.asyncDispose]())).toBeLessThan(4_000)
  }
})
