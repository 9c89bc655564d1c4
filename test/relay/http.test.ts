import { afterEach, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { startRelay } from '../support/world/relay.ts'
import { topicNamed } from '../support/world/relay-hub.ts'

const topic = topicNamed('a topic')

let relay: Awaited<ReturnType<typeof startRelay>>
const start = async (...options: Parameters<typeof startRelay>) => {
  relay = await startRelay(...options)
}
afterEach(() => relay[Symbol.asyncDispose]())

const post = (body: string, headers: Record<string, string> = {}, query = '') =>
  fetch(`${relay.httpUrl}/rpc${query}`, { method: 'POST', body, headers })
const call = (method: string, params: unknown) => JSON.stringify({ id: 1, jsonrpc: '2.0', method, params })

describe('POST /rpc', () => {
  it('takes the same requests as a socket, with the token in the query or the header', async () => {
    await start()
    const b = await relay.connect()
    await b.request('irn_subscribe', { topic })
    const key = generateSigningKey()
    const published = await post(
      call('irn_publish', { topic, message: 'hello', ttl: 60, tag: 1 }),
      { 'Content-Type': 'text/plain' },
      `?auth=${relay.token(key)}&projectId=p`,
    )
    expect(published.status).toBe(200)
    expect(published.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await published.text()).toBe('{"id":1,"jsonrpc":"2.0","result":true}')
    await eventually(() => expect(b.messages()).toEqual(['hello']))

    const other = { Authorization: `Bearer ${relay.token()}` }
    const fetched = await post(call('irn_fetchMessages', { topic }), other)
    expect(await fetched.json()).toMatchObject({
      result: { messages: [{ message: 'hello' }], hasMore: false },
    })
  })

  it('echoes the id byte for byte', async () => {
    await start()
    const body = `{"id":123456789012345678901,"jsonrpc":"2.0","method":"irn_subscribe","params":{"topic":"${topic}"}}`
    const answer = await post(body, { Authorization: `Bearer ${relay.token()}` })
    expect(await answer.text()).toMatch(/^\{"id":123456789012345678901,/)
  })

  it('refuses who is not let in', async () => {
    await start({ projectIds: ['p'] })
    const body = call('irn_fetchMessages', { topic })
    const without = await post(body)
    expect(without.status).toBe(401)
    expect(without.headers.get('www-authenticate')).toBe('Bearer')
    expect(await without.json()).toMatchObject({ id: null, error: { code: 3000 } })
    expect((await post(body, { Authorization: 'Bearer a.b.c' })).status).toBe(401)
    expect((await post(body, {}, `?auth=${relay.token()}&projectId=x`)).status).toBe(403)
    expect((await post(body, {}, `?auth=${relay.token()}&projectId=p`)).status).toBe(200)
  })

  it('slows a caller that asks too much', async () => {
    await start({ work: { burst: 5, seconds: 1 } })
    const headers = { Authorization: `Bearer ${relay.token()}` }
    const statuses = []
    for (let at = 0; at < 3; at++) statuses.push(await post(call('irn_fetchMessages', { topic }), headers))
    const slowed = statuses.find(({ status }) => status === 429)
    expect(slowed?.headers.get('retry-after')).toBe('1')
  })
})
