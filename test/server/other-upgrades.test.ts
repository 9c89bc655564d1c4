/** Some clients offer another protocol with every request, and send the request itself along. They are served. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sayRaw, statusesIn } from '../security/raw-http.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const OFFERS = [
  // java.net.http.HttpClient
  'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n',
  'Upgrade: h2c\r\nConnection: upgrade\r\n',
  'Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.2, x\r\n',
  'Connection: Upgrade\r\nUpgrade: magic\r\n',
]

describe.each(OFFERS)('with %j', (offer) => {
  it('a GET is answered, and so is what follows on the same connection', async () => {
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${offer}\r\n`
    const said = await sayRaw(world.server.port, one('/health') + one('/nothing') + one('/ready'), {
      answers: 3,
    })
    expect(statusesIn(said)).toEqual([200, 404, 200])
  })

  it.each([0, 10, 900_000])('a POST is carried out, with %i bytes more in its body', async (more) => {
    const { id, secret } = world.project
    const body = JSON.stringify({ accounts: [`eip155:1:0x${'0'.repeat(40)}`], more: 'x'.repeat(more) })
    const request =
      `POST /v1/${id}/subscribers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secret}\r\n${offer}` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const said = await sayRaw(world.server.port, request + request, { answers: 2 })
    expect(statusesIn(said)).toEqual([200, 200])
    expect(said).toContain('\r\n\r\n{}')
  })
})

it('and one that waits for the answer before it sends its body', async () => {
  const said = await sayRaw(
    world.server.port,
    `POST /identity HTTP/1.1\r\nHost: x\r\n${OFFERS[0]}Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n`,
    { answers: 1 },
  )
  expect(statusesIn(said)).toEqual([100])
})

it('is no way around what is refused', async () => {
  for (const rest of [
    'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    `A: ${'b'.repeat(20_000)}\r\n\r\n`,
    'Upgrade: h2c\r\nUpgrade: websocket\r\n\r\n',
  ]) {
    const said = await sayRaw(
      world.server.port,
      `POST /admin/apps HTTP/1.1\r\nHost: x\r\n${OFFERS[0]}${rest}`,
      {
        answers: 1,
      },
    )
    expect([400, 401, 431]).toContain(statusesIn(said)[0])
  }
})

it('a WebSocket that is refused is closed, also where its client keeps its own side open', async () => {
  for (const path of ['/nothing', '/', '//']) {
    const socket = connect({ host: '127.0.0.1', port: world.server.port, allowHalfOpen: true })
    const errors: string[] = []
    socket.on('error', (error) => errors.push(error.message))
    socket
      .resume()
      .write(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      )
    await once(socket, 'end')
    // The server's side is gone: what is said to it is answered with a reset.
    await eventually(() => {
      if (!socket.destroyed) socket.write('more')
      expect(errors).toHaveLength(1)
    })
  }
})
