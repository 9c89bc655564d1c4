/** `belfry broadcast` to some thousands: a bar on a terminal (a real one, of util-linux' script), lines elsewhere. */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createProgressBar } from '../../src/cli/progress-bar.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { fill } from '../stories/crowd.ts'
import { startServerProcess } from '../support/process.ts'
import { enrol, temporaryHome } from '../support/story.ts'

const DOMAIN = 'app.example.com'
const COUNT = 3_000
const owned = createReleaseStack()
let data = ''

beforeAll(async () => {
  const home = owned.use(await temporaryHome())
  data = home.path
  const env = { BELFRY_SECRET: randomBytes(24).toString('hex') }
  const first = await startServerProcess(data, { env })
  const { types } = await enrol(data, DOMAIN)
  await first.end('SIGTERM')
  {
    await using stores = await openLmdb({ path: join(data, 'store') })
    await fill(stores, env.BELFRY_SECRET, { domain: DOMAIN, type: types[0]?.id ?? '', count: COUNT })
  }
  owned.use(await startServerProcess(data, { env }))
})
afterAll(() => owned[Symbol.asyncDispose]())

const command = (id: string, ...more: string[]): string[] => [
  ...['dist/cli/main.js', 'broadcast', DOMAIN, '--data', data, '--type', 'News', '--title', 'To-all'],
  ...['--body', 'Hear', '--id', id, ...more],
]

it('a bar grows with what is done', () => {
  let drawn = ''
  const meter = createProgressBar({ isTTY: true, write: (text) => (drawn += text) })
  for (const done of [0, 1_500, 3_000]) meter.show(done, 3_000)
  meter.end()
  const bars = ['.'.repeat(24), '#'.repeat(12) + '.'.repeat(12), '#'.repeat(24)]
  const counts = ['0', '1,500', '3,000']
  expect(drawn).toBe(`${bars.map((bar, at) => `\r\x1b[2K[${bar}] ${counts[at]} of 3,000`).join('')}\n`)
})

it('draws a bar that never shrinks until everybody had their turn', async () => {
  const line = [process.execPath, ...command('on-a-terminal')].join(' ')
  const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    screen += text
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(code, screen).toBe(0)
  const drawn = [...screen.matchAll(/\[2K\[(#*)(\.*)\] ([\d,]+) of 3,000/g)]
  const done = drawn.map(([, , , count = '']) => Number(count.replace(',', '')))
  const widths = drawn.map(([, full = '']) => full.length)
  // How often it is looked at is the machine's affair: a fast server may be done before the first look.
  expect(done).toEqual([...done].sort((a, b) => a - b))
  expect(widths).toEqual([...widths].sort((a, b) => a - b))
  expect(done.at(-1)).toBe(COUNT)
  expect(drawn.at(-1)?.[2]).toBe('')
  expect(screen).toContain(`on-a-terminal done: handed over to ${COUNT} of ${COUNT} subscribers`)
})

it('says in lines how far it is where there is no terminal, and nothing but JSON when asked', async () => {
  const run = promisify(execFile)
  const { stdout, stderr } = await run(process.execPath, command('in-a-pipe'))
  expect(stderr).not.toContain('\x1b')
  expect(stderr.trimEnd().split('\n').at(-1)).toBe('3,000 of 3,000')
  expect(stdout).toMatch(/^in-a-pipe done: handed over to 3000 of 3000 subscribers, 0 skipped/)
  const json = await run(process.execPath, command('as-json', '--json'))
  expect(json.stderr).toBe('')
  expect(JSON.parse(json.stdout)).toMatchObject({ status: 'done', handed: COUNT, total: COUNT })
})
