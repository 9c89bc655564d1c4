/** Peers of wallet sessions that do not read what they are told, all of one address; and two of another, who talk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { io, type Socket } from 'socket.io-client'
import { expect, it } from 'vitest'
import { createShares } from '../../src/platform/budgets/shares.ts'
import { createClientAddress } from '../../src/platform/net/client-address.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { closeServer, listen } from '../../src/server/http.ts'
import { sessionRoutes } from '../../src/sessions/relay/http.ts'
import { createSessionRelay } from '../../src/sessions/relay/service.ts'
import { createSessionSockets } from '../../src/sessions/relay/socket-io.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { createSession } from '../sessions/wire.ts'
import { capturedLog } from '../support/capture/log.ts'
import { eventually } from '../support/eventually.ts'

const KIB = 1024
const PAIRS = 6
const [STRANGER, BYSTANDER] = ['8.8.8.8', '9.9.9.9']

const dialFrom = async (url: string, address: string): Promise<Socket> => {
  const socket = io(url, {
    ...{ transports: ['websocket'], reconnection: false, forceNew: true },
    extraHeaders: { 'x-forwarded-for': address },
  })
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', resolve)
    socket.on('connect_error', reject)
  })
  return socket
}

/**
 * Of a peer whose messages are bounded as they are by default, the system's own buffers of loopback hold all: here a peer
 * may say more.
 */
const startRelay = async () => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-sessions-'))
  const stores = await openLmdb({ path })
  const listener = getRequestListener((request, env) => routes.fetch(request, env), {
    overrideGlobalObjects: false,
  })
  const server = createServer((request, response) => void listener(request, response))
  const sockets = await createSessionSockets({ log: capturedLog }, server)
  const relay = createSessionRelay(
    {
      ...{ store: stores.sessions, remote: sockets.remote, clock: systemClock, log: capturedLog },
      ...{
        meter: unmeasured,
        randomBytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
      },
    },
    { peerBytes: 64 * 1024 * KIB },
  )
  const admission = {
    ...{ addressOf: createClientAddress(['loopback']), admit: async () => {} },
    connections: createShares({ each: 100, all: 100 }),
    memory: createShares({ each: 1024 * KIB, all: 4 * 1024 * KIB }),
  }
  sockets.serve(relay, admission)
  const routes = sessionRoutes({ relay, sockets, admission })
  const port = await listen(server, 0, '127.0.0.1')
  return {
    url: `http://127.0.0.1:${port}`,
    memory: admission.memory,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]()
      await sockets[Symbol.asyncDispose]()
      await closeServer(server)
      await stores[Symbol.asyncDispose]()
      await rm(path, { recursive: true })
    },
  }
}

const heard = (socket: Socket, event: string) =>
  new Promise<unknown>((resolve) => socket.once(event, resolve))

const pairFrom = async (url: string, address: string) => {
  const sessionId = await createSession(url)
  const [initiator, joiner] = [await dialFrom(url, address), await dialFrom(url, address)]
  const begun = heard(initiator, 'initialized')
  initiator.emit('init', { sessionId })
  await begun
  const ready = Promise.all([heard(initiator, 'session-ready'), heard(joiner, 'session-ready')])
  joiner.emit('join', { sessionId })
  await ready
  return { initiator, joiner }
}

/** Node's socket below a client that is connected by WebSocket. */
const stopReading = (socket: Socket): void => {
  const transport: unknown = Reflect.get(socket.io.engine, 'transport')
  const ws: unknown = Reflect.get(Object(transport), 'ws')
  const raw: unknown = Reflect.get(Object(ws), '_socket')
  Reflect.apply(Reflect.get(Object(raw), 'pause'), raw, [])
}

it('peers of one address that do not read are cut, and a session of another address goes on', async () => {
  await using relay = await startRelay()
  const own = await pairFrom(relay.url, BYSTANDER)
  const pairs = await Promise.all(Array.from({ length: PAIRS }, () => pairFrom(relay.url, STRANGER)))
  let cut = 0
  for (const { initiator, joiner } of pairs) {
    initiator.on('peer-disconnected', () => {
      cut++
    })
    stopReading(joiner)
  }
  const text = 'x'.repeat(200 * KIB)
  for (let at = 0; at < 80; at++) for (const { initiator } of pairs) initiator.emit('message', text)

  const talk = async (word: string) => {
    const answer = heard(own.initiator, 'message')
    own.joiner.once('message', (said: unknown) => own.joiner.emit('message', said))
    own.initiator.emit('message', word)
    expect(await answer).toBe(word)
  }
  await talk('while they are told')
  await eventually(() => {
    if (cut === 0) throw new Error('Nobody was cut')
  })
  await talk('after it')
  for (const { initiator, joiner } of [...pairs, own]) {
    initiator.disconnect()
    joiner.disconnect()
  }
  // What was cut holds nothing any more.
  await eventually(() => {
    if (relay.memory.held > 0) throw new Error(`${relay.memory.held} bytes are held`)
  })
})
