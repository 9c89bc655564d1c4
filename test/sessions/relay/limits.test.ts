/** How many sessions and connections one address may have, and everybody together. */
import { createServer, type Server } from 'node:http'
import { expect, it } from 'vitest'
import { createShares } from '../../../src/platform/budgets/shares.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { createSessionSockets } from '../../../src/sessions/relay/socket-io.ts'
import { eventually } from '../../support/eventually.ts'
import { startWorld } from '../../support/world.ts'
import { dial } from '../wire.ts'

it('sessions are made so fast and no faster, each caller for itself', async () => {
  await using world = await startWorld({
    config: { rooms: ['sessions'], limits: { session: '3, 1/h', sessionSocket: '2, 1/h' } },
  })
  const create = (address: string) =>
    world.http('POST', '/session/create', { headers: { 'x-forwarded-for': address } })
  for (let at = 0; at < 3; at++) expect((await create('8.8.8.8')).status).toBe(201)
  const refused = await create('8.8.8.8')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(60)
  expect((await create('9.9.9.9')).status).toBe(201)

  const wires = [await dial(world.url), await dial(world.url)]
  await expect(dial(world.url)).rejects.toThrow('websocket error')
  const polling = await world.http('GET', '/socket.io/?EIO=4&transport=polling')
  expect(polling).toMatchObject({
    status: 403,
    body: { message: expect.stringContaining('Too many requests') },
  })
  for (const wire of wires) wire.close()
})

const MIB = 1024 * 1024

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`)
    })
  })

it.each([
  ['of one address', { each: 2, all: 10 }],
  ['of everybody', { each: 10, all: 2 }],
])('connections at once are so many and no more: %s', async (_, sizes) => {
  const server = createServer((request, response) => void sockets.handle(request, response))
  const sockets = await createSessionSockets({ log: silent }, server)
  const gone: string[] = []
  const relay = {
    create: async () => '',
    drain: async () => {},
    connect: ({ id }: { id: string }) => ({
      ...{ enter() {}, message() {}, ready() {}, received() {} },
      disconnected: () => void gone.push(id),
    }),
    async [Symbol.asyncDispose]() {},
  }
  const connections = createShares(sizes)
  sockets.serve(relay, {
    ...{ addressOf: () => 'an address', admit: async () => {} },
    ...{ connections, memory: createShares({ each: MIB, all: MIB }) },
  })
  const url = await listen(server)
  const first = await dial(url)
  const second = await dial(url)
  const third = await fetch(`${url}/socket.io/?EIO=4&transport=polling`)
  expect(third.status).toBe(403)
  expect(await third.text()).toContain('Too many requests')
  first.close()
  await eventually(() => expect(gone).toHaveLength(1))
  // A peer says that it leaves before its connection ends.
  await eventually(() => expect(connections.left('an address')).toBe(1))
  const fourth = await dial(url)
  for (const wire of [second, fourth]) wire.close()
  await sockets[Symbol.asyncDispose]()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
