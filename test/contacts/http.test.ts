import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { type ContactsWorld, DENIED, startContacts } from '../support/world/contacts.ts'

let town: ContactsWorld
beforeAll(async () => {
  town = await startContacts()
})
afterAll(() => town?.[Symbol.asyncDispose]())

const post = (path: string, body: unknown, headers?: Record<string, string>) =>
  town.world.http('POST', path, { body, ...(headers && { headers }) })
const request = (method: string, params?: unknown, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params !== undefined && { params }),
})
const failed = (code: number, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message: expect.any(String) },
})

/** An account with a key of its own, and what it has. */
const newHolder = async (...values: string[]) => {
  const key = generateSigningKey()
  for (const value of values) {
    const jwt = town.jwt(key, key.did, value)
    expect(await town.rpc('grantInstallation', { did: key.did, jwt })).toMatchObject({ result: {} })
  }
  return { key, did: key.did }
}

describe('the document', () => {
  it('asks POST /rpc/v1/fetchKeyPackages with named params, and is answered in its shape', async () => {
    const { did } = await newHolder('aa01', 'bb02')
    const body = { jsonrpc: '2.0', method: 'fetchKeyPackages', params: { did }, id: 1 }
    const { status, body: answer, headers } = await post('/rpc/v1/fetchKeyPackages', body)
    expect({ status, answer }).toEqual({
      status: 200,
      answer: { jsonrpc: '2.0', result: { status: 'success', installation: ['aa01', 'bb02'] }, id: 1 },
    })
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('has params in an array, ids that are texts, and a list that may be empty', async () => {
    const { did } = generateSigningKey()
    const { body } = await post('/rpc/v1/fetchKeyPackages', request('fetchKeyPackages', [did], 'an id'))
    expect(body).toEqual({ jsonrpc: '2.0', result: { status: 'success', installation: [] }, id: 'an id' })
  })

  it('has a DID that is none refused', async () => {
    const { status, body } = await post(
      '/rpc/v1/fetchKeyPackages',
      request('fetchKeyPackages', { did: '12345' }),
    )
    expect({ status, body }).toEqual({ status: 200, body: failed(-32602) })
  })

  it('has its error for who is not authorized, of a grant and of a revocation', async () => {
    const { did } = await newHolder('aa01')
    const stranger = generateSigningKey()
    for (const [method, act] of [
      ['grantInstallation', 'grant_installation'],
      ['revokeInstallation', 'revoke_installation'],
    ] as const) {
      const jwt = town.jwt(stranger, did, 'aa01', { act })
      const { status, body } = await post(`/rpc/v1/${method}`, request(method, { did, jwt }))
      expect({ status, body }).toEqual({ status: 200, body: { jsonrpc: '2.0', error: DENIED, id: 1 } })
    }
    expect(await town.fetchAll(did)).toEqual({ result: { status: 'success', installation: ['aa01'] } })
  })

  it('is spoken by dapps in browsers, from any origin', async () => {
    for (const path of ['/rpc/v1', '/rpc/v1/fetchKeyPackages']) {
      const headers = {
        ...{ origin: 'https://dapp.example', 'access-control-request-method': 'POST' },
        'access-control-request-headers': 'content-type',
      }
      const preflight = await town.world.http('OPTIONS', path, { headers })
      expect(preflight.status).toBe(204)
      expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
      expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type')
      const answer = await post(path, request('fetchKeyPackages', {}), { origin: 'https://dapp.example' })
      expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    }
  })
})

describe('methods', () => {
  it('are listed, and say that all is well', async () => {
    const { result } = (await town.rpc('rpc_methods')) as { result: { methods: string[] } }
    expect(result.methods).toEqual([
      ...['fetchKeyPackages', 'grantInstallation', 'nonce', 'revokeInstallation', 'rpc_methods', 'status'],
      ...[
        'xps_fetchKeyPackages',
        'xps_grantInstallation',
        'xps_nonce',
        'xps_revokeInstallation',
        'xps_status',
      ],
    ])
    expect(await town.rpc('status')).toEqual({ result: 'OK' })
    expect(await town.rpc('xps_status', [])).toEqual({ result: 'OK' })
    for (const method of ['', 'xps_', 'toString', '__proto__', 'sendMessage']) {
      expect(await town.rpc(method, {})).toMatchObject({ error: { code: -32601 } })
    }
  })

  it('refuse parameters that are none', async () => {
    const { did } = generateSigningKey()
    const [name, signature] = ['xmtp/installation/hex', { r: '0x1', s: '0x1', v: 27 }]
    const good = { did, name, value: 'aa', signature }
    const wrong: unknown[] = [
      ...[undefined, null, 5, 'did', [], [did, 1], {}, { did: 5 }, { did: [did] }],
      ...[[did, name], { ...good, did: `did:web:${'x'.repeat(600)}` }, { ...good, name: 'xmtp/other/hex' }],
      ...[
        { ...good, name: 'xmtp/installation/utf8' },
        { ...good, name: { purpose: 'Installation' } },
      ],
      ...[
        { ...good, value: '' },
        { ...good, value: 'abc' },
        { ...good, value: 'zz' },
        { ...good, value: [256] },
      ],
      ...[
        { ...good, value: [] },
        { ...good, value: { 0: 1 } },
        { ...good, value: 'ab'.repeat(16_385) },
      ],
      ...[
        { ...good, signature: '0x' },
        { ...good, signature: { ...signature, r: '1' } },
      ],
      ...[{ ...good, signature: { ...signature, s: `0x${'1'.repeat(65)}` } }],
      ...[
        { ...good, signature: { ...signature, v: 27.5 } },
        { ...good, jwt: 'both' },
      ],
      ...[
        { ...good, validity: 0 },
        { ...good, validity: -1 },
        { ...good, validity: 31_536_001 },
      ],
    ]
    for (const params of wrong) {
      const answer = await town.rpc('grantInstallation', params)
      expect(answer, JSON.stringify(params)?.slice(0, 200)).toMatchObject({ error: { code: -32602 } })
    }
    expect(await town.rpc('nonce', { did })).toMatchObject({ error: { code: -32602 } })
  })

  it('count no nonce for a request that was refused', async () => {
    const address = `0x${'ab'.repeat(20)}`
    const { registry, nonce } = await town.nonceOf(address)
    expect(registry).toMatch(/^0x[0-9a-f]{40}$/)
    const signature = { r: '0x1', s: '0x1', v: 27 }
    const params = { did: address, name: 'xmtp/installation/hex', value: 'aa', signature }
    expect(await town.rpc('grantInstallation', params)).toEqual({ error: DENIED })
    expect(await town.rpc('grantInstallation', { ...params, signature: undefined })).toEqual({
      error: DENIED,
    })
    expect(await town.rpc('nonce', [address])).toEqual({ result: { status: 'success', nonce, registry } })
    expect(await town.rpc('xps_nonce', [address.slice(2)])).toEqual({
      result: `0x${nonce.toString(16)}`,
    })
  })
})

describe('JSON-RPC 2.0', () => {
  it('answers a batch in its order, each member by itself', async () => {
    const { did } = await newHolder('aa01')
    const batch = [
      request('status', undefined, 1),
      request('fetchKeyPackages', { did }, 'two'),
      { jsonrpc: '2.0', method: 'status' },
      request('none', undefined, null),
      request('fetchKeyPackages', { did: 'x' }, 4),
      { foo: 'boo' },
      5,
    ]
    const { status, body } = await post('/rpc/v1', batch)
    expect(status).toBe(200)
    expect(body).toEqual([
      { jsonrpc: '2.0', id: 1, result: 'OK' },
      { jsonrpc: '2.0', id: 'two', result: { status: 'success', installation: ['aa01'] } },
      failed(-32601, null),
      failed(-32602, 4),
      failed(-32600, null),
      failed(-32600, null),
    ])
  })

  it('does what nobody wants to hear of, and returns nothing', async () => {
    const key = generateSigningKey()
    const grant = (value: string) => ({
      jsonrpc: '2.0',
      method: 'grantInstallation',
      params: { did: key.did, jwt: town.jwt(key, key.did, value) },
    })
    for (const body of [grant('aa'), [grant('bb'), grant('cc')], [{ jsonrpc: '2.0', method: 'none' }]]) {
      const answer = await post('/rpc/v1', body)
      expect({ status: answer.status, body: answer.body }).toEqual({ status: 204, body: undefined })
    }
    expect(await town.fetchAll(key.did)).toMatchObject({ result: { installation: ['aa', 'bb', 'cc'] } })
  })

  it('echoes ids byte for byte, in batches too', async () => {
    const raw = async (body: string) => {
      const response = await fetch(`${town.world.url}/rpc/v1`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      return response.text()
    }
    const ids = ['12345678901234567890', '1.50', '-0', '"\\u0041"', '"x]},{[\\""', 'null', '1e2']
    const text = (id: string) => `{ "id" : ${id} ,"jsonrpc":"2.0", "method":"status"}`
    const answers = ids.map((id) => `{"id":${id},"jsonrpc":"2.0","result":"OK"}`)
    for (const [at, id] of ids.entries()) expect(await raw(text(id))).toBe(answers[at])
    expect(await raw(` [ ${ids.map(text).join(' , ')} ] `)).toBe(`[${answers.join(',')}]`)
  })

  it('is not JSON, or no request', async () => {
    for (const text of ['', '{', '[', 'x', '[1,', '{"jsonrpc":"2.0","method":"status","id":1']) {
      const { status, body } = await post('/rpc/v1', text)
      expect({ status, body }, text).toEqual({ status: 200, body: failed(-32700, null) })
    }
    const requests = [
      ...['[]', '{}', '5', 'null', '"status"', 'true', '{"jsonrpc":"1.0","method":"status","id":1}'],
      ...['{"method":"status","id":1}', '{"jsonrpc":"2.0","method":5,"id":1}', '{"jsonrpc":"2.0","id":1}'],
      ...['{"jsonrpc":"2.0","id":1,"result":1}', '{"jsonrpc":"2.0","id":{},"method":"status"}'],
      ...[
        `{"jsonrpc":"2.0","id":"${'x'.repeat(300)}","method":"status"}`,
        '['.repeat(5_000) + ']'.repeat(5_000),
      ],
    ]
    for (const text of requests) {
      const { status, body } = await post('/rpc/v1', text)
      const shape = { jsonrpc: '2.0', error: { code: -32600, message: expect.any(String) } }
      expect({ status, body }, text.slice(0, 100)).toMatchObject({ status: 200, body: shape })
    }
  })

  it('has batches of at most 50', async () => {
    const batch = (length: number) => Array.from({ length }, (_, at) => request('status', [], at))
    expect((await post('/rpc/v1', batch(50))).body).toHaveLength(50)
    expect((await post('/rpc/v1', batch(51))).body).toEqual(failed(-32600, null))
  })

  it('answers a batch with a few MiB at most, and does what wants no answer', async () => {
    const { key, did } = await newHolder()
    for (let at = 0; at < 20; at++) {
      const jwt = town.jwt(key, did, at.toString(16).padStart(2, '0').repeat(16_384))
      expect(await town.rpc('grantInstallation', { did, jwt })).toMatchObject({ result: {} })
    }
    const revoke = { did, jwt: town.jwt(key, did, '00'.repeat(16_384), { act: 'revoke_installation' }) }
    const fetches = Array.from({ length: 10 }, (_, at) => request('fetchKeyPackages', [did], at))
    const last = { jsonrpc: '2.0', method: 'revokeInstallation', params: revoke }
    const { body } = await post('/rpc/v1', [...fetches, last])
    const answers = Array.isArray(body) ? body : []
    expect(answers).toHaveLength(10)
    const answered = answers.filter((one) => one.result?.installation.length === 20)
    expect(answered).toHaveLength(4)
    for (const [at, one] of answers.slice(4).entries()) expect(one).toEqual(failed(-32600, at + 4))
    expect(await town.fetchAll(did)).toMatchObject({ result: { installation: { length: 19 } } })
  })

  it('names in the body what the URL names', async () => {
    expect((await post('/rpc/v1/status', request('status'))).body).toMatchObject({ result: 'OK' })
    expect((await post('/rpc/v1/nonce', request('status'))).body).toEqual(failed(-32600))
    expect((await post('/rpc/v1/none', request('none'))).body).toEqual(failed(-32601))
    const { body } = await post('/rpc/v1/status', [request('status'), request('rpc_methods', [], 2)])
    expect(body).toEqual([{ jsonrpc: '2.0', id: 1, result: 'OK' }, failed(-32600, 2)])
  })
})

describe('HTTP', () => {
  it('is POST only, of JSON only, of 64 KiB only', async () => {
    for (const path of ['/rpc/v1', '/rpc/v1/fetchKeyPackages']) {
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
        const { status, headers } = await town.world.http(method, path)
        expect({ status, allow: headers.get('allow') }).toEqual({ status: 405, allow: 'POST' })
      }
      const text = await post(path, 'text', { 'content-type': 'text/plain' })
      expect({ status: text.status, body: text.body }).toEqual({ status: 415, body: failed(-32600, null) })
      const zipped = await post(path, '{}', { 'content-encoding': 'gzip' })
      expect(zipped.status).toBe(415)
      const most = 64 * 1024
      const fill = (length: number) => JSON.stringify(request('status', [])).padEnd(length)
      const large = await post(path, fill(most + 1))
      expect({ status: large.status, body: large.body }).toEqual({ status: 413, body: failed(-32600, null) })
      expect((await post(path, fill(most))).status).toBe(200)
    }
    expect((await post('/rpc/v1/a/b', {})).status).toBe(404)
  })
})
