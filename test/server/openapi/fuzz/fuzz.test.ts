/**
 * The server is sent what its own document describes, and what it does not: 20,000 requests in a full run, a share of them here.
 * No answer is a fault of the server, or of another status or shape than the document says; nothing is logged as a failure.
 */
import { Agent, request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../../src/platform/runtime/release-stack.ts'
import { type Log, silent } from '../../../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { freePort } from '../../../support/process.ts'
import { runs } from '../../../support/runs.ts'
import { openConsole } from '../../console/browser-session.ts'
import { type AllRooms, type DescribedOperation, operationsOf, startAllRooms } from '../all-rooms.ts'
import { pathOf } from '../requests.ts'
import { createCheck, type Said } from './documented.ts'
import { type Credentials, createRequests, type Wrong } from './requests.ts'

const REQUESTS = 20_000
/** Longer than any request waits for a message. */
const LONGEST_WAIT_MS = 45_000

const owned = createReleaseStack()
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
const failures: unknown[] = []
const log: Log = { ...silent, error: (fields, sentence) => void failures.push({ fields, sentence }) }
let house: AllRooms
let operations: DescribedOperation[]
let credentials: Credentials
let check: ReturnType<typeof createCheck>

beforeAll(async () => {
  const port = await freePort()
  house = owned.use(await startAllRooms({ log, config: { port, publicUrl: `http://localhost:${port}` } }))
  const { world, push, document } = house
  await world.addApp('app.example.com', { types: [{ id: 'news', name: 'News' }] })
  const console = openConsole(world)
  await console.signIn()
  credentials = {
    projectSecret: { authorization: `Bearer ${world.project.secret}` },
    adminToken: { authorization: `Bearer ${world.adminToken}` },
    consoleSession: { cookie: console.cookie, 'sec-fetch-site': 'same-origin' },
    clientToken: { authorization: `Bearer ${push.token(generateSigningKey())}` },
  }
  check = createCheck(document, operationsOf(document))
  // The examples' project becomes the one that there is.
  operations = JSON.parse(
    JSON.stringify(operationsOf(document)).replaceAll('59ac24c90647c616c325883ef1e55c4a', world.project.id),
  )
})
afterAll(async () => {
  agent.destroy()
  await owned[Symbol.asyncDispose]()
})

/** The session that others ask with stays. */
const isNoSignOut = ({ operationId, headers }: Wrong): boolean =>
  operationId !== 'consoleSignOut' || headers.cookie === undefined

const ask = ({ method, path, headers, body }: Wrong): Promise<Said> =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const { port } = house.world.server
    const outgoing = request({
      ...{ host: '127.0.0.1', port, method, path, agent, headers: { ...length, ...headers } },
      signal: AbortSignal.timeout(LONGEST_WAIT_MS),
    })
    outgoing.on('error', (cause) =>
      reject(new Error(`No answer to ${method} ${path.slice(0, 200)}`, { cause })),
    )
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        // Refused before all of it was sent: nobody can use the connection any more.
        if (!outgoing.writableFinished) outgoing.destroy()
        const bytes = Buffer.concat(chunks)
        // An answer to HEAD says how it would be packed, and has nothing.
        const isPacked = incoming.headers['content-encoding'] === 'gzip' && bytes.length > 0
        const text = (isPacked ? gunzipSync(bytes) : bytes).toString()
        resolve({ status: incoming.statusCode ?? 0, type: incoming.headers['content-type'] ?? '', text })
      })
    })
    outgoing.end(body)
  })

const expectDocumented = async (one: Wrong): Promise<Said> => {
  const said = await ask(one)
  const wrong = check(one, said)
  if (wrong === undefined) return said
  const request = `${one.method} ${one.path.slice(0, 200)}`
  throw new Error(`${request}: ${said.status} ${said.text.slice(0, 300)}: ${wrong}`)
}

it('a name that is longer than any key of a store is a wrong name, wherever it stands', async () => {
  const long = 'x'.repeat(2_000)
  for (const operation of operations) {
    const { operationId, method, parameters, security, requestBody } = operation
    const [scheme = ''] = security.flatMap((one) => Object.keys(one))
    const [[type = 'application/json', content] = []] = Object.entries(requestBody?.content ?? {})
    const body =
      content && (typeof content.example === 'string' ? content.example : JSON.stringify(content.example))
    const headers = { 'content-type': type, 'sec-fetch-site': 'same-origin', ...credentials[scheme] }
    for (const { name, in: place } of parameters) {
      if (place === 'header') continue
      await expectDocumented({
        ...{ operationId, method, headers, body },
        path: pathOf(operation, { params: { [name]: long } }),
      })
    }
  }
  expect(failures).toEqual([])
})

it(`${REQUESTS} requests out of the document are answered as it says`, { timeout: 900_000 }, async () => {
  const requests = createRequests(house.document, operations, credentials)
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(requests.filter(isNoSignOut), async (one) => {
      const { status } = await expectDocumented(one)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }),
    { numRuns: runs(REQUESTS) },
  )
  expect(failures).toEqual([])
  // Neither budgets nor one status stand for all answers.
  const count = (status: number) => statuses.get(status) ?? 0
  expect(count(429)).toBeLessThan(runs(REQUESTS) / 20)
  expect(count(200)).toBeGreaterThan(runs(REQUESTS) / 10)
  expect((await house.world.http('GET', '/ready')).body).toMatchObject({ ready: true })
})
