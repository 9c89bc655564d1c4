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
import { type AllRooms, operationsOf, startAllRooms } from '../all-rooms.ts'
import { createCheck, type Said } from './documented.ts'
import { createRequests, type Wrong } from './requests.ts'

const REQUESTS = 20_000
/** Longer than any request waits for a message. */
const LONGEST_WAIT_MS = 45_000

const owned = createReleaseStack()
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
const failures: unknown[] = []
const log: Log = { ...silent, error: (fields, sentence) => void failures.push({ fields, sentence }) }
let house: AllRooms

beforeAll(async () => {
  const port = await freePort()
  house = owned.use(await startAllRooms({ log, config: { port, publicUrl: `http://localhost:${port}` } }))
  await house.world.addApp('app.example.com', { types: [{ id: 'news', name: 'News' }] })
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

it(`${REQUESTS} requests out of the document are answered as it says`, { timeout: 900_000 }, async () => {
  const { world, push, document } = house
  const console = openConsole(world)
  await console.signIn()
  const token = push.token(generateSigningKey())
  const operations = operationsOf(document)
  const requests = createRequests(
    document,
    // The examples' project becomes the one that there is.
    JSON.parse(JSON.stringify(operations).replaceAll('59ac24c90647c616c325883ef1e55c4a', world.project.id)),
    {
      projectSecret: { authorization: `Bearer ${world.project.secret}` },
      adminToken: { authorization: `Bearer ${world.adminToken}` },
      consoleSession: { cookie: console.cookie, 'sec-fetch-site': 'same-origin' },
      clientToken: { authorization: `Bearer ${token}` },
    },
  )
  const check = createCheck(document, operations)
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(requests.filter(isNoSignOut), async (one) => {
      const said = await ask(one)
      statuses.set(said.status, (statuses.get(said.status) ?? 0) + 1)
      const wrong = check(one, said)
      if (wrong !== undefined)
        throw new Error(
          `${one.method} ${one.path.slice(0, 200)}: ${said.status} ${said.text.slice(0, 300)}: ${wrong}`,
        )
    }),
    { numRuns: runs(REQUESTS) },
  )
  expect(failures).toEqual([])
  // Neither budgets nor one status stand for all answers.
  const count = (status: number) => statuses.get(status) ?? 0
  expect(count(429)).toBeLessThan(runs(REQUESTS) / 20)
  expect(count(200)).toBeGreaterThan(runs(REQUESTS) / 10)
  expect((await world.http('GET', '/ready')).body).toMatchObject({ ready: true })
})
