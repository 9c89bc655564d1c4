/**
 * The whole house, as it runs: every way in is sent what nobody should send, and gets its documented answer, while a
 * wallet and a dapp go on exchanging notifications through the same process. Nothing internal is ever in an answer, and
 * nothing is ever logged as a failure of ours.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { type Log, silent, unmeasured } from '../../src/platform/telemetry.ts'
import { fromBase64url, fromHex } from '../../src/protocol/bytes.ts'
import { ed25519Did } from '../../src/protocol/did.ts'
import { isErrorCode, ProtocolError } from '../../src/protocol/errors.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { newDevice, newOwner, opened } from '../notify/support/wallet.ts'
import { eventually } from '../support/eventually.ts'
import { closedOf, upgradeStatus } from '../support/world/relay.ts'
import { startWorld, type World } from '../support/world.ts'
import { forgedTokens } from './forged.ts'
import { MALFORMED, MIB, TEXTS } from './malformed.ts'
import { PULSE_DOMAIN, type Pulse, startPulse } from './pulse.ts'
import { halfOpen, sayRaw, statusesIn } from './raw-http.ts'

let world: World
let pulse: Pulse
let relayKey: SigningKey
const failures: unknown[] = []
const log: Log = { ...silent, error: (fields, sentence) => void failures.push({ fields, sentence }) }

beforeAll(async () => {
  world = await startWorld({ log, config: { metrics: 'shared' } })
  relayKey = generateSigningKey()
  // At full speed it would compute more than all that is tried here.
  pulse = await startPulse(world, { everyMs: 500 })
})
afterAll(async () => {
  await pulse[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

afterEach(async () => {
  await pulse.next()
  // Each test is held to its own.
  expect(failures.splice(0)).toEqual([])
})

const relayToken = (key = relayKey) => {
  const iat = Math.floor(Date.now() / 1000)
  return signJwt({ iss: key.did, sub: 'ab'.repeat(32), aud: world.wsUrl, iat, exp: iat + 86_400 }, key)
}

// ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  json: unknown
}

/** What no answer may hold: places in our code, names of what it is made of, other people's sentences, secrets. */
const INTERNAL =
  /node_modules|\/src\/|\.[cm]?[jt]s:\d|\n\s+at .*:\d|(?:Type|Range|Syntax|Reference|Zod)Error|\blmdb\b|\bENOENT\b|\bEACCES\b|undefined \(reading|is not a function|Unexpected token|Maximum call stack|\/tmp\//

const expectNothingInternal = (text: string) => {
  // Shows what was found. Words of four letters turn up in keys: whole words only.
  expect(INTERNAL.exec(text)?.[0]).toBeUndefined()
  for (const secret of [world.project.secret, world.adminToken, world.dataDir])
    expect(text).not.toContain(secret)
}

/** As `fetch`, for any method, with a body on any of them, and without a word about redirects and headers. */
const ask = (
  method: string,
  path: string,
  { body, headers = {} }: { body?: string | Uint8Array; headers?: Record<string, string> } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const outgoing = request({
      host: '127.0.0.1',
      port: world.server.port,
      method,
      path,
      headers: { ...length, ...headers },
      agent: false,
    })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const answer = { status: incoming.statusCode ?? 0, headers: incoming.headers, text }
        resolve({ ...answer, json: parsed(text) })
      })
    })
    outgoing.end(body)
  })

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// ── the routes ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Which shape its failures have. */
/** `rpc`: HTTP's own statuses as well; `contacts`: nothing but 200 for what is about the message. */
type Family = 'plain' | 'keys' | 'rpc' | 'contacts'
type Way = 'nobody' | 'project' | 'admin' | 'client'
interface Route {
  method: string
  /** As it is in the code. */
  pattern: string
  /** Something that matches; `P` is the project. */
  path: string
  family: Family
  needs: Way
  takesJson: boolean
}
const route = (
  needs: Way,
  method: string,
  pattern: string,
  {
    path = pattern,
    takesJson = false,
    family = 'plain',
  }: { path?: string; takesJson?: boolean; family?: Family } = {},
): Route => ({ method, pattern, path, family, needs, takesJson })

const json = { takesJson: true }
const keys = { family: 'keys' } as const
const ROUTES: readonly Route[] = [
  route('project', 'POST', '/:projectId/subscribe-topic', { path: '/P/subscribe-topic', ...json }),
  route('project', 'POST', '/:projectId/notify', { path: '/P/notify', ...json }),
  route('project', 'POST', '/v1/:projectId/notify', { path: '/v1/P/notify', ...json }),
  route('project', 'GET', '/:projectId/subscribers', { path: '/P/subscribers' }),
  route('project', 'GET', '/v1/:projectId/subscribers', { path: '/v1/P/subscribers' }),
  route('project', 'POST', '/v1/:projectId/subscribers', { path: '/v1/P/subscribers', ...json }),
  route('project', 'POST', '/v1/:projectId/mark-all-as-read', { path: '/v1/P/mark-all-as-read' }),
  route('project', 'GET', '/v1/:projectId/apps', { path: '/v1/P/apps' }),
  route('project', 'GET', '/v1/:projectId/apps/:domain', { path: '/v1/P/apps/pulse.example' }),
  route('project', 'PUT', '/v1/:projectId/apps/:domain', { path: '/v1/P/apps/other.example', ...json }),
  route('project', 'GET', '/v1/:projectId/notifications', { path: '/v1/P/notifications' }),
  route('project', 'GET', '/v1/:projectId/notifications/:id', { path: '/v1/P/notifications/x' }),
  route('project', 'DELETE', '/v1/:projectId/notifications/:id', { path: '/v1/P/notifications/x' }),
  route('project', 'GET', '/v1/:projectId/notifications/:id/receipts', {
    path: '/v1/P/notifications/x/receipts',
  }),
  route('project', 'POST', '/v1/:projectId/broadcasts', { path: '/v1/P/broadcasts', ...json }),
  route('project', 'GET', '/v1/:projectId/broadcasts/:id', { path: '/v1/P/broadcasts/x' }),
  route('project', 'DELETE', '/v1/:projectId/broadcasts/:id', { path: '/v1/P/broadcasts/x' }),
  route('project', 'GET', '/v1/:projectId/settings', { path: '/v1/P/settings' }),
  route('project', 'PUT', '/v1/:projectId/settings', { path: '/v1/P/settings', ...json }),
  route('project', 'GET', '/v1/:projectId/notifications/:id/links', { path: '/v1/P/notifications/x/links' }),
  route('project', 'POST', '/:projectId/register-webhook', { path: '/P/register-webhook', ...json }),
  route('project', 'GET', '/:projectId/webhooks', { path: '/P/webhooks' }),
  route('project', 'PUT', '/:projectId/webhooks/:id', { path: '/P/webhooks/x', ...json }),
  route('project', 'DELETE', '/:projectId/webhooks/:id', { path: '/P/webhooks/x' }),
  route('project', 'GET', '/v1/:projectId/webhooks/:id/dead-letters', {
    path: '/v1/P/webhooks/x/dead-letters',
  }),
  route('project', 'POST', '/v1/:projectId/webhooks/:id/dead-letters/replay', {
    path: '/v1/P/webhooks/x/dead-letters/replay',
  }),
  route('project', 'POST', '/v1/:projectId/webhooks/:id/dead-letters/:event/replay', {
    path: '/v1/P/webhooks/x/dead-letters/y/replay',
  }),
  route('project', 'GET', '/v0/:projectId/welcome-notification', { path: '/v0/P/welcome-notification' }),
  route('project', 'POST', '/v0/:projectId/welcome-notification', {
    path: '/v0/P/welcome-notification',
    ...json,
  }),
  route('nobody', 'GET', '/v1/notification/:id', { path: '/v1/notification/x' }),
  route('nobody', 'GET', '/.well-known/did.json'),
  route('nobody', 'GET', '/apps/:domain/did.json', { path: '/apps/pulse.example/did.json' }),
  route('nobody', 'GET', '/w3i/v1/notify-config', { path: '/w3i/v1/notify-config?appDomain=pulse.example' }),
  route('nobody', 'GET', '/w3i/v1/projects'),
  route('nobody', 'GET', '/openapi.json'),
  route('nobody', 'GET', '/docs'),
  route('nobody', 'GET', '/docs/page.js'),
  route('nobody', 'GET', '/docs/reference.js'),
  route('nobody', 'POST', '/identity', { ...keys, ...json }),
  route('nobody', 'GET', '/identity', { ...keys, path: '/identity?publicKey=x' }),
  route('nobody', 'DELETE', '/identity', { ...keys, ...json }),
  route('nobody', 'POST', '/invite', { ...keys, ...json }),
  route('nobody', 'GET', '/invite', { ...keys, path: '/invite?account=x' }),
  route('nobody', 'DELETE', '/invite', { ...keys, ...json }),
  route('admin', 'POST', '/admin/apps', json),
  route('admin', 'GET', '/admin/apps'),
  route('admin', 'GET', '/admin/apps/:domain', { path: '/admin/apps/pulse.example' }),
  route('admin', 'PUT', '/admin/apps/:domain', { path: '/admin/apps/nobody.example', ...json }),
  route('admin', 'DELETE', '/admin/apps/:domain', { path: '/admin/apps/nobody.example' }),
  route('admin', 'GET', '/admin/apps/:domain/subscribers', { path: '/admin/apps/pulse.example/subscribers' }),
  route('admin', 'GET', '/admin/apps/:domain/notifications', {
    path: '/admin/apps/pulse.example/notifications',
  }),
  route('admin', 'GET', '/admin/apps/:domain/notifications/:id', {
    path: '/admin/apps/pulse.example/notifications/x',
  }),
  route('admin', 'GET', '/admin/apps/:domain/notifications/:id/receipts', {
    path: '/admin/apps/pulse.example/notifications/x/receipts',
  }),
  route('admin', 'DELETE', '/admin/apps/:domain/notifications/:id', {
    path: '/admin/apps/pulse.example/notifications/x',
  }),
  route('admin', 'GET', '/admin/projects/:id/webhooks/:webhook/dead-letters', {
    path: '/admin/projects/x/webhooks/y/dead-letters',
  }),
  route('admin', 'POST', '/admin/projects/:id/webhooks/:webhook/dead-letters/replay', {
    path: '/admin/projects/x/webhooks/y/dead-letters/replay',
  }),
  route('admin', 'POST', '/admin/projects/:id/webhooks/:webhook/dead-letters/:event/replay', {
    path: '/admin/projects/x/webhooks/y/dead-letters/z/replay',
  }),
  route('admin', 'GET', '/admin/status'),
  route('admin', 'GET', '/admin/samples'),
  route('admin', 'GET', '/admin/connections'),
  route('admin', 'GET', '/admin/budgets'),
  route('admin', 'GET', '/admin/blocks'),
  route('admin', 'POST', '/admin/blocks', json),
  route('admin', 'DELETE', '/admin/blocks', { path: '/admin/blocks?kind=client&value=x' }),
  route('admin', 'GET', '/admin/audit'),
  route('admin', 'POST', '/admin/notify', json),
  route('admin', 'POST', '/admin/broadcasts', json),
  route('admin', 'GET', '/admin/broadcasts/:domain/:id', { path: '/admin/broadcasts/pulse.example/x' }),
  route('admin', 'DELETE', '/admin/broadcasts/:domain/:id', { path: '/admin/broadcasts/pulse.example/x' }),
  route('admin', 'GET', '/admin/keys'),
  route('admin', 'GET', '/admin/keys/:key', { path: '/admin/keys/x' }),
  route('admin', 'GET', '/admin/backup'),
  route('admin', 'POST', '/admin/projects', json),
  route('admin', 'GET', '/admin/projects'),
  route('admin', 'GET', '/admin/projects/:id', { path: '/admin/projects/x' }),
  route('admin', 'POST', '/admin/projects/:id/secrets', { path: '/admin/projects/x/secrets', ...json }),
  route('admin', 'POST', '/admin/projects/:id/rotate-secret', {
    path: '/admin/projects/x/rotate-secret',
    ...json,
  }),
  route('admin', 'DELETE', '/admin/projects/:id/secrets/:secretId', {
    path: '/admin/projects/x/secrets/y',
  }),
  route('admin', 'PUT', '/admin/projects/:id/settings', { path: '/admin/projects/x/settings', ...json }),
  route('admin', 'GET', '/admin/projects/:id/webhooks', { path: '/admin/projects/x/webhooks' }),
  route('admin', 'POST', '/admin/projects/:id/webhooks', { path: '/admin/projects/x/webhooks', ...json }),
  route('admin', 'DELETE', '/admin/projects/:id/webhooks/:webhook', {
    path: '/admin/projects/x/webhooks/y',
  }),
  route('admin', 'GET', '/admin/apps/:domain/welcome', { path: '/admin/apps/pulse.example/welcome' }),
  route('admin', 'PUT', '/admin/apps/:domain/welcome', {
    path: '/admin/apps/nobody.example/welcome',
    ...json,
  }),
  route('admin', 'GET', '/admin/accounts/:account', { path: '/admin/accounts/x' }),
  route('admin', 'DELETE', '/admin/accounts/:account', { path: '/admin/accounts/x' }),
  route('admin', 'POST', '/admin/usage'),
  route('admin', 'GET', '/admin/usage'),
  route('admin', 'GET', '/admin/topics/:topic', { path: '/admin/topics/server' }),
  route('admin', 'DELETE', '/admin/topics/:topic', { path: '/admin/topics/server' }),
  route('admin', 'POST', '/admin/rotate/server', json),
  route('admin', 'POST', '/admin/rotate/app', json),
  route('admin', 'POST', '/admin/reseal'),
  route('admin', 'GET', '/admin/reseal'),
  route('admin', 'GET', '/admin/push'),
  route('admin', 'POST', '/admin/push/test', json),
  route('admin', 'POST', '/admin/push/check'),
  route('admin', 'PUT', '/admin/push/projects/:id', { path: '/admin/push/projects/x', ...json }),
  route('admin', 'PUT', '/admin/push/projects/:id/credentials', {
    path: '/admin/push/projects/x/credentials',
    ...json,
  }),
  route('admin', 'DELETE', '/admin/push/projects/:id/credentials/:provider', {
    path: '/admin/push/projects/x/credentials/y',
  }),
  route('client', 'POST', '/rpc', { family: 'rpc' }),
  route('nobody', 'GET', '/public-key'),
  route('nobody', 'POST', '/rpc/v1', { family: 'contacts' }),
  route('nobody', 'POST', '/rpc/v1/:method', { family: 'contacts', path: '/rpc/v1/status' }),
  route('nobody', 'GET', '/health'),
  route('nobody', 'GET', '/ready'),
  route('nobody', 'GET', '/metrics'),
]
const named = (routes: readonly Route[]): [string, Route][] =>
  routes.map((each) => [`${each.method} ${each.pattern}`, each])
const pathOf = ({ path }: Route) => path.replace(/^(\/v[01])?\/P\//, `$1/${world.project.id}/`)

const credentials = (needs: Way): Record<string, string> => {
  const token = { project: world.project.secret, admin: world.adminToken, client: relayToken(), nobody: '' }[
    needs
  ]
  return token === '' ? {} : { authorization: `Bearer ${token}` }
}
const typed = { 'content-type': 'application/json' }

/** A failure in the words of the route's room, of that code; nothing internal in it. */
const expectFailure = (answer: Answer, family: Family, code: string): void => {
  expectNothingInternal(answer.text)
  if (!isErrorCode(code)) throw new Error(`${code} is not in the vocabulary`)
  const { rpc, message } = new ProtocolError(code)
  const sentence = expect.stringMatching(code === 'not_found' || code === 'identity_unknown' ? /./ : message)
  if (family === 'rpc' || family === 'contacts') {
    expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: rpc, message: sentence } })
  } else if (family === 'keys') {
    expect(answer.json).toMatchObject({
      status: 'FAILURE',
      error: { name: code, message: sentence },
      value: null,
    })
  } else expect(answer.json).toMatchObject({ code, error: sentence })
}

/** Whatever the answer is, it is one of the vocabulary with its own status, or a success. */
const expectDocumented = (answer: Answer, family: Family): void => {
  expectNothingInternal(answer.text)
  if (answer.status < 400) return
  const said = Object(answer.json)
  const code: unknown = family === 'keys' ? Object(said.error).name : said.code
  if (typeof code !== 'string' || !isErrorCode(code)) throw new Error(`Not of the vocabulary: ${answer.text}`)
  const { http } = new ProtocolError(code)
  expect(http).toBeLessThan(500)
  expect(answer.status).toBe(family === 'keys' && http === 422 ? 400 : http)
}

/** Rooms with tests of their own for what nobody should send. */
const ELSEWHERE = new Set([
  ...['mq', 'archive', 'push', 'push server', 'verify', 'sessions', 'operator', 'chains', 'console', 'pages'],
])

it('the table names every route that there is', async () => {
  // Tests of the document hold it to what is mounted.
  const { paths } = Object((await ask('GET', '/openapi.json')).json)
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(Object(methods)).map(([method, operation]) => ({
      route: `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
      tag: Object(operation).tags[0],
    })),
  )
  const all = new Set(described.map(({ route }) => route))
  const named = new Set(ROUTES.map(({ method, pattern }) => `${method} ${pattern}`))
  expect([...named].filter((route) => !all.has(route))).toEqual([])
  const missing = described.filter(({ route, tag }) => !ELSEWHERE.has(tag) && !named.has(route))
  // `notify/http/relay-webhook` takes more than other routes do.
  expect(missing.map(({ route }) => route).sort()).toEqual([
    'POST /v1/relay-webhook',
    'POST /v1/relay-webhook/delivered',
  ])
})

// ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEYS_BODY_LIMIT = 64 * 1024

describe.each(named(ROUTES.filter(({ takesJson }) => takesJson)))('a body of %s', (_, target) => {
  const { method, family, needs } = target
  const send = (body: string | Uint8Array, headers: Record<string, string> = typed) =>
    ask(method, pathOf(target), { body, headers: { ...credentials(needs), ...headers } })

  it('that is malformed gets its error', async () => {
    for (const [name, body, status, code] of MALFORMED) {
      const answer = await send(body)
      const isTooLarge = family === 'keys' && Buffer.byteLength(body) > KEYS_BODY_LIMIT
      if (isTooLarge) {
        expect([name, answer.status]).toEqual([name, 413])
        expectFailure(answer, family, 'too_large')
      } else {
        expect([name, answer.status]).toEqual([name, family === 'keys' && status === 422 ? 400 : status])
        expectFailure(answer, family, code)
      }
    }
  })

  it('that is announced as something else gets 415', async () => {
    const headers: Record<string, string>[] = [
      {},
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { ...typed, 'content-encoding': 'gzip' },
      { ...typed, 'content-encoding': 'br' },
    ]
    for (const each of headers) {
      const answer = await send('{}', each)
      expect(answer.status).toBe(415)
      expectFailure(answer, family, 'unsupported_media')
    }
  })

  it('with any value in any place gets an answer of the vocabulary', async () => {
    for (const value of VALUES) {
      for (const body of bodiesWith(value)) expectDocumented(await send(body), family)
    }
  })
})

/** Raw JSON texts of values that are seldom meant. */
const VALUES = [
  'null',
  'true',
  '-1',
  '0.1',
  '1e400',
  '-1e400',
  '18446744073709551616',
  '9'.repeat(5000),
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"__proto__"',
  `"${'x'.repeat(50_000)}"`,
  '[]',
  '[[]]',
  '{}',
  '{"__proto__":{"polluted":1}}',
  '['.repeat(60) + ']'.repeat(60),
  '"eip155:1:0x0000000000000000000000000000000000000000"',
  '"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"',
  `[${Array(10_000).fill('0')}]`,
]

/** The value at each place that any route looks at. */
const bodiesWith = (value: string): string[] => {
  const members = [
    ...['appDomain', 'domain', 'project', 'name', 'description', 'url', 'icons', 'types', 'listed'],
    ...['notification_id', 'notification', 'accounts', 'cacao', 'idAuth'],
  ]
  const flat = `{${members.map((member) => `"${member}":${value}`)}}`
  const notification = `{"type":${value},"title":${value},"body":${value},"icon":${value},"url":${value}}`
  const cacao = `{"h":{"t":${value}},"p":{"aud":${value},"domain":${value},"iss":${value},"version":${value},"nonce":${value},"iat":${value},"resources":${value}},"s":{"t":${value},"s":${value}}}`
  const nested = `{"domain":"odd.example","appDomain":"odd.example","notification":${notification},"accounts":[${value}],"types":[${value},{"id":${value},"name":${value}}],"icons":{"sm":${value}},"cacao":${cacao}}`
  return [value, `[${value}]`, flat, nested, `[${nested}]`]
}

it.each(
  // The bundle of the API page is too long to be sent before the connection of an unread body is cut.
  named(
    ROUTES.filter(
      ({ takesJson, family, path }) =>
        !takesJson && family !== 'rpc' && family !== 'contacts' && path !== '/docs/reference.js',
    ),
  ),
)('a body for %s, which takes none, changes nothing', async (_, target) => {
  const ask1 = (body?: string | Uint8Array) =>
    ask(target.method, pathOf(target), {
      // Node ends a connection on which a body was never read; packed, the largest answer has left before.
      headers: { ...credentials(target.needs), ...typed, 'accept-encoding': 'gzip' },
      ...(body !== undefined && { body }),
    })
  const { status } = await ask1()
  for (const body of ['{', '['.repeat(100_000), 'x'.repeat(2 * MIB), Uint8Array.of(0xff, 0xfe, 0)]) {
    const answer = await ask1(body)
    expect(answer.status).toBe(status)
    expectNothingInternal(answer.text)
  }
})

it('the relay over HTTP answers every text with its JSON-RPC error', async () => {
  const headers = credentials('client')
  for (const [name, text, code, status = 200] of TEXTS) {
    const answer = await ask('POST', '/rpc', { body: text, headers })
    expect([name, answer.status]).toEqual([name, status])
    expect(answer.json).toMatchObject({ jsonrpc: '2.0', error: { code } })
    expectNothingInternal(answer.text)
  }
  const large = await ask('POST', '/rpc', { body: 'x'.repeat(2 * MIB), headers })
  expect(large.status).toBe(413)
  expectFailure(large, 'rpc', 'too_large')
})

describe.each(['/rpc/v1', '/rpc/v1/status'])('a body of POST %s', (path) => {
  const send = (body: string | Uint8Array, headers: Record<string, string> = typed) =>
    ask('POST', path, { body, headers })

  it('that is malformed gets a JSON-RPC error', async () => {
    for (const [name, body, , code] of MALFORMED) {
      const answer = await send(body)
      expectNothingInternal(answer.text)
      const isTooLarge = Buffer.byteLength(body) > 64 * 1024
      expect([name, answer.status]).toEqual([name, isTooLarge ? 413 : 200])
      const wanted = code === 'bad_json' ? -32700 : -32600
      expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: wanted } })
    }
    for (const headers of [{}, { 'content-type': 'text/plain' }, { ...typed, 'content-encoding': 'br' }]) {
      const answer = await send('{}', headers)
      expect(answer.status).toBe(415)
      expectFailure(answer, 'contacts', 'unsupported_media')
    }
  })

  it('with any value in any place gets an answer of the vocabulary', async () => {
    const methods = ['fetchKeyPackages', 'grantInstallation', 'revokeInstallation', 'nonce', 'status', 'none']
    for (const value of VALUES) {
      const did = '"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"'
      const signature = `{"r":${value},"s":${value},"v":${value}}`
      const named = `{"did":${value},"name":${value},"value":${value},"signature":${value},"jwt":${value}}`
      const half = `{"did":${did},"name":"xmtp/installation/hex","value":${value},"signature":${signature}}`
      const params = [
        value,
        `[${value}]`,
        `[${Array(6).fill(value)}]`,
        named,
        half,
        `{"did":${did},"jwt":${value}}`,
      ]
      const requests = methods.flatMap((method) =>
        params.map((each) => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${each}}`),
      )
      for (const body of [...requests, `{"jsonrpc":${value},"id":${value},"method":${value}}`]) {
        const answer = await send(body)
        expectNothingInternal(answer.text)
        const isTooLarge = Buffer.byteLength(body) > 64 * 1024
        expect([body.slice(0, 200), answer.status]).toEqual([body.slice(0, 200), isTooLarge ? 413 : 200])
        const { error } = Object(answer.json)
        if (error) expect([-32700, -32600, -32601, -32602, 403]).toContain(error.code)
      }
    }
  })
})

// ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────

describe.each(named(ROUTES.filter(({ needs }) => needs !== 'nobody')))('%s', (_, target) => {
  const { method, family, needs } = target

  it('without, or with a forged, credential answers 401 whatever else is wrong', async () => {
    const { secret } = world.project
    const own = { project: secret, admin: world.adminToken, client: '', nobody: '' }[needs]
    const forged = [
      '',
      'Bearer',
      'Bearer ',
      'Bearer x',
      `Bearer ${'x'.repeat(10_000)}`,
      `Basic ${btoa(`p:${secret}`)}`,
    ]
    // What opens another door.
    if (needs !== 'project') forged.push(`Bearer ${secret}`)
    if (needs !== 'admin') forged.push(`Bearer ${world.adminToken}`)
    if (needs !== 'client') forged.push(`Bearer ${relayToken()}`)
    if (own !== '')
      forged.push(own, `Bearer ${own}x`, `Bearer ${own.slice(1)}`, `Bearer ${own} ${own}`, `Basic ${own}`)
    for (const authorization of [undefined, ...forged]) {
      const headers = { ...typed, ...(authorization !== undefined && { authorization }) }
      const answer = await ask(method, pathOf(target), { body: '{', headers })
      expect([authorization, answer.status]).toEqual([authorization, 401])
      expect(answer.headers['www-authenticate']).toBe('Bearer')
      expectNothingInternal(answer.text)
      const code = family === 'rpc' ? Object(answer.json).error?.code : Object(answer.json).code
      expect(family === 'rpc' ? [3000, -1] : ['unauthenticated']).toContain(code)
    }
  })
})

it('a secret of one project does not open another one, whether that is there or not', async () => {
  const other = await world.addApp('elsewhere.example', { project: 'elsewhere' })
  for (const project of [other.projectId, 'nowhere', '__proto__', '%00', 'x'.repeat(4000)]) {
    for (const [method, path] of [
      ['POST', `/${project}/notify`],
      ['GET', `/${project}/subscribers`],
      ['PUT', `/v1/${project}/apps/elsewhere.example`],
    ] as const) {
      const answer = await ask(method, path, { body: '{}', headers: { ...typed, ...credentials('project') } })
      expect(answer.status).toBe(401)
      expectFailure(answer, 'plain', 'unauthenticated')
    }
  }
})

it('a notification id may be any text of 1 to 255 characters, and works as one', async () => {
  for (const notification_id of [
    '\0',
    'a\0b',
    '\ud800',
    '🔔'.repeat(255),
    '\u202e',
    '../../x',
    '__proto__',
    ' ',
  ]) {
    const notification = { type: pulse.type, title: 'Odd', body: 'Odd' }
    const body = JSON.stringify({ notification_id, notification, accounts: [pulse.account] })
    const headers = { ...typed, ...credentials('project') }
    for (let time = 0; time < 2; time++) {
      const answer = await ask('POST', `/${world.project.id}/notify`, { body, headers })
      expect([notification_id, answer.status, answer.json]).toEqual([
        notification_id,
        200,
        { sent: [pulse.account], failed: [], not_found: [] },
      ])
    }
  }
})

describe('a token that is forged', () => {
  it('lets nobody into the relay: 401 at the upgrade and over HTTP, a close with 3000 where that is wished', async () => {
    for (const [name, token] of forgedTokens({ sub: 'ab'.repeat(32), aud: world.wsUrl })) {
      const query = `?auth=${encodeURIComponent(token)}`
      const dial = (more = '') => {
        const ws = new WebSocket(`${world.wsUrl}/${query}${more}`)
        ws.on('error', () => {})
        return ws
      }
      expect([name, await upgradeStatus(dial())]).toEqual([name, 401])
      const { code, reason } = await closedOf(dial('&useOnCloseEvent=true'))
      expect([name, code]).toEqual([name, 3000])
      expectNothingInternal(reason)
      const answer = await ask('POST', `/rpc${query}`, { body: '{}' })
      expect([name, answer.status]).toEqual([name, 401])
      expectNothingInternal(answer.text)
    }
  })

  it.each([
    ['DELETE', '/identity', 'unregister_identity'],
    ['POST', '/invite', 'register_invite'],
    ['DELETE', '/invite', 'unregister_invite'],
  ])('does nothing at %s %s', async (method, path, act) => {
    const pkh = 'did:pkh:eip155:1:0x0000000000000000000000000000000000000000'
    for (const [name, token, code] of forgedTokens({
      act,
      pkh,
      aud: world.url,
      sub: ed25519Did(relayKey.publicKey),
    })) {
      const answer = await ask(method, path, { body: JSON.stringify({ idAuth: token }), headers: typed })
      // The field itself takes 8 KiB.
      const isTooLong = token.length > 8192
      expect([name, answer.status]).toEqual([name, isTooLong ? 400 : 401])
      expectFailure(answer, 'keys', isTooLong ? 'bad_params' : code)
    }
  })
})

// ── paths, methods, queries ─────────────────────────────────────────────────────────────────────────────────────────

describe('methods', () => {
  const known = new Map<string, { methods: Set<string>; target: Route }>()
  for (const target of ROUTES) {
    const entry = known.get(target.pattern) ?? { methods: new Set(), target }
    entry.methods.add(target.method)
    known.set(target.pattern, entry)
  }

  it.each([...known])('that %s does not take get 405, and what it takes', async (_, { methods, target }) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'QUERY']) {
      if (methods.has(method)) continue
      const answer = await ask(method, pathOf(target), { headers: credentials(target.needs) })
      expect([method, answer.status]).toEqual([method, 405])
      expectFailure(answer, 'plain', 'method_not_allowed')
      for (const allowed of methods) expect(answer.headers.allow?.split(', ')).toContain(allowed)
    }
    const head = await ask('HEAD', pathOf(target), { headers: credentials(target.needs) })
    if (!methods.has('GET') || target.pattern.includes('/take/')) {
      expect(head.status).toBe(405)
      expect(head.headers.allow).toBeTruthy()
    } else expect(head.status).not.toBe(405)
  })

  it.each(['TRACE', 'CONNECT', 'NONSENSE', 'get'])('%s are refused', async (method) => {
    const said = await sayRaw(
      world.server.port,
      `${method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    )
    expect([[], [400], [405]]).toContainEqual(statusesIn(said))
    expectNothingInternal(said)
  })
})

describe('paths', () => {
  it.each([
    ...[
      '//',
      '/x',
      '/v1/else',
      '/v2/p/notify',
      '/P',
      '/P/',
      '/P/notify/',
      '/P/notify/x',
      '/v1/P/apps/a/b',
      '/health/',
      '/ready/x',
    ],
    ...[
      '/metrics/x',
      '/openapi.json/',
      '/identity/x',
      '/invite/',
      '/rpc/',
      '/%',
      '/%ff',
      '/%00',
      '/%2e%2e/%2e%2e/etc/passwd',
    ],
    ...[
      '/..%2f..%2fetc%2fpasswd',
      '/__proto__',
      '/constructor',
      '/.env',
      '/apps/did.json',
      '/.well-known/',
      '/w3i/v1',
      '/w3i/v1/else',
    ],
    ...[`/${'x'.repeat(8000)}`, `${'/x'.repeat(3000)}`, '/P/welcome-notification', '/%F0%9F%94%94'],
  ])('%.60s answer 404', async (path) => {
    const target = path.replace('/P', `/${world.project.id}`)
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await ask(method, target, { headers: credentials('project') })
      expect([method, answer.status]).toEqual([method, 404])
      expectFailure(answer, 'plain', 'not_found')
    }
  })

  it.each(['/admin', '/admin/', '/admin/nothing', '/admin/apps/x/y', '/admin/keys/x/y', '/admin/..%2fapps'])(
    '%s is 404 for the operator, and 401 or 404 for anybody else',
    async (path) => {
      const answer = await ask('GET', path, { headers: credentials('admin') })
      expect(answer.status).toBe(404)
      expectFailure(answer, 'plain', 'not_found')
      expect([401, 404]).toContain((await ask('GET', path)).status)
    },
  )

  it('that are no paths are refused', async () => {
    for (const target of [
      '*',
      'x',
      'http://[',
      'http://x:99999/',
      '/\u0001',
      '/ x',
      '?',
      `/${'y'.repeat(20_000)}`,
    ]) {
      const said = await sayRaw(
        world.server.port,
        `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      )
      expect([target, statusesIn(said)]).toEqual([target, [expect.any(Number)]])
      expect([400, 404, 431]).toContain(statusesIn(said)[0])
      expectNothingInternal(said)
    }
  })

  it('without a path lead to the page at the root', async () => {
    for (const target of ['/', '/#', '/?x=%00']) {
      const answer = await sayRaw(
        world.server.port,
        `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      )
      expect([target, statusesIn(answer)]).toEqual([target, [200]])
    }
    for (const method of ['POST', 'DELETE'])
      expect([method, (await ask(method, '/', { headers: credentials('project') })).status]).toEqual([
        method,
        405,
      ])
  })
})

describe('queries', () => {
  const LONG = 'z'.repeat(8000)
  it.each<[string, Way, Family, string[], string[]]>([
    ['/identity', 'nobody', 'keys', ['publicKey'], []],
    ['/invite', 'nobody', 'keys', ['account'], []],
    ['/admin/apps', 'admin', 'plain', ['after', 'limit'], []],
    ['/admin/apps/pulse.example/subscribers', 'admin', 'plain', ['after', 'limit'], []],
    ['/admin/keys', 'admin', 'plain', ['after', 'limit'], []],
    ['/P/subscribers', 'project', 'plain', ['appDomain'], []],
    ['/v1/P/subscribers', 'project', 'plain', ['appDomain', 'after', 'limit'], []],
    ['/v1/P/apps', 'project', 'plain', ['after', 'limit'], []],
    ['/w3i/v1/notify-config', 'nobody', 'plain', ['appDomain', 'projectId'], []],
    ['/w3i/v1/projects', 'nobody', 'plain', ['entries', 'page', 'projectId'], []],
    ['/.well-known/did.json', 'nobody', 'plain', ['x'], []],
    ['/openapi.json', 'nobody', 'plain', ['x'], []],
    ['/health', 'nobody', 'plain', ['x'], []],
    ['/ready', 'nobody', 'plain', ['x'], []],
  ])('of %s may hold anything', async (pattern, needs, family, names) => {
    const path = pattern.replace('/P/', `/${world.project.id}/`)
    const values = [
      '',
      '%00',
      '%ff',
      '%',
      '%E0%A4%A',
      '1e400',
      '-1',
      '18446744073709551616',
      'NaN',
      '[]',
      '__proto__',
      LONG,
    ]
    for (const name of names) {
      for (const value of values) {
        for (const query of [
          `${name}=${value}`,
          `${name}[]=${value}`,
          `${name}=${value}&${name}=${value}`,
          `${value}=${name}`,
        ]) {
          expectDocumented(await ask('GET', `${path}?${query}`, { headers: credentials(needs) }), family)
        }
      }
    }
    const many = Array.from({ length: 2000 }, (_, at) => `a${at}=`).join('&')
    expectDocumented(await ask('GET', `${path}?${many}`, { headers: credentials(needs) }), family)
  })

  it('and parts of paths may hold anything', async () => {
    for (const value of ['%00', '%ff', '%', '__proto__', 'did:key:z', '1e400', LONG, '%2F', '%F0%9F%94%94']) {
      for (const [path, needs] of [
        [`/admin/keys/${value}`, 'admin'],
        [`/apps/${value}/did.json`, 'nobody'],
        [`/v1/notification/${value}`, 'nobody'],
        [`/v1/${world.project.id}/apps/${value}`, 'project'],
        [`/${value}/subscribers`, 'project'],
      ] as const) {
        const answer = await ask('GET', path, { headers: credentials(needs) })
        expectDocumented(answer, 'plain')
      }
    }
  })

  it('a Host header may hold anything', async () => {
    for (const host of [
      '',
      'x',
      '[',
      '..',
      'a b',
      `${'h'.repeat(8000)}`,
      'pulse.example:1',
      'PULSE.EXAMPLE',
      '127.0.0.1:99999',
    ]) {
      const said = await sayRaw(
        world.server.port,
        `GET /.well-known/did.json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      )
      expect([host, [200, 400]]).toEqual([host, expect.arrayContaining(statusesIn(said))])
      expectNothingInternal(said)
    }
  })
})

// ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('bytes that are no HTTP', () => {
  const post = (headers: string, body = '') =>
    `POST /identity HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n${headers}\r\n${body}`
  it.each<[string, string | Uint8Array, number[]]>([
    ['noise', randomBytes(4096), [400]],
    ['a TLS hello', Uint8Array.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...randomBytes(512)]), [400]],
    ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['HTTP/9.9', 'GET /health HTTP/9.9\r\nHost: x\r\n\r\n', [400]],
    ['no Host', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n', [400]],
    ['a header without a name', 'GET /health HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', [400]],
    ['a NUL in a header', 'GET /health HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n', [400]],
    [
      'a folded header',
      'GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nConnection: close\r\n\r\n',
      [200, 400],
    ],
    ['one header of 64 KiB', `GET /health HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(65_536)}\r\n\r\n`, [431]],
    ['20,000 headers', `GET /health HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(20_000)}\r\n`, [431]],
    ['headers that never end', `GET /health HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(1_000_000)}`, [431]],
    ['two lengths', post('Content-Length: 2\r\nContent-Length: 3\r\n', '{}'), [400]],
    ['a length and chunks', post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), [400]],
    ['a negative length', post('Content-Length: -1\r\n', '{}'), [400]],
    ['a length of 2^64', post('Content-Length: 18446744073709551616\r\n', '{}'), [400]],
    ['a length of 1e400', post('Content-Length: 1e400\r\n', '{}'), [400]],
    ['a length of 4 GiB', post('Content-Length: 4294967296\r\n', '{}'), [413]],
    ['a length beyond what comes, then silence', post('Content-Length: 70000\r\n', '{}'), [413]],
    [
      'chunks of a size that is none',
      post('Transfer-Encoding: chunked\r\n', 'xyz\r\n{}\r\n0\r\n\r\n'),
      [400],
    ],
    ['a chunk of 2^64', post('Transfer-Encoding: chunked\r\n', '10000000000000000\r\n{}'), [400]],
    ['an encoding that nobody knows', post('Transfer-Encoding: gzip\r\n', '{}'), [400, 501]],
    [
      'an expectation that nobody knows',
      post('Expect: a miracle\r\nContent-Length: 2\r\n', '{}'),
      [400, 417],
    ],
  ])('%s', async (_, bytes, statuses) => {
    const said = await sayRaw(world.server.port, bytes, { answers: 1 })
    expect(statuses).toContain(statusesIn(said)[0])
    expectNothingInternal(said)
  })

  it('a length that is less than what comes: the rest is no request', async () => {
    const body = '{"cacao":7}'
    const said = await sayRaw(
      world.server.port,
      `POST /identity HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n${body}`,
    )
    expect(new Set(statusesIn(said))).toEqual(new Set([400]))
    expectNothingInternal(said)
  })

  it('a length that is more than what comes, and then the end: nobody waits, nothing is done', async () => {
    const before = (await ask('GET', '/admin/apps', { headers: credentials('admin') })).text
    await sayRaw(
      world.server.port,
      `POST /admin/apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.adminToken}\r\n` +
        `Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"domain":"half.example"}`,
      { end: true },
    )
    expect((await ask('GET', '/admin/apps', { headers: credentials('admin') })).text).toBe(before)
  })

  it('500 requests in one write are answered in order', async () => {
    const one = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n'
    const said = await sayRaw(world.server.port, one.repeat(250), { answers: 500 })
    expect(statusesIn(said)).toEqual(Array.from({ length: 250 }, () => [200, 404]).flat())
  })

  it('200 connections that stop in the middle disturb nobody', async () => {
    const { port } = world.server
    const { secret, id } = world.project
    const auth = encodeURIComponent(relayToken())
    const upgrade = `GET /?auth=${auth} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
    const half = [
      '',
      'GET /health HT',
      'GET /health HTTP/1.1\r\nHost: x\r\nA: ',
      `POST /${id}/notify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${secret}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"notification":`,
      `POST /rpc?auth=${auth} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{"id":`,
      // A masked frame that announces 1 MiB.
      `${upgrade}\x81\x7f\0\0\0\0\0\x10\0\0abcdhello`,
    ]
    const sockets = await Promise.all(
      Array.from({ length: 200 }, (_, at) => halfOpen(port, half[at % half.length] ?? '')),
    )
    await pulse.next()
    await pulse.next()
    expect((await ask('GET', '/ready')).status).toBe(200)
    for (const socket of sockets) socket.destroy()
  })
})

// ── the relay socket ────────────────────────────────────────────────────────────────────────────────────────────────

describe('the relay socket', () => {
  const connect = async (path: string) => {
    const ws = new WebSocket(
      `${world.wsUrl}${path}?auth=${encodeURIComponent(relayToken(generateSigningKey()))}`,
    )
    const frames: string[] = []
    ws.on('message', (data) => frames.push(data.toString()))
    ws.on('error', () => {})
    await once(ws, 'open')
    return { ws, frames }
  }

  it.each(['/', '/relay'])('at %s answers every text with its JSON-RPC error, and stays', async (path) => {
    const { ws, frames } = await connect(path)
    for (const [at, [name, text, code]] of TEXTS.entries()) {
      ws.send(text)
      await eventually(() => expect(frames).toHaveLength(at + 1))
      const frame = frames[at] ?? ''
      expect([name, Object(parsed(frame)).error?.code]).toEqual([name, code])
      expectNothingInternal(frame)
    }
    expect(ws.readyState).toBe(ws.OPEN)
    ws.close()
  })

  it('closes with its code for frames that are not taken, 50 of each at once', async () => {
    const bad: [(ws: WebSocket) => void, number][] = [
      [(ws) => ws.send(Buffer.alloc(1000)), 1003],
      [(ws) => ws.send('x'.repeat(2 * MIB)), 1009],
      [(ws) => ws.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false }), 1007],
    ]
    await Promise.all(
      bad.flatMap(([send, code]) =>
        Array.from({ length: 50 }, async () => {
          const { ws } = await connect('/')
          const closed = closedOf(ws)
          send(ws)
          expect((await closed).code).toBe(code)
        }),
      ),
    )
  })

  it('is at no other path, whoever asks', async () => {
    for (const path of ['/rpc', '/health', '/admin/apps', '/relay/', '/x', `/${'x'.repeat(8000)}`]) {
      const ws = new WebSocket(`${world.wsUrl}${path}?auth=${encodeURIComponent(relayToken())}`)
      ws.on('error', () => {})
      expect(await upgradeStatus(ws)).toBe(404)
    }
  })
})

// ── what is in envelopes ────────────────────────────────────────────────────────────────────────────────────────────

describe('a request to the notify server', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  const call = (params: string, id = '1') => `{"id":${id},"jsonrpc":"2.0","method":"m","params":${params}}`

  it.each([4010, 4000] as const)(
    'of tag %i that is sealed well and makes no sense is answered with its error',
    async (tag) => {
      const app = await world.addApp(PULSE_DOMAIN)
      const isWatch = tag === 4010
      const { param, publicKey, did } = isWatch
        ? {
            param: 'watchSubscriptionsAuth',
            ...keysOf(Object((await ask('GET', '/.well-known/did.json')).json)),
          }
        : {
            param: 'subscriptionAuth',
            publicKey: fromHex(app.subscribeKey),
            did: ed25519Did(fromHex(app.authenticationKey)),
          }
      const device = newDevice(newOwner(), { now: Date.now })
      const claims = (more: object) => ({
        ...device.claims(tag, did, { app: `did:web:${PULSE_DOMAIN}`, scp: '', ksu: world.url }),
        ...more,
      })
      const withToken = (token: string) => call(JSON.stringify({ [param]: token }))
      const saying = (more: object) => withToken(signJwt(claims(more), device.identity))
      const texts: [name: string, text: string, code: number][] = [
        ['nothing', '', -32700],
        ['a word', 'hello', -32700],
        ['half of it', call('{').slice(0, -1), -32700],
        ['brackets that are never closed', '['.repeat(150_000), -32700],
        ['null', 'null', -32600],
        ['a huge number', '1e400', -32600],
        ['deep nesting', nested(75_000), -32600],
        ['an id that is infinite', call('{}', '1e400'), -32600],
        ['an id of 10,000 digits', call('{}', '7'.repeat(10_000)), -32600],
        ['an id that is nested', call('{}', nested(70_000)), -32600],
        ['a batch', `[${call('{}')}]`, -32600],
        ['no params', call('null'), -32602],
        ['nested params', call(nested(75_000)), -32602],
        ['a number for a JWT', call(`{"${param}":1e400}`), -32602],
        ['a nested JWT', call(`{"${param}":${nested(75_000)}}`), -32602],
        ['a JWT of 150 KB', withToken('x'.repeat(150_000)), -1],
        ['a JWT of 150,000 dots', withToken('.'.repeat(150_000)), -1],
        ...forgedTokens(claims({ iss: undefined, iat: undefined, exp: undefined })).map(
          ([name, token]): [string, string, number] => [`a JWT that is ${name}`, withToken(token), -1],
        ),
        ['a key server inside', saying({ ksu: 'http://169.254.169.254/latest' }), -1],
        ['a key server in a file', saying({ ksu: 'file:///etc/passwd' }), -1],
        ['a key server of 100 KB', saying({ ksu: `https://x.example/${'x'.repeat(100_000)}` }), -32602],
        ['an account of 100 KB', saying({ sub: `did:pkh:eip155:1:0x${'0'.repeat(100_000)}` }), -32602],
        ['an app of 100 KB', saying({ app: `did:web:${'x'.repeat(100_000)}` }), -32602],
        ['an identity that nobody registered', saying({}), -1],
        ...(isWatch
          ? []
          : ([['10,000 types', saying({ scp: numbered(10_000) }), -32602]] as [string, string, number][])),
      ]
      const answers = new Map<string, string>()
      await using relay = createRelayClient(
        { clock: systemClock, log: silent, meter: unmeasured },
        {
          url: world.wsUrl,
          key: generateSigningKey(),
          onMessage: ({ topic, message }) => void answers.set(topic, message),
        },
      )
      const sent = texts.map(([, text, code]) => ({ code, ...device.sendTo(tag, publicKey, text, '1') }))
      await relay.subscribe(sent.map(({ answerTopic }) => answerTopic))
      await Promise.all(sent.map(({ topic, message }) => relay.publish({ topic, message, tag, ttl: 300 })))
      await eventually(() => expect(answers.size).toBe(sent.length))
      for (const [at, { answerTopic, key, code }] of sent.entries()) {
        const answer = opened(answers.get(answerTopic) ?? '', key)
        expect([texts[at]?.[0], answer]).toMatchObject([texts[at]?.[0], { kind: 'failure', code }])
        expectNothingInternal(JSON.stringify(answer))
      }
    },
  )

  it('that cannot be opened is met with silence, however often it comes', async () => {
    const app = await world.addApp(PULSE_DOMAIN)
    await using relay = createRelayClient(
      { clock: systemClock, log: silent, meter: unmeasured },
      { url: world.wsUrl, key: generateSigningKey() },
    )
    const topic = topicOf(fromHex(app.subscribeKey))
    const before = await undecryptable()
    for (let batch = 0; batch < 4; batch++) {
      const junk = Array.from({ length: 500 }, (_, at) =>
        randomBytes(16 + ((at * 7) % 200)).toString('base64'),
      )
      await Promise.all(junk.map((message) => relay.publish({ topic, message, tag: 4000, ttl: 300 })))
      await pulse.next()
    }
    await eventually(async () => expect(await undecryptable()).toBe(before + 2_000))
  })
})

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `type-${at}`).join(' ')

const undecryptable = async (): Promise<number> => {
  const { text } = await ask('GET', '/metrics')
  return Number(
    /^belfry_notify_undecryptable_total\{method="wc_notifySubscribe"\} (\d+)$/m.exec(text)?.[1] ?? 0,
  )
}

/** The public keys in a did.json. */
const keysOf = (document: { verificationMethod: { publicKeyJwk: { crv: string; x: string } }[] }) => {
  const key = (curve: string) =>
    fromBase64url(
      document.verificationMethod.find(({ publicKeyJwk: { crv } }) => crv === curve)?.publicKeyJwk.x ?? '',
    )
  return { publicKey: key('X25519'), did: ed25519Did(key('Ed25519')) }
}

it('all the while, every notification arrived once, in order, and the process is what it was', async () => {
  await pulse.stop()
  expect(pulse.received).toEqual(pulse.sent)
  expect(pulse.beats).toBeGreaterThan(100)
  expect((await ask('GET', '/ready')).json).toMatchObject({ ready: true })
  const { text } = await ask('GET', '/metrics')
  expect(text).not.toMatch(/http_requests_total\{[^}]*status="5/)
})
