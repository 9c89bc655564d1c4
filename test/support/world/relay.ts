import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { capturedLog } from '../capture/log.ts'
import { eventually } from '../eventually.ts'
import { paidWork, unpaid } from '../unpaid.ts'

/** A relay with real sockets on a free port. */
export const startRelay = async (
  options: RelaySocketOptions & { clock?: Clock; limits?: Partial<RelayLimits>; work?: BucketSize } = {},
) => {
  const { clock = systemClock, limits, work, ...admission } = options
  const paying = work ? { ...unpaid, budgets: paidWork(clock, work), addressOf: () => 'a' } : unpaid
  const path = await mkdtemp(join(tmpdir(), 'belfry-relay-'))
  const stores = await openLmdb({ path })
  const deps = { clock, log: capturedLog, meter: unmeasured }
  const hub = createRelayHub({ ...deps, ...paying, store: stores.relay, randomBytes }, limits)
  const routes = relayRoutes({ ...paying, hub, ...deps }, admission)
  const server = createServer(getRequestListener(routes.fetch))
  const relay = attachRelaySocket({ ...paying, hub, ...deps }, server, admission)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
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
    hub,
    relay,
    store: stores.relay,
    token,
    dial,
    connect,
    async [Symbol.asyncDispose]() {
      for (const ws of clients) ws.terminate()
      await relay[Symbol.asyncDispose]()
      await hub[Symbol.asyncDispose]()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await stores[Symbol.asyncDispose]()
      await rm(path, { recursive: true, force: true })
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
