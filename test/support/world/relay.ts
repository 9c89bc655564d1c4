import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import type { BucketSize } from '../../../src/platform/budgets/token-buckets.ts'
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../../src/platform/telemetry.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../../src/protocol/keys.ts'
import { relayRoutes } from '../../../src/relay/http.ts'
import { createRelayHub, type RelayLimits } from '../../../src/relay/hub.ts'
import { attachRelaySocket, type RelaySocketOptions } from '../../../src/relay/ws.ts'
import type { Stores } from '../../../src/storage/stores.ts'
import { capturedLog } from '../capture/log.ts'
import { eventually } from '../eventually.ts'
import { freePort } from '../process.ts'
import { lmdb } from '../stores.ts'
import { paidWork, unpaid } from '../unpaid.ts'

/** The relay with real sockets, on a store of its own. `stop` and `start` are a restart on the same port and store. */
export const startRelay = async (
  options: RelaySocketOptions & {
    clock?: Clock
    limits?: Partial<RelayLimits>
    work?: BucketSize
    trusted?: (clientId: string) => boolean
    /** Opens its store; an embedded one of its own when absent. */
    open?: () => Promise<Stores>
  } = {},
) => {
  const { clock = systemClock, limits, work, trusted, open = lmdb.open, ...admission } = options
  const paying = work ? { ...unpaid, budgets: paidWork(clock, work), addressOf: () => 'a' } : unpaid
  const deps = { clock, log: capturedLog, meter: unmeasured }
  let stores = await open()
  // It comes back on the same one.
  const port = await freePort()

  const listen = async () => {
    const hub = createRelayHub(
      { ...deps, ...paying, store: stores.relay, randomBytes },
      { ...limits, ...(trusted && { trusted }) },
    )
    const routes = relayRoutes({ ...paying, hub, ...deps }, admission)
    const server = createServer(getRequestListener(routes.fetch, { overrideGlobalObjects: false }))
    const relay = attachRelaySocket({ ...paying, isBlocked: () => false, hub, ...deps }, server, admission)
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return {
      hub,
      relay,
      async [Symbol.asyncDispose]() {
        await relay[Symbol.asyncDispose]()
        await hub[Symbol.asyncDispose]()
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }
  let running = await listen()
  let isRunning = true
  const start = async () => {
    running = await listen()
    isRunning = true
  }
  const stop = async () => {
    if (isRunning) await running[Symbol.asyncDispose]()
    isRunning = false
  }
  const url = `ws://127.0.0.1:${port}`

  const token = (key: SigningKey = generateSigningKey(), claims: object = {}): string => {
    const iat = Math.floor(clock.now() / 1000)
    return signJwt({ iss: key.did, sub: 'ab'.repeat(32), aud: url, iat, exp: iat + 86_400, ...claims }, key)
  }
  const clients: WebSocket[] = []

  /** Connects with any address and headers; nothing is awaited. */
  const dial = (address: string, headers: Record<string, string> = {}): WebSocket => {
    const ws = new WebSocket(`${url}${address}`, { headers })
    ws.on('error', () => {})
    clients.push(ws)
    return ws
  }

  const connect = async (key: SigningKey = generateSigningKey(), more = '') => {
    const ws = dial(`/?auth=${token(key)}&projectId=p${more}`)
    const frames: string[] = []
    ws.on('message', (data, isBinary) => {
      expect(isBinary).toBe(false)
      frames.push(data.toString())
    })
    await once(ws, 'open')
    let ids = 0
    const request = async (method: string, params: unknown): Promise<string> => {
      const id = `"${key.did.slice(-4)}${++ids}"`
      ws.send(`{"id":${id},"jsonrpc":"2.0","method":"${method}","params":${JSON.stringify(params)}}`)
      return eventually(() => {
        const answer = frames.find((frame) => frame.startsWith(`{"id":${id},`))
        if (answer === undefined) throw new Error(`${method} was not answered`)
        return answer
      })
    }
    const messages = (): string[] =>
      frames.flatMap((frame) => {
        const found = /"method":"irn_subscription".*"message":"([^"]*)"/.exec(frame)?.[1]
        return found === undefined ? [] : [found]
      })
    return { ws, key, frames, request, messages, closed: () => closedOf(ws) }
  }

  return {
    url,
    httpUrl: `http://127.0.0.1:${port}`,
    port,
    get hub() {
      return running.hub
    },
    get relay() {
      return running.relay
    },
    store: stores.relay,
    token,
    dial,
    connect,
    start,
    stop,
    /** A restart of a relay that remembers nothing. */
    async startForgetful() {
      await stores[Symbol.asyncDispose]()
      stores = await open()
      await start()
    },
    async [Symbol.asyncDispose]() {
      for (const ws of clients) ws.terminate()
      await stop()
      await stores[Symbol.asyncDispose]()
    },
  }
}

/** The code and reason with which the other end closed. */
export const closedOf = async (ws: WebSocket): Promise<{ code: number; reason: string }> => {
  const [code, reason] = await once(ws, 'close')
  return { code, reason: String(reason) }
}

/** The HTTP status with which an upgrade was refused; 101 when it was not. */
export const upgradeStatus = (ws: WebSocket): Promise<number> =>
  new Promise((resolve) => {
    ws.once('upgrade', () => resolve(101))
    ws.once('unexpected-response', (_, response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
  })
