/**
 * A new user's first minute: after `npm ci` the server is started on a terminal, and what it prints is done, word for word.
 * It ends with a message in a wallet.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'

/** That all of it may take; each thing is waited for as long. */
const MOST_MS = 60_000
/** What `npm ci` leaves in a checkout, as far as commands need it. */
const PARTS = [
  ...['package.json', 'tsconfig.json', 'tsconfig.build.json', 'tsconfig.packages.json', 'LICENSE'],
  ...['scripts', 'packages', 'src', 'dist'],
]

let dir: string
const running: ChildProcess[] = []
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-first-minute-'))
  for (const part of PARTS) await cp(part, join(dir, part), { recursive: true, preserveTimestamps: true })
  await symlink(resolve('node_modules'), join(dir, 'node_modules'))
})
afterAll(async () => {
  for (const child of running) endGroup(child, 'SIGKILL')
  await rm(dir, { recursive: true, force: true })
})

/** Whoever typed it started more: npm, a shell, what they run. */
const endGroup = ({ pid }: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // It has ended.
  }
}

/** What is typed into a shell, and what it has said so far. */
const typed = (program: string, ...words: string[]) => {
  const child = spawn(program, words, {
    cwd: dir,
    env: {
      ...{ PATH: process.env.PATH, HOME: dir, TERM: 'xterm', NO_COLOR: '1' },
      ...{ npm_config_cache: join(dir, 'npm'), npm_config_offline: 'true', npm_config_yes: 'true' },
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  running.push(child)
  let screen = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      screen += text
    })
  }
  return {
    child,
    screen: () => screen,
    ended: new Promise<number | null>((done) => child.once('close', done)),
    says: (pattern: RegExp) => eventually(() => expect(screen).toMatch(pattern), MOST_MS),
  }
}

it('from the start to a message in belfry listen, with commands copied from the screen, takes a minute at most', async () => {
  const began = Date.now()
  // Ports of its own: another server may run on this machine.
  const start = 'npm start -- --port 0 --metrics 127.0.0.1:0'
  const server = typed('script', '-qfec', start, '/dev/null')
  await server.says(/Belfry is ready at http:\/\/localhost:\d+; Ctrl-C ends it\./)
  const screen = server.screen().replaceAll('\r', '')
  // In words, because it is a terminal.
  expect(screen).not.toContain('{"level"')
  expect(screen).not.toContain('{"ready"')
  expect(screen).toMatch(/\[\d\d:\d\d:\d\d\] WARN: BELFRY_PUBLIC_URL is not set/m)

  const [, page = ''] = /^ {2}API page +(\S+)$/m.exec(screen) ?? []
  expect((await fetch(page)).status).toBe(200)

  const commands = [...screen.matchAll(/^ {2}(npx belfry .*)$/gm)].map(([, line = '']) => line)
  expect(commands.map((line) => line.split(' ')[2])).toEqual(['app', 'listen', 'notify'])
  const [add = '', listen = '', notify = ''] = commands
  const added = typed('sh', '-c', add)
  expect(await added.ended, added.screen()).toBe(0)
  const listener = typed('sh', '-c', `exec ${listen}`)
  await listener.says(/is subscribed to app\.example\.com/)
  const sent = typed('sh', '-c', notify)
  expect(await sent.ended, sent.screen()).toBe(0)
  await listener.says(/News {2}Hello: from the tower/)
  expect(Date.now() - began).toBeLessThan(MOST_MS)

  endGroup(listener.child, 'SIGINT')
  await listener.ended
  server.child.kill('SIGTERM')
  await eventually(async () => {
    await expect(fetch(page)).rejects.toThrow()
  }, 20_000)
}, 180_000)
