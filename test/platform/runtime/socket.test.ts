import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import * as browser from '../../../src/platform/runtime/socket-browser.ts'
import * as node from '../../../src/platform/runtime/socket-node.ts'
import { eventually } from '../../support/eventually.ts'

// Node 20 has no global WebSocket; that of ws has the same interface.
const before = globalThis.WebSocket
Object.assign(globalThis, { WebSocket })
afterAll(() => {
  Object.assign(globalThis, { WebSocket: before })
})

const startServer = async (onConnection: (socket: WebSocket, request: IncomingMessage) => void) => {
  const server = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', onConnection)
  server.on('upgrade', (request, raw, head) => {
    if (request.url === '/refused') raw.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
    else sockets.handleUpgrade(request, raw, head, (socket) => sockets.emit('connection', socket, request))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const open = ({ openSocket }: typeof node | typeof browser, url: string) => {
  const seen: unknown[] = []
  const socket = openSocket(url, {
    opened: () => void seen.push('opened'),
    received: (text) => void seen.push(text),
    alive: () => void seen.push('alive'),
    closed: (code, reason) => void seen.push([code, reason]),
  })
  return { socket, seen }
}

describe.each([
  ['Node', node],
  ['browser', browser],
])('the socket of a %s', (name, platform) => {
  test('sends and receives text, leaves binary frames out, and reports the close once', async () => {
    await using server = await startServer((socket) => {
      socket.on('message', (data, isBinary) => {
        socket.send(Buffer.from('binary'))
        socket.send(isBinary ? 'binary' : `got ${data.toString()}`)
      })
    })
    const { socket, seen } = open(platform, server.url)
    socket.send('too early')
    expect(seen).toEqual([])
    await eventually(() => expect(seen).toEqual(['opened']))
    socket.send('héllo')
    await eventually(() => expect(seen).toEqual(['opened', 'got héllo']))
    socket.close(1000, 'bye')
    await eventually(() => expect(seen.slice(2)).toEqual([[1000, 'bye']]))
    socket.send('too late')
    socket.close(1000, 'again')
    socket.drop()
    expect(seen).toHaveLength(3)
  })

  test('reports the code and reason of the other end', async () => {
    await using server = await startServer((socket) => socket.close(3000, 'not you'))
    const { seen } = open(platform, server.url)
    await eventually(() => expect(seen).toEqual(['opened', [3000, 'not you']]))
  })

  test('reports pings where it says so', async () => {
    await using server = await startServer((socket) => {
      socket.ping()
      socket.send('after')
    })
    const { socket, seen } = open(platform, server.url)
    await eventually(() => expect(seen).toContain('after'))
    expect(seen.includes('alive')).toBe(platform.showsPings)
    socket.drop()
  })

  test('reports a connection that cannot be opened as closed', async () => {
    await using server = await startServer(() => {})
    const refused = open(platform, `${server.url}/refused`)
    const nobody = open(platform, 'ws://127.0.0.1:9')
    // Browsers do not see why.
    const code = name === 'Node' ? 3000 : 1006
    await eventually(() => expect(refused.seen).toEqual([[code, expect.any(String)]]))
    await eventually(() => expect(nobody.seen).toEqual([[1006, expect.any(String)]]))
  })

  test('soon runs tasks in order, after what runs now', async () => {
    const ran: number[] = []
    await new Promise<void>((resolve) => {
      platform.soon(() => ran.push(1))
      platform.soon(() => {
        ran.push(2)
        platform.soon(() => {
          ran.push(3)
          resolve()
        })
      })
      ran.push(0)
    })
    expect(ran).toEqual([0, 1, 2, 3])
  })
})
