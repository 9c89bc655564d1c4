import { expect, it } from 'vitest'
import { createLog, redacted } from '../../../src/server/telemetry/log.ts'

const JWT = 'eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.eyJpc3MiOiJkaWQ6a2V5In0.c2lnbmF0dXJl'
const ENVELOPE = `${'AAcHBwcHBwcHBwcHBxcPyeolIQrf613/Bn/8U2ZjIrifH7iPji1DP+OVdsPyDKbcoa9EVZM0NcGTVQfKafoU4W9P'}=`
const SECRET = 'i9fyKu9MUSMEprPAXUkiZUOoqZiRcDsrFWhmCtMDwa4'
const TOPIC = 'ab'.repeat(32)

it.each([
  'key',
  'symKey',
  'sym_key',
  'privateKey',
  'secret',
  'projectSecret',
  'BELFRY_SECRET',
  'token',
  'adminToken',
  'auth',
  'idAuth',
  'subscriptionAuth',
  'authorization',
  'Authorization',
  'query',
  'message',
  'params',
  'cacao',
  'signature',
  'seed',
  'authenticationSeed',
  'cookie',
  'statement',
  'headers',
  'body',
  'title',
  'sealed',
])('hides a field called %s, wherever it stands', (name) => {
  const text = JSON.stringify(redacted({ [name]: SECRET, list: [{ deep: { [name]: { inner: SECRET } } }] }))
  expect(text).not.toContain(SECRET)
})

it('hides what looks like a secret in any text', () => {
  const text = JSON.stringify(
    redacted({
      a: `the token ${JWT} was refused`,
      b: `Authorization: Bearer ${SECRET}`,
      c: `GET /?auth=${JWT}&projectId=abc HTTP/1.1`,
      d: `wss://relay.example/relay?projectId=p&auth=${SECRET}`,
      e: ENVELOPE,
      f: new Error(`could not send ${ENVELOPE}`, { cause: new Error(`at https://x/?secret=${SECRET}`) }),
      g: Buffer.from(SECRET),
    }),
  )
  for (const hidden of [JWT, JWT.split('.')[1] ?? '', SECRET, ENVELOPE.slice(0, 40)]) {
    expect(text).not.toContain(hidden)
  }
  expect(text).toContain('wss://relay.example/relay?[query]')
})

it('shows what one searches a log for', () => {
  const fields = {
    topic: TOPIC,
    messageId: TOPIC,
    clientId: 'did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH',
    identityKey: 'did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH',
    path: '/0123456789abcdef0123456789abcdef/notify',
    code: 'EADDRINUSE',
    tag: 4000,
    method: 'irn_publish',
  }
  expect(redacted(fields)).toEqual(fields)
})

it('writes one JSON object a line, at its level and above', () => {
  const lines: string[] = []
  const log = createLog('info', (line) => lines.push(line))
  log.debug({}, 'not this')
  log.warn({ err: new TypeError('wrong'), secret: SECRET }, `a sentence with ${JWT}`)
  log.error({ loop: { a: { b: { c: { d: { e: {} } } } } } }, 'deep')
  expect(lines).toHaveLength(2)
  const [first] = lines.map((line) => JSON.parse(line))
  expect(first).toMatchObject({
    level: 'warn',
    service: 'belfry',
    err: { type: 'TypeError', message: 'wrong' },
    secret: '[hidden]',
    msg: 'a sentence with [jwt]',
  })
  expect(first.err.stack).toContain('log.test.ts')
})
