/** What an operator's mishaps make of a start: the process ends by itself, with code 1 and one sentence. */
import {
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startServerProcess } from '../support/process.ts'
import { connect, randomMessage, randomTopic } from '../support/world/scripted-relay.ts'

const PAGE_BYTES = 4_096
let dir: string
let file: string
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-refused-'))
  const server = await startServerProcess(join(dir, 'data'))
  await using writer = connect(server.url)
  for (let at = 0; at < 30; at++) {
    await writer.publish({ topic: randomTopic(), message: randomMessage(9_000), tag: 1, ttl: 3_600 })
  }
  await server.end('SIGTERM')
  file = join(dir, 'data', 'store', 'data.mdb')
  copyFileSync(file, join(dir, 'sound'))
}, 60_000)
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** The code with which a start ends, and what it says, a line each. */
const startOf = async (data: string): Promise<{ code: number; lines: string[] }> => {
  const said = await startServerProcess(data, { env: { BELFRY_LOG_LEVEL: 'error' } }).then(
    async (server) => `it serves, which ends with ${await server.end('SIGTERM')}`,
    String,
  )
  const [head = '', ...lines] = said.trimEnd().split('\n')
  return { code: Number(/ended with (\d+) before/.exec(head)?.[1]), lines }
}

const zero = (bytes: number) => truncateSync(file, bytes)
const damage = (seed: number) => {
  const handle = openSync(file, 'r+')
  const pages = statSync(file).size / PAGE_BYTES
  for (let place = 1; place <= 20; place++) {
    const at = Math.imul(seed * 20 + place, 2_654_435_761) >>> 0
    writeSync(handle, Buffer.alloc(PAGE_BYTES, at & 0xff), 0, PAGE_BYTES, (at % pages) * PAGE_BYTES)
  }
}

it.each([
  ['an empty file', () => zero(0), /is damaged \(it is empty\)/],
  ['a file cut short', () => zero(Math.floor(statSync(file).size / 2)), /is damaged \(it is cut short/],
  ['a file of three bytes', () => zero(3), /is damaged \(it is cut short, at 3 bytes\)/],
  ['twenty damaged pages', () => damage(1), /is damaged \(/],
  ['twenty other ones', () => damage(2), /is damaged \(/],
])(
  'the store is %s',
  async (_, spoil, sentence) => {
    copyFileSync(join(dir, 'sound'), file)
    spoil()
    const spoilt = readFileSync(file)
    const { code, lines } = await startOf(join(dir, 'data'))
    expect({ code, lines }).toEqual({ code: 1, lines: [expect.stringMatching(sentence)] })
    expect(lines[0]).toMatch(/: move \S+ away and put a backup in its place with belfry restore\.$/)
    expect(readFileSync(file).equals(spoilt)).toBe(true)
  },
  60_000,
)

it('the data directory is where the kernel makes none', async () => {
  expect(await startOf('/proc/nope')).toEqual({
    code: 1,
    lines: [expect.stringMatching(/^The data directory \/proc\/nope cannot be used: .*\.$/)],
  })
}, 60_000)

it('another process uses it', async () => {
  copyFileSync(join(dir, 'sound'), file)
  await using server = await startServerProcess(join(dir, 'data'))
  expect(await startOf(join(dir, 'data'))).toEqual({
    code: 1,
    lines: [`The data directory ${join(dir, 'data')} is used by another running process (${server.pid}).`],
  })
}, 60_000)
