import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chain, startChain } from '../support/chain.ts'
import { startWorld, type World } from '../support/world.ts'

const ACCOUNT = '0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb'
const codeOf = (id: number | string = 7) => ({
  ...{ jsonrpc: '2.0', id, method: 'eth_getCode', params: [ACCOUNT, 'latest'] },
})

let chain: Chain
let world: World
beforeAll(async () => {
  chain = await startChain()
  world = await startWorld({ config: { rpcProxy: 'on', rpcUrls: { 'eip155:1': chain.url } } })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await chain[Symbol.asyncDispose]()
})

const ask = (body: unknown, query = 'chainId=eip155:1&projectId=p', path = '/v1', to = world) =>
  to.http('POST', `${path}?${query}`, { body })

describe('a wallet asks the node of a chain', () => {
  it.each(['/v1', '/v1/'])(
    'as published clients do, and gets its answer under its own id: %s',
    async (path) => {
      chain.failWith(
        (_, response) => void response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: '0x' })),
      )
      const { status, body, headers } = await ask(codeOf(42), undefined, path)
      expect({ status, body }).toEqual({ status: 200, body: { jsonrpc: '2.0', id: 42, result: '0x' } })
      expect(headers.get('access-control-allow-origin')).toBe('*')
    },
  )

  it('also where it does not say that its text is JSON', async () => {
    chain.failWith(
      (_, response) => void response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: '0x' })),
    )
    const request = {
      body: JSON.stringify(codeOf(42)),
      headers: { 'content-type': 'text/plain;charset=UTF-8' },
    }
    const { status, body } = await world.http('POST', '/v1/?chainId=eip155:1&projectId=p', request)
    expect({ status, body }).toEqual({ status: 200, body: { jsonrpc: '2.0', id: 42, result: '0x' } })
  })

  it('and hears of the error that the node has', async () => {
    const error = { code: -32000, message: 'header not found' }
    chain.failWith((_, response) => void response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, error })))
    expect((await ask(codeOf('a'))).body).toEqual({ jsonrpc: '2.0', id: 'a', error })
  })

  it.each([
    ['a chain without a node', 404, codeOf(), 'chainId=eip155:5'],
    ['what is no chain', 422, codeOf(), 'chainId=solana:1'],
    ['a transaction', 422, { ...codeOf(), method: 'eth_sendRawTransaction', params: ['0x00'] }, undefined],
    ['what costs a node much', 422, { ...codeOf(), method: 'eth_getLogs', params: [{}] }, undefined],
    ['a batch', 422, [codeOf(), codeOf()], undefined],
    ['more than a call needs', 413, { ...codeOf(), params: ['0x'.padEnd(20_000, '0'), 'latest'] }, undefined],
  ])('but the node never sees %s', async (_, status, body, query) => {
    const before = chain.calls
    expect((await ask(body, query)).status).toBe(status)
    expect(chain.calls).toBe(before)
  })

  it.each([
    ['closes the connection', (_: unknown, response: { destroy(): void }) => response.destroy()],
    [
      'answers what is no JSON',
      (_: unknown, response: { end(text: string): void }) => response.end('<html>'),
    ],
    ['answers without an answer', (_: unknown, response: { end(text: string): void }) => response.end('{}')],
  ])('and is told to come again where the node %s', async (_, fault) => {
    chain.failWith((request, response) => fault(request, response))
    const { status, headers } = await ask(codeOf())
    expect(status).toBe(503)
    expect(headers.get('retry-after')).not.toBeNull()
  })

  it('not faster than the operator pays for', async () => {
    chain.failWith(
      (_, response) => void response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: '0x' })),
    )
    await using limited = await startWorld({
      config: { rpcProxy: 'on', rpcUrls: { 'eip155:1': chain.url }, limits: { chainCall: '3, 1/min' } },
    })
    const statuses: number[] = []
    for (let at = 0; at < 5; at++) statuses.push((await ask(codeOf(), undefined, '/v1', limited)).status)
    expect(statuses).toEqual([200, 200, 200, 429, 429])
  })
})

it('nobody asks a node through a server whose operator has not said so', async () => {
  await using closed = await startWorld({ config: { rpcUrls: { 'eip155:1': chain.url } } })
  const before = chain.calls
  const { status, headers } = await ask(codeOf(), undefined, '/v1', closed)
  expect(status).toBe(404)
  // A page must be able to read it: one that cannot takes it for a failure of the network.
  expect(headers.get('access-control-allow-origin')).toBe('*')
  expect(chain.calls).toBe(before)
})
