/** `belfry listen`: a wallet in the terminal, on the server of a world. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startWorld, type World } from '../support/world.ts'
import { commandLineOf } from './belfry.ts'

const DOMAIN = 'bell.example.com'

let world: World
let dir: string
const running: ChildProcess[] = []
beforeAll(async () => {
  world = await startWorld()
  dir = mkdtempSync(join(tmpdir(), 'belfry-listen-'))
  await json('app', 'add', DOMAIN, '--type', 'News: what is new', '--type', 'Sale')
})
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await world[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

const belfry = (...words: string[]) => commandLineOf(world, dir).belfry(words)
const json = (...words: string[]) => commandLineOf(world, dir).json(...words)
const subscribers = async (): Promise<string[]> => {
  const { id, secret } = world.project
  const { body } = await world.http('GET', `/${id}/subscribers?appDomain=${DOMAIN}`, { token: secret })
  return Array.isArray(body) ? body : []
}
const notify = (title: string, type = 'News') =>
  json('notify', DOMAIN, '--type', type, '--title', title, '--body', 'from the tower', '--all')

/** A listener that runs until it is ended. */
const listen = (...words: string[]) => {
  const child = spawn(
    process.execPath,
    [join(process.cwd(), 'dist/cli/main.js'), 'listen', DOMAIN, ...words],
    {
      cwd: dir,
      env: { PATH: process.env.PATH, BELFRY_DATA: world.dataDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  running.push(child)
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said.stderr += text
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    child,
    said,
    lines: () => said.stdout.split('\n').filter((line) => line !== ''),
    says: (pattern: RegExp) => eventually(() => expect(said.stdout).toMatch(pattern)),
    end: (signal: NodeJS.Signals = 'SIGINT') => {
      child.kill(signal)
      return ended
    },
    ended,
  }
}

it('subscribes, prints what comes in a line, and leaves nothing when it ends', async () => {
  const listener = listen()
  await listener.says(
    /^eip155:1:0x\w{40} is subscribed to bell\.example\.com \(News, Sale\)\. Ctrl-C ends it\.$/m,
  )
  expect(await subscribers()).toHaveLength(1)
  await notify('Hello')
  await listener.says(/^\d\d:\d\d:\d\d {2}News {2}Hello: from the tower$/m)
  // What an app says cannot command the terminal.
  await notify('\u001b[31mRed\u0007')
  await listener.says(/News {2} \[31mRed : from the tower$/m)
  expect(await listener.end()).toBe(0)
  expect(listener.said.stderr).toBe('')
  expect(await subscribers()).toEqual([])
  expect(await json('keys', 'list')).toEqual([expect.objectContaining({ revokedAt: expect.any(String) })])
}, 60_000)

it('with --json prints a line of JSON for each event, of the wanted types only', async () => {
  const listener = listen('--json', '--type', 'Sale')
  await listener.says(/"event":"subscribed"/)
  await notify('Not wanted')
  await notify('Wanted', 'Sale')
  await listener.says(/Wanted/)
  const [account] = await subscribers()
  expect(listener.lines().map((line) => JSON.parse(line))).toEqual([
    { event: 'subscribed', domain: DOMAIN, account, types: ['Sale'] },
    {
      ...{ event: 'message', domain: DOMAIN, account, type: 'Sale', title: 'Wanted', body: 'from the tower' },
      ...{ url: null, icon: null, id: expect.any(String), sentAt: expect.stringMatching(/^\d{4}-.*Z$/) },
    },
  ])
  expect(await listener.end('SIGTERM')).toBe(0)
}, 60_000)

it('with --keep is the same account the next time, and gets what came meanwhile', async () => {
  const file = join(dir, 'listener.json')
  const first = listen('--keep', file)
  await first.says(/is subscribed/)
  expect(await first.end()).toBe(0)
  const [account] = await subscribers()
  expect(statSync(file).mode & 0o777).toBe(0o600)
  await notify('Meanwhile')
  const second = listen('--keep', file)
  await second.says(/Meanwhile/)
  await second.says(new RegExp(`^${account} is subscribed`, 'm'))
  expect(await second.end()).toBe(0)
  // Its key is in the file only.
  const { ownerKey } = JSON.parse(readFileSync(file, 'utf8'))
  expect(first.said.stdout + second.said.stdout).not.toContain(ownerKey)
  writeFileSync(file, '{}')
  expect(await belfry('listen', DOMAIN, '--keep', file)).toMatchObject({
    code: 1,
    stderr: `${file} is no file that --keep wrote: name another one.\n`,
  })
}, 60_000)

it('ends when nobody reads it any more, without a word', async () => {
  const listener = listen()
  await listener.says(/is subscribed/)
  const before = await subscribers()
  listener.child.stdout.destroy()
  await notify('Into the void')
  expect(await listener.ended).toBe(0)
  expect(listener.said.stderr).toBe('')
  expect((await subscribers()).length).toBe(before.length - 1)
}, 60_000)

it('says what to do where there is no such app, no such type, no server', async () => {
  const fails = async (...words: string[]) => {
    const { code, stderr } = await belfry('listen', ...words)
    expect(code).toBe(1)
    return stderr
  }
  expect(await fails('nobody.example.com')).toMatch(
    /^http:\S+ has no app nobody\.example\.com\. Declare it with: belfry app add nobody\.example\.com --type 'News: what is new'\n$/,
  )
  expect(await fails(DOMAIN, '--type', 'Alarm')).toBe('The app has no type "Alarm"; it has: News, Sale.\n')
  expect(await fails(DOMAIN, '--data', dir)).toContain('Start one with: belfry serve')
  expect(await fails(DOMAIN, '--server', 'http://127.0.0.1:9')).toBe(
    'No server answers at http://127.0.0.1:9. Start one with: belfry serve\n',
  )
})
