/** Whatever is sent to the notify routes gets its documented error, and the next caller is served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpWorld, PUBLIC_URL, startWithApp } from '../support/world/notify-http.ts'
import { MALFORMED, MIB } from './malformed.ts'

let world: HttpWorld
const logged: Record<string, unknown>[] = []
beforeAll(async () => {
  world = await startWithApp(logged)
})
afterAll(() => world[Symbol.asyncDispose]())

const BODIES: [method: string, path: string][] = [
  ['POST', '/P/subscribe-topic'],
  ['POST', '/P/notify'],
  ['POST', '/v1/P/notify'],
  ['POST', '/v1/P/subscribers'],
  ['PUT', '/v1/P/apps/app.example'],
  ['POST', '/v1/P/broadcasts'],
  ['PUT', '/v1/P/settings'],
]

const send = (
  method: string,
  path: string,
  body: BodyInit | undefined,
  headers: Record<string, string> = {},
) =>
  world.routes.request(`${PUBLIC_URL}${path.replace('P', world.project.id)}`, {
    method,
    headers: { authorization: `Bearer ${world.secret}`, 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body }),
  })

const isServed = async () => {
  expect((await send('GET', '/P/subscribers', undefined)).status).toBe(200)
  expect(logged).toEqual([])
}

describe.each(BODIES)('%s %s', (method, path) => {
  it.each(MALFORMED)('with %s answers its error', async (_, body, status, code) => {
    const answer = await send(method, path, body)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ code, error: expect.any(String) })
    await isServed()
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    '',
  ])('announced as %j answers 415', async (type) => {
    const answer = await send(method, path, '{}', { 'content-type': type })
    expect(answer.status).toBe(415)
    expect(await answer.json()).toMatchObject({ code: 'unsupported_media' })
  })

  it('compressed answers 415', async () => {
    const answer = await send(method, path, '{}', { 'content-encoding': 'gzip' })
    expect(answer.status).toBe(415)
  })

  it('with a body that does not end is cut off at 1 MiB', async () => {
    let sent = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536
        controller.enqueue(new Uint8Array(65_536).fill(0x20))
      },
      cancel() {
        cancelled = true
      },
    })
    const init: RequestInit & { duplex: 'half' } = {
      method,
      headers: { authorization: `Bearer ${world.secret}`, 'content-type': 'application/json' },
      body: endless,
      duplex: 'half',
    }
    const url = `${PUBLIC_URL}${path.replace('P', world.project.id)}`
    const answer = await world.routes.request(new Request(url, init))
    expect(answer.status).toBe(413)
    expect(sent).toBeLessThan(2 * MIB)
    expect(cancelled).toBe(true)
    await isServed()
  })

  it('that lies about its length is cut off as well', async () => {
    const answer = await send(method, path, ' '.repeat(MIB + 1), { 'content-length': '2' })
    expect(answer.status).toBe(413)
  })

  it('with a member called __proto__ answers 422 and changes nothing', async () => {
    const answer = await send(
      method,
      path,
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    )
    // An empty declaration is a good one.
    expect(answer.status).toBe(path.includes('/apps/') ? 200 : 422)
    expect(Object(Object.prototype).polluted).toBeUndefined()
  })

  it('without, or with a forged, secret answers 401 whatever the body is', async () => {
    for (const authorization of [
      '',
      'Bearer ',
      'Bearer x',
      `Bearer ${'x'.repeat(10_000)}`,
      'Bearer ..%00',
      'x',
    ]) {
      const answer = await send(method, path, '{', { authorization })
      expect(answer.status).toBe(401)
    }
    await isServed()
  })
})

describe('paths', () => {
  it.each([
    ['GET', `/${'x'.repeat(8000)}/subscribers`, 401],
    ['GET', '/%00/subscribers', 401],
    ['GET', '/%ff%fe/subscribers', 401],
    ['GET', '/__proto__/subscribers', 401],
    ['GET', '/v1/notification/%ff', 404],
    ['GET', '/v1/notification/__proto__', 404],
    ['GET', '/apps/__proto__/did.json', 404],
    ['GET', '/apps/%E0%A4%A/did.json', 404],
    ['GET', `/w3i/v1/notify-config?appDomain=${'x'.repeat(8000)}`, 422],
    ['GET', '/w3i/v1/notify-config?appDomain=%ff', 422],
    ['GET', '/w3i/v1/notify-config?appDomain[]=a&appDomain=__proto__', 404],
    ['GET', '/w3i/v1/projects?entries=1e308&page=99999999999999999999', 200],
    ['GET', '/P/subscribers?appDomain=%00', 422],
    ['GET', '/v1/P/apps?after=%00&limit=5', 422],
  ])('%s %s answers %i', async (method, path, status) => {
    const answer = await send(method, path, undefined)
    expect(answer.status).toBe(status)
    if (status !== 200)
      expect(await answer.json()).toMatchObject({ error: expect.any(String), code: expect.any(String) })
    await isServed()
  })
})
