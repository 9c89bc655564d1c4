import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { HOUR_MS } from '../../../src/platform/units.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { forwardClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startRedis } from '../../support/redis.ts'
import { startWorld, type World } from '../../support/world.ts'

const key = generateSigningKey()
const tokenFor = (world: World) => {
  const iat = Math.floor(Date.now() / 1000) - 10
  return signJwt({ iss: key.did, sub: 'ab'.repeat(32), aud: world.wsUrl, iat, exp: iat + 86_400 }, key)
}

/** Resolves to `open`, the status of the refusal, or the code of the close. */
const connect = async (world: World, query = ''): Promise<{ said: string | number; socket: WebSocket }> => {
  const socket = new WebSocket(`${world.wsUrl}/?auth=${tokenFor(world)}${query}`)
  socket.on('error', () => {})
  const said = await new Promise<string | number>((resolve) => {
    socket.once('open', () => {
      if (query === '') resolve('open')
    })
    socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
    socket.once('close', (code) => resolve(code))
  })
  return { said, socket }
}

const rpc = (world: World) =>
  world.http('POST', '/rpc', {
    token: tokenFor(world),
    body: { id: 1, jsonrpc: '2.0', method: 'irn_fetchMessages', params: { topic: 'ab'.repeat(32) } },
  })

describe.each(['LMDB', 'Redis'])('a block on %s', (engine) => {
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  let world: World
  const clock = forwardClock()
  const asOperator = (method: string, path: string, body?: unknown, of = world) =>
    of.http(method, path, { token: of.adminToken, ...(body !== undefined && { body }) })
  const start = () =>
    startWorld({
      clock,
      config: { secret: 'a secret of both '.repeat(3), ...(redis && { redisUrl: redis.url }) },
    })

  beforeEach(async () => {
    if (engine === 'Redis') redis = await startRedis()
    world = await start()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
    await redis?.[Symbol.asyncDispose]()
  })

  it('of a client ends its connections, and keeps it from the relay until it ends', async () => {
    const { said, socket } = await connect(world)
    expect(said).toBe('open')
    const closed = once(socket, 'close')
    const made = await asOperator('POST', '/admin/blocks', { kind: 'client', value: key.did, hours: 1 })
    expect(made.status).toBe(200)
    expect((await closed)[0]).toBe(3000)
    expect((await connect(world)).said).toBe(403)
    expect((await connect(world, '&useOnCloseEvent=true')).said).toBe(3000)
    const refused = await rpc(world)
    expect(refused.status).toBe(403)
    expect(refused.body).toMatchObject({ error: { message: expect.stringContaining('blocked') } })
    await world.restart()
    expect((await connect(world)).said).toBe(403)
    clock.forward(HOUR_MS + 1)
    const again = await connect(world)
    expect(again.said).toBe('open')
    again.socket.close()
  })

  it('of an address refuses all but the operator, who may take it away', async () => {
    const until = clock.now() + HOUR_MS
    const block = { kind: 'address' as const, value: '127.0.0.1', note: '', createdAt: 0, expiresAt: until }
    await world.stores.console.block(block, clock.now())
    await eventually(async () => expect((await world.http('GET', '/openapi.json')).status).toBe(403))
    expect((await world.http('GET', '/openapi.json')).body).toMatchObject({ code: 'blocked' })
    expect((await connect(world)).said).toBe(403)
    expect((await world.http('GET', '/health')).status).toBe(200)
    const { body } = await asOperator('GET', '/admin/blocks')
    expect(body).toMatchObject({ blocks: [{ kind: 'address', value: '127.0.0.1' }] })
    expect((await asOperator('DELETE', '/admin/blocks?kind=address&value=127.0.0.1')).status).toBe(204)
    expect((await world.http('GET', '/openapi.json')).status).toBe(200)
  })

  it('of a payer keeps its address out', async () => {
    const { socket } = await connect(world)
    const { body } = await asOperator('GET', '/admin/budgets')
    const { addresses } = body as { addresses: { address: string; payer: string }[] }
    socket.close()
    const value = addresses.find(({ address }) => address === '127.0.0.1')?.payer ?? ''
    expect((await asOperator('POST', '/admin/blocks', { kind: 'payer', value })).status).toBe(409)
    const until = clock.now() + HOUR_MS
    const block = { kind: 'payer' as const, value, note: '', createdAt: 0, expiresAt: until }
    await world.stores.console.block(block, clock.now())
    await eventually(async () => expect((await world.http('GET', '/openapi.json')).status).toBe(403))
    const refused = await asOperator('POST', '/admin/blocks', { kind: 'payer', value: 'too short' })
    expect(refused).toMatchObject({ status: 422, body: { field: 'value' } })
  })

  it('refuses nonsense, and the address that the operator asks from', async () => {
    const tried = async (kind: string, value: string) =>
      (await asOperator('POST', '/admin/blocks', { kind, value })).status
    expect(await tried('address', 'nowhere')).toBe(422)
    expect(await tried('address', '203.0.113.0/24')).toBe(422)
    expect(await tried('client', 'did:web:x')).toBe(422)
    expect(await tried('address', '127.0.0.1')).toBe(409)
    expect(await tried('address', '2001:db8::7')).toBe(200)
    const { body } = await asOperator('GET', '/admin/blocks')
    expect(body).toMatchObject({ blocks: [{ value: '2001:db8::/64' }] })
  })

  // Nobody else can open an embedded store.
  if (engine === 'Redis') {
    it('is known to the other processes on the store, which end connections too', async () => {
      await using other = await start()
      const { said: before, socket: open } = await connect(other)
      expect(before).toBe('open')
      const closed = once(open, 'close')
      await asOperator('POST', '/admin/blocks', { kind: 'client', value: key.did })
      await closed
      const { said, socket } = await connect(other)
      socket.close()
      expect(said).toBe(403)
    })
  }
})
