import { beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { ping } from '../../../src/sessions/methods/ping.ts'
import { createDispatcher } from '../../../src/sessions/wallet/dispatcher.ts'
import {
  type ApprovalAnswer,
  type ApprovalRequest,
  SESSION_ERRORS,
  SessionError,
  type SessionMethod,
  type SessionMethods,
} from '../../../src/sessions/wallet/method.ts'

const NOW = 1_700_000_000_000

let asked: ApprovalRequest[]
let says: (request: ApprovalRequest) => Promise<ApprovalAnswer>
let handled: unknown[]
let failures: unknown[]
beforeEach(() => {
  asked = []
  handled = []
  failures = []
  says = async () => true
})

const echo: SessionMethod<{ text: string }> = {
  schema: z.object({ text: z.string() }),
  approval: 'first',
  async handler(params) {
    handled.push(params)
    return { echoed: params.text }
  },
}
const handlerThat = (handler: SessionMethod['handler']): SessionMethod => ({
  schema: z.unknown(),
  approval: 'handler',
  handler,
})

const dispatcher = (methods: SessionMethods = {}) =>
  createDispatcher({
    methods: { ping, echo, ...methods },
    approve: (request) => {
      asked.push(request)
      return says(request)
    },
    now: () => NOW,
    failed: (error) => failures.push(error),
  })
const request = (method: string, params?: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params })
const failed = (name: keyof typeof SESSION_ERRORS, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  error: { code: SESSION_ERRORS[name].code, message: expect.any(String) },
})
const replyOf = ({ reply }: { reply?: string }): unknown =>
  reply === undefined ? undefined : JSON.parse(reply)

it('ping is answered with the time, without asking anybody, and is a call', async () => {
  const wallet = dispatcher()
  const answer = await wallet.receive(request('ping'))
  expect(replyOf(answer)).toEqual({ jsonrpc: '2.0', id: 1, result: { ts: NOW } })
  expect(answer.ended).toEqual({ method: 'ping' })
  expect(asked).toEqual([])
  expect(await wallet.receive(request('ping'))).toEqual({})
})

it.each([
  '7',
  '"a string of digits: 1234567890123456789"',
  '12345678901234567890123',
  '-1.5e3',
  'null',
  '""',
])('the id %s comes back as it was written', async (id) => {
  const { reply } = await dispatcher().receive(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`)
  expect(reply).toContain(`"id":${id},`)
})

describe('what is no request gets −32600, and the session goes on', () => {
  it.each<[string, unknown]>([
    ['', null],
    ['{', null],
    ['null', null],
    ['7', null],
    ['"ping"', null],
    [`[${request('ping')}]`, null],
    ['[]', null],
    ['{}', null],
    [JSON.stringify({ id: 1, method: 'ping' }), 1],
    [JSON.stringify({ jsonrpc: '1.0', id: 1, method: 'ping' }), 1],
    [JSON.stringify({ jsonrpc: 2, id: 1, method: 'ping' }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 7 }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: '' }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x'.repeat(257) }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: [1], method: 'ping' }), null],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: 'x' }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: null }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', result: 7 }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', error: { code: 1, message: 'x' } }), 1],
    [JSON.stringify({ jsonrpc: '2.0', id: 1 }), 1],
    [`{"jsonrpc":"2.0","id":"${'x'.repeat(300)}","method":"ping"}`, null],
  ])('%s', async (text, id) => {
    const wallet = dispatcher()
    expect(replyOf(await wallet.receive(text))).toEqual(failed('invalid_request', id))
    expect(replyOf(await wallet.receive(request('ping', undefined, 2)))).toMatchObject({
      id: 2,
      result: { ts: NOW },
    })
  })
})

it('an unknown method gets −32601, names of objects’ own members among them, and the session goes on', async () => {
  const wallet = dispatcher()
  for (const method of ['nothing', 'constructor', '__proto__', 'hasOwnProperty', 'PING']) {
    const answer = await wallet.receive(request(method))
    expect(replyOf(answer)).toEqual(failed('method_not_found'))
    expect(answer.ended).toBeUndefined()
  }
  expect((await wallet.receive(request('ping'))).ended).toBeDefined()
})

it('parameters that do not fit get −32602, nobody is asked, and the session goes on', async () => {
  const wallet = dispatcher()
  for (const params of [undefined, {}, [], { text: 7 }, ['text']]) {
    const answer = await wallet.receive(request('echo', params))
    expect(replyOf(answer)).toEqual(failed('invalid_params'))
    expect(answer.ended).toBeUndefined()
  }
  expect(asked).toEqual([])
  expect(replyOf(await wallet.receive(request('echo', { text: 'now' })))).toMatchObject({
    result: { echoed: 'now' },
  })
  expect(asked).toEqual([{ method: 'echo', params: { text: 'now' } }])
})

it('a refusal is −32000 in the published words, the handler does not run, and the session is over', async () => {
  says = async () => false
  const wallet = dispatcher()
  const answer = await wallet.receive(request('echo', { text: 'x' }))
  expect(replyOf(answer)).toEqual({
    jsonrpc: '2.0',
    id: 1,
    error: { code: -32000, message: 'User rejected the request' },
  })
  expect(answer.ended).toEqual({ method: 'echo', code: -32000 })
  expect(handled).toEqual([])
  expect(await wallet.receive(request('ping'))).toEqual({})
})

it('a handler that fails is −32603 without its words, nothing found is −32001; both end the session', async () => {
  const broken = dispatcher({
    broken: { ...echo, schema: z.unknown(), handler: () => Promise.reject(new Error('the seed is 0x12')) },
  })
  const answer = await broken.receive(request('broken'))
  expect(replyOf(answer)).toEqual({
    jsonrpc: '2.0',
    id: 1,
    error: { code: -32603, message: 'Internal error' },
  })
  expect(answer.ended).toEqual({ method: 'broken', code: -32603 })
  expect(failures).toEqual([expect.objectContaining({ message: 'the seed is 0x12' })])

  const empty = dispatcher({
    find: {
      ...echo,
      schema: z.unknown(),
      handler: () => Promise.reject(new SessionError('nothing_matches')),
    },
  })
  const none = await empty.receive(request('find'))
  expect(replyOf(none)).toEqual(failed('nothing_matches'))
  expect(none.ended).toEqual({ method: 'find', code: -32001 })

  says = () => Promise.reject(new Error('the dialog broke'))
  expect(replyOf(await dispatcher().receive(request('echo', { text: 'x' })))).toEqual(failed('internal'))
})

it('what a result cannot be written as is −32603', async () => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  const wallet = dispatcher({ odd: { ...echo, schema: z.unknown(), handler: async () => cyclic } })
  expect(replyOf(await wallet.receive(request('odd')))).toEqual(failed('internal'))
})

it('a second request while one is pending gets −32600, also the same one again', async () => {
  let answer: (said: boolean) => void = () => {}
  says = () => new Promise((resolve) => (answer = resolve))
  const wallet = dispatcher()
  const first = wallet.receive(request('echo', { text: 'first' }))
  expect(replyOf(await wallet.receive(request('echo', { text: 'first' })))).toEqual(failed('invalid_request'))
  expect(replyOf(await wallet.receive(request('ping', undefined, 2)))).toEqual(failed('invalid_request', 2))
  expect(await wallet.receive(JSON.stringify({ jsonrpc: '2.0', method: 'ping' }))).toEqual({})
  answer(true)
  expect(replyOf(await first)).toMatchObject({ result: { echoed: 'first' } })
  expect(asked).toHaveLength(1)
})

it('a notification gets no reply and does nothing; nor does an answer', async () => {
  const wallet = dispatcher()
  for (const message of [
    { jsonrpc: '2.0', method: 'ping' },
    { jsonrpc: '2.0', method: 'echo', params: { text: 'x' } },
    { jsonrpc: '2.0', method: 'nothing' },
    { jsonrpc: '2.0', id: 1, result: { ts: 1 } },
    { jsonrpc: '2.0', id: 1, error: { code: -32600, message: 'x' } },
    { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'x' } },
  ]) {
    expect(await wallet.receive(JSON.stringify(message))).toEqual({})
  }
  expect(asked).toEqual([])
  expect(handled).toEqual([])
  expect((await wallet.receive(request('ping'))).ended).toBeDefined()
})

describe('no result without a yes', () => {
  it.each<[string, SessionMethod['handler'], keyof typeof SESSION_ERRORS]>([
    ['a handler that forgets to ask', async () => 'secret', 'internal'],
    [
      'a handler that does not listen',
      async (_params, { approve }) => {
        await approve().catch(() => {})
        return 'secret'
      },
      'rejected',
    ],
    [
      'a handler that asks until it hears yes',
      async (_params, { approve }) => {
        await approve().catch(() => {})
        says = async () => true
        await approve()
        return 'secret'
      },
      'rejected',
    ],
  ])('%s', async (_, handler, error) => {
    says = async () => false
    const answer = await dispatcher({ careless: handlerThat(handler) }).receive(request('careless'))
    expect(replyOf(answer)).toEqual(failed(error))
    expect(answer.reply).not.toContain('secret')
  })

  const choices = [
    { id: 'a', label: 'A', details: 1 },
    { id: 'b', label: 'B', details: 2 },
  ]
  const choosing = handlerThat(async (_params, { approve }) => ({
    chosen: await approve({ choices, details: 'd' }),
  }))

  it.each<[ApprovalAnswer, unknown]>([
    [true, { result: { chosen: 'a' } }],
    [{ choice: 'b' }, { result: { chosen: 'b' } }],
    [false, failed('rejected')],
    [{ choice: 'c' }, failed('rejected')],
  ])('a choice: %j', async (said, outcome) => {
    says = async () => said
    expect(replyOf(await dispatcher({ choosing }).receive(request('choosing', {})))).toMatchObject(
      outcome as object,
    )
    expect(asked).toEqual([{ method: 'choosing', params: {}, choices, details: 'd' }])
  })

  it('a choice where there was none is none', async () => {
    says = async () => ({ choice: 'a' })
    expect(replyOf(await dispatcher().receive(request('echo', { text: 'x' })))).toEqual(failed('rejected'))
  })
})
