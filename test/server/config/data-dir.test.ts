import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { prepareDataDir, readAdminAccess, writeAdminAccess } from '../../../src/server/config/data-dir.ts'
import { lockDataDir } from '../../../src/server/config/data-lock.ts'
import {
  isSecretOf,
  loadSecrets,
  removeRetiredSecrets,
  replaceSecret,
  retirePreviousSecret,
} from '../../../src/server/config/secret-files.ts'
import { defaultProjectId, projectSecret } from '../../../src/server/config/secrets.ts'
import { StartError } from '../../../src/server/config/start-error.ts'
import { eventually } from '../../support/eventually.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-data-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const mode = (file: string) => statSync(join(dir, file)).mode & 0o777

const programOf = (program: string): string[] => {
  const source = new URL('../../../src/server/config/data-lock.ts', import.meta.url).href
  const whole = `const { lockDataDir } = await import('${source}'); ${program}`
  return ['--import', 'tsx', '--conditions=source', '--input-type=module', '-e', whole]
}

/** Leaves what a process leaves that was killed while it held the directory. */
const killedWith = async (held: string): Promise<void> => {
  const args = programOf(`await lockDataDir(${JSON.stringify(held)}); process.kill(process.pid, 'SIGKILL')`)
  await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({ signal: 'SIGKILL' })
  expect(existsSync(join(held, 'lock.sock'))).toBe(true)
}

describe('the lock', () => {
  it('lets one in, and the next one after it', async () => {
    const lock = await lockDataDir(dir)
    expect(mode('lock.sock')).toBe(0o600)
    await expect(lockDataDir(dir)).rejects.toThrow(StartError)
    await expect(lockDataDir(dir)).rejects.toThrow(
      `The data directory ${dir} is used by another running process (${process.pid}).`,
    )
    await lock[Symbol.asyncDispose]()
    expect(readdirSync(dir)).toEqual([])
    await (await lockDataDir(dir))[Symbol.asyncDispose]()
  })

  it('lets one in of many that come at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => lockDataDir(dir)))
    const taken = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(taken).toHaveLength(1)
    for (const lock of taken) await lock[Symbol.asyncDispose]()
  })

  it('lets one in of many that come at once after one that was killed', async () => {
    await killedWith(dir)
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => lockDataDir(dir)))
    const taken = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(taken).toHaveLength(1)
    for (const lock of taken) await lock[Symbol.asyncDispose]()
    expect(readdirSync(dir)).toEqual([])
  })

  it.skipIf(process.getuid?.() !== 0 || process.platform !== 'linux')(
    'holds against a process in another pid namespace, where ours has no number',
    async () => {
      const lock = await lockDataDir(dir)
      const args = [
        '--pid',
        '--fork',
        process.execPath,
        ...programOf(`await lockDataDir(${JSON.stringify(dir)})`),
      ]
      await expect(promisify(execFile)('unshare', args)).rejects.toMatchObject({
        stderr: expect.stringContaining('is used by another running process'),
      })
      await expect(lockDataDir(dir)).rejects.toThrow('is used by another running process')
      await lock[Symbol.asyncDispose]()
    },
  )

  it('holds in a directory whose path is longer than the name of a socket may be', async () => {
    const deep = join(dir, 'd'.repeat(200))
    prepareDataDir(deep)
    const lock = await lockDataDir(deep)
    expect(existsSync(join(deep, 'lock.sock'))).toBe(true)
    rmSync(join(deep, 'lock'))
    await expect(lockDataDir(deep)).rejects.toThrow('is used by another running process')
    await lock[Symbol.asyncDispose]()
    expect(readdirSync(deep)).toEqual([])
  })

  it.each([
    ['a process that has ended', JSON.stringify({ pid: 2 ** 22 + 1 })],
    ['an earlier process with our number', JSON.stringify({ pid: process.pid, beginning: '1' })],
    ['one that died while it wrote', '{"pi'],
  ])('of %s does not count', async (_, left) => {
    writeFileSync(join(dir, 'lock'), left)
    await (await lockDataDir(dir))[Symbol.asyncDispose]()
    expect(existsSync(join(dir, 'lock'))).toBe(false)
  })

  it.runIf(process.platform === 'linux')(
    'of a process that is dead and never waited for does not count',
    async () => {
      // The program that the shell becomes does not know that it has a child.
      const script = 'sleep 600 & echo $!; exec sleep 600'
      const parent = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
      try {
        const [said] = await once(parent.stdout, 'data')
        const pid = Number(said)
        const isNow = (state: string) => readFileSync(`/proc/${pid}/stat`, 'latin1').includes(`) ${state} `)
        await eventually(() => expect(readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n'))
        writeFileSync(join(dir, 'lock'), JSON.stringify({ pid }))
        await expect(lockDataDir(dir)).rejects.toThrow(`is used by another running process (${pid})`)
        process.kill(pid, 'SIGKILL')
        await eventually(() => expect(isNow('Z')).toBe(true))
        await (await lockDataDir(dir))[Symbol.asyncDispose]()
      } finally {
        parent.kill('SIGKILL')
      }
    },
  )

  it('says why a directory cannot be used', async () => {
    writeFileSync(join(dir, 'file'), '')
    expect(() => prepareDataDir(join(dir, 'file', 'data'))).toThrow('a part of the path is a file (ENOTDIR).')
    await expect(lockDataDir(join(dir, 'none'))).rejects.toThrow('cannot be written to: it is not there')
  })

  it.skipIf(process.platform !== 'linux')('says at once that the kernel makes no directory there', () => {
    expect(() => prepareDataDir('/proc/nope')).toThrow('The data directory /proc/nope cannot be used:')
  })
})

describe('the secret', () => {
  const load = (configured: { secret?: string } = {}, hasStore = false) =>
    loadSecrets(dir, configured, { randomBytes: crypto.randomBytes, hasStore })

  it('is made once, for the owner only', () => {
    const secret = load()
    expect(secret.secret.length).toBeGreaterThanOrEqual(32)
    expect(load()).toEqual(secret)
    expect(mode('secret')).toBe(0o600)
    expect(readdirSync(dir)).toEqual(['secret'])
  })

  it('is the configured one where there is one, and then no file', () => {
    expect(load({ secret: 'sixteen letters!' })).toEqual({ secret: Buffer.from('sixteen letters!') })
    expect(existsSync(join(dir, 'secret'))).toBe(false)
  })

  it.each([true, false])('is not an empty file, with a store beside it: %s', (hasStore) => {
    writeFileSync(join(dir, 'secret'), '')
    expect(() => load({}, hasStore)).toThrow('does not hold a secret (0 characters)')
    expect(statSync(join(dir, 'secret')).size).toBe(0)
  })

  it('is not made up beside a store that was sealed with another one', () => {
    expect(() => load({}, true)).toThrow(`There is a store in ${dir} and no secret`)
    expect(readdirSync(dir)).toEqual([])
  })

  it('that was replaced is put away when the one in the directory is in use, and kept for 30 days', () => {
    const first = load().secret
    replaceSecret(dir, crypto.randomBytes)
    const { secret, previous } = load()
    expect(previous).toEqual(first)
    expect([isSecretOf(dir, first), isSecretOf(dir, secret)]).toEqual([false, true])
    // The process that still runs with the former one puts nothing away.
    expect(retirePreviousSecret(dir, first, 1_700_000_000_000)).toBe(false)
    expect(readFileSync(join(dir, 'secret.previous'))).toEqual(first)

    expect(retirePreviousSecret(dir, secret, 1_700_000_000_000)).toBe(true)
    expect(retirePreviousSecret(dir, secret, 1_700_000_000_000)).toBe(false)
    expect(readdirSync(dir).sort()).toEqual(['secret', 'secret.previous.1700000000'])
    expect(readFileSync(join(dir, 'secret.previous.1700000000'))).toEqual(first)
    expect(mode('secret.previous.1700000000')).toBe(0o600)

    removeRetiredSecrets(dir, 1_700_000_000_000 + 29 * 86_400_000)
    expect(readdirSync(dir)).toHaveLength(2)
    removeRetiredSecrets(dir, 1_700_000_000_000 + 31 * 86_400_000)
    expect(readdirSync(dir)).toEqual(['secret'])
  })

  it('gives every project its own', () => {
    const secret = Buffer.alloc(32, 7)
    expect(projectSecret(secret, 'a')).toBe(projectSecret(secret, 'a'))
    expect(projectSecret(secret, 'a')).not.toBe(projectSecret(secret, 'b'))
    expect(projectSecret(secret, 'a')).not.toBe(projectSecret(Buffer.alloc(32, 8), 'a'))
    expect(projectSecret(secret, 'a')).toMatch(/^[\w-]{43}$/)
    expect(defaultProjectId(secret)).toMatch(/^[0-9a-f]{32}$/)
  })
})

it('leaves the admin token for the owner, while the server runs', () => {
  expect(readAdminAccess(dir)).toBeUndefined()
  const access = { url: 'http://127.0.0.1:1', token: 'a-token-of-the-operator' }
  const left = writeAdminAccess(dir, access)
  expect(readAdminAccess(dir)).toEqual(access)
  expect(mode('admin.json')).toBe(0o600)
  expect(JSON.parse(readFileSync(join(dir, 'admin.json'), 'utf8'))).toEqual(access)
  left[Symbol.dispose]()
  expect(readAdminAccess(dir)).toBeUndefined()
})
