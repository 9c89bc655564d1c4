import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { httpErrors, jsonBody, noSuchPath, readJson, wrongMethods } from '../../../src/platform/net/http.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { checked } from '../../../src/platform/validate.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'

const room = (logged: [Record<string, unknown>, string][] = []) => {
  const app = new Hono()
  app.onError(
    httpErrors(
      { ...silent, error: (fields, sentence) => void logged.push([fields, sentence]) },
      () => 'the-id',
    ),
  )
  app.notFound(noSuchPath)
  app.use(wrongMethods(app))
  app.post('/things', jsonBody(z.object({ size: z.number() }), 32), (c) => c.json(c.req.valid('json')))
  app.get('/broken', () => {
    throw new TypeError('internals')
  })
  app.get('/busy', () => {
    throw new ProtocolError('unavailable', 'for now')
  })
  app.get('/taken', () => {
    throw new ProtocolError('conflict', 'the name', { field: 'name' })
  })
  return app
}

const post = (app: Hono, body: BodyInit, type = 'application/json') =>
  app.request('/things', { method: 'POST', body, headers: { 'content-type': type } })

describe('a failure', () => {
  it('that is expected is answered with its status, sentence, code and field', async () => {
    const answer = await room().request('/taken')
    expect(answer.status).toBe(409)
    expect(await answer.json()).toEqual({
      error: 'This is already taken: the name',
      code: 'conflict',
      field: 'name',
    })
  })

  it('of ours is logged with an id, and only the id is answered', async () => {
    const logged: [Record<string, unknown>, string][] = []
    const answer = await room(logged).request('/broken?auth=secret')
    expect(answer.status).toBe(500)
    expect(await answer.json()).toEqual({ error: 'Internal server error', code: 'internal', id: 'the-id' })
    expect(logged).toEqual([
      [
        { err: expect.any(TypeError), id: 'the-id', method: 'GET', path: '/broken' },
        'An HTTP request failed unexpectedly',
      ],
    ])
  })

  it('to be available says when to come again', async () => {
    const answer = await room().request('/busy')
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.json()).toEqual({ code: 'unavailable', error: expect.stringContaining('for now') })
  })

  it('looks the same in a room that is mounted in a house', async () => {
    const house = new Hono()
    house.notFound(noSuchPath)
    house.route('/', room())
    house.get('/own', (c) => c.text('own'))
    expect((await house.request('/taken')).status).toBe(409)
    expect((await house.request('/own')).status).toBe(200)
    expect((await house.request('/nothing')).status).toBe(404)
    const wrong = await house.request('/things')
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('a body', () => {
  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/problem+json',
  ])('announced as %s is read', async (type) => {
    const answer = await post(room(), '{"size":1,"more":2}', type)
    expect([answer.status, await answer.json()]).toEqual([200, { size: 1 }])
  })

  it('of exactly the limit is read, and one byte more is not', async () => {
    expect((await post(room(), '{"size":1}'.padEnd(32))).status).toBe(200)
    const answer = await post(room(), '{"size":1}'.padEnd(33))
    expect(answer.status).toBe(413)
    expect(await answer.json()).toEqual({
      error: 'The message is too large: at most 32 bytes',
      code: 'too_large',
    })
  })

  it('in many pieces is put together', async () => {
    const bytes = new TextEncoder().encode('{"size": "é€😀"}')
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      body: pieces,
      headers: { 'content-type': 'application/json' },
      duplex: 'half',
    }
    expect(await readJson(new Request('http://x/', init))).toEqual({ size: 'é€😀' })
  })

  it('may hold brackets in strings, and nest as deep as 64', async () => {
    const read = (text: string) =>
      readJson(
        new Request('http://x/', {
          method: 'POST',
          body: text,
          headers: { 'content-type': 'application/json' },
        }),
      )
    const brackets = JSON.stringify({ text: `${'['.repeat(1000)}\\"${'{'.repeat(1000)}` })
    expect(await read(brackets)).toEqual(JSON.parse(brackets))
    await expect(read('['.repeat(64) + ']'.repeat(64))).resolves.toBeDefined()
    await expect(read('['.repeat(65) + ']'.repeat(65))).rejects.toMatchObject({ code: 'bad_request' })
  })

  it('that is not as expected names the field', () => {
    const schema = z.object({ list: z.array(z.object({ 'a b': z.string() })) })
    const check = (value: unknown) => () => checked(schema, value)
    expect(check({ list: [{ 'a b': 'x' }, {}] })).toThrow(
      expect.objectContaining({ code: 'bad_params', field: 'list[1].a b' }),
    )
    expect(check(5)).toThrow(expect.objectContaining({ code: 'bad_params', field: undefined }))
  })
})
