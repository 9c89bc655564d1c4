import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { z } from 'zod'
import type { JobQueue } from '../../../src/platform/jobs/job-queue.ts'
import { createHostGate, type HostGateOptions } from '../../../src/platform/net/host-gate.ts'
import { type AddressRules, addressRules, anyAddress } from '../../../src/platform/net/public-address.ts'
import { createPublicFetch } from '../../../src/platform/net/public-fetch.ts'
import type { Resolve } from '../../../src/platform/net/resolver.ts'
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../../src/platform/telemetry.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { ed25519Did } from '../../../src/protocol/did.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../../src/protocol/keys.ts'
import { createRelayClient, type RelayClientOptions } from '../../../src/relay/client/index.ts'
import { relayRoutes } from '../../../src/relay/http.ts'
import { createRelayHub } from '../../../src/relay/hub.ts'
import { relayKeyFrom } from '../../../src/relay/identity.ts'
import { createWatchEvents } from '../../../src/relay/webhooks/calls.ts'
import type { InsideService } from '../../../src/relay/webhooks/posts.ts'
import { createWatches } from '../../../src/relay/webhooks/registrations.ts'
import { attachRelaySocket } from '../../../src/relay/ws.ts'
import { capturedLog } from '../capture/log.ts'
import type { Engine } from '../stores.ts'
import { unpaid } from '../unpaid.ts'

const answerSchema = z.union([
  z.object({ result: z.unknown() }),
  z.object({ error: z.object({ code: z.number(), message: z.string() }) }),
])

const SERVICE = 'https://service.example'

/** A relay with watches, on real sockets; clients that `trust` names may have webhooks beside it. */
export const startWatchRelay = async (
  engine: Engine,
  {
    clock = systemClock,
    publicOrigins,
    trusts = () => true,
    rules = addressRules(),
    resolve,
    places = {},
    inside,
  }: {
    clock?: Clock
    publicOrigins?: string[]
    trusts?: (clientId: string) => boolean
    /** Where webhooks of others may be. */
    rules?: AddressRules
    resolve?: Resolve
    places?: HostGateOptions
    inside?: InsideService
  } = {},
) => {
  const stores = await engine.open()
  const key = relayKeyFrom(randomBytes(32))
  const deps = { clock, log: capturedLog, meter: unmeasured }
  const options = { trusted: trusts }

  /** Jobs that are being taken or worked on. */
  let atWork = 0
  const watched = (jobQueue: JobQueue): JobQueue => ({
    ...jobQueue,
    async take(lease) {
      atWork += 1
      const jobs = await jobQueue.take(lease)
      atWork += jobs.length - 1
      return jobs
    },
    async complete(queue, outcomes) {
      await jobQueue.complete(queue, outcomes)
      atWork -= outcomes.length
    },
  })

  const start = () => {
    const { relay: store } = stores
    atWork = 0
    const jobQueue = watched(stores.jobQueue)
    const watches = createWatches(
      { ...deps, store, jobQueue },
      { trusted: trusts, rules, relayId: key.did, publicOrigins },
    )
    const gate = createHostGate({ clock }, places)
    const post = {
      outside: createPublicFetch({ rules, gate, ...(resolve && { resolve }) }),
      anywhere: createPublicFetch({ rules: anyAddress }),
    }
    const events = createWatchEvents({ ...deps, store, jobQueue, key, post, inside })
    const hub = createRelayHub({ ...deps, ...unpaid, store, randomBytes, watches }, options)
    return { hub, events }
  }
  let running = start()
  const server = createServer()
  let listener: ReturnType<typeof getRequestListener>
  let socket: ReturnType<typeof attachRelaySocket>
  const attach = () => {
    listener = getRequestListener(
      relayRoutes({ ...unpaid, ...deps, hub: running.hub, publicKey: key.publicKey }).fetch,
      { overrideGlobalObjects: false },
    )
    socket = attachRelaySocket({ ...unpaid, isBlocked: () => false, ...deps, hub: running.hub }, server)
  }
  attach()
  let isDown = false
  server.on('request', (request, response) => {
    if (isDown) request.socket.destroy()
    else void listener(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const clients: AsyncDisposable[] = []

  const token = (of: SigningKey, claims: object = {}): string => {
    const iat = Math.floor(clock.now() / 1000)
    return signJwt({ iss: of.did, sub: 'ab'.repeat(32), aud: url, iat, exp: iat + 86_400, ...claims }, of)
  }
  /** Over HTTP, in the client's name. Throws what the relay answers as an error. */
  const rpc = async (of: SigningKey, method: string, params: unknown): Promise<unknown> => {
    const response = await fetch(`${url}/rpc`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token(of)}` },
      body: JSON.stringify({ id: 1, jsonrpc: '2.0', method, params }),
    })
    const answer = answerSchema.parse(await response.json())
    if ('error' in answer) throw Object.assign(new Error(answer.error.message), answer.error)
    return answer.result
  }
  const claims = (whu: string, more: object = {}) => ({
    act: 'irn_watchRegister',
    sub: SERVICE,
    typ: 'subscriber',
    whu,
    tag: [4000],
    sts: ['accepted'],
    ...more,
  })
  const stop = async () => {
    await socket[Symbol.asyncDispose]()
    await running.hub[Symbol.asyncDispose]()
    await running.events[Symbol.asyncDispose]()
  }

  return {
    url,
    key,
    stores,
    rpc,
    token,
    watch: (of: SigningKey, whu: string, more: object = {}) =>
      rpc(of, 'irn_watchRegister', { registerAuth: token(of, claims(whu, more)) }),
    unwatch: (of: SigningKey, whu: string, more: object = {}) =>
      rpc(of, 'irn_watchUnregister', {
        unregisterAuth: token(of, { ...claims(whu), act: 'irn_watchUnregister', ...more }),
      }),
    publish: (of: SigningKey, topic: string, message: string, more: object = {}) =>
      rpc(of, 'irn_publish', { topic, message, ttl: 300, tag: 4000, ...more }),
    publicKey: async () => ed25519Did(fromHex(await (await fetch(`${url}/public-key`)).text())),
    connect: (of = generateSigningKey(), more: Partial<RelayClientOptions> = {}) => {
      const client = createRelayClient(deps, { url, key: of, ...more })
      clients.push(client)
      return client
    },
    /** Everything that was to do is done, or waits for its time. */
    async idle() {
      for (let quiet = 0; quiet < 5; ) {
        await new Promise((resolve) => setTimeout(resolve, 10))
        quiet = atWork === 0 ? quiet + 1 : 0
      }
    },
    /** Another start of the process, on what the store kept. `meanwhile` runs in between. */
    async restart(meanwhile?: () => Promise<void>) {
      await stop()
      isDown = true
      await meanwhile?.()
      isDown = false
      await stores.reopen()
      running = start()
      attach()
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]()
      await stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await stores[Symbol.asyncDispose]()
    },
  }
}
