import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import {
  loadSecrets,
  lockDataDir,
  prepareDataDir,
  readAdminAccess,
  writeAdminAccess,
} from '../../src/server/data-dir.ts'
import { StartFailure } from '../../src/server/failure.ts'
import { defaultProjectId, projectSecret } from '../../src/server/secrets.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-data-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const mode = (file: string) => statSync(join(dir, file)).mode & 0o777

describe('the lock', () => {
  it('lets one in, and the next one after it', () => {
    const lock = lockDataDir(dir)
    expect(() => lockDataDir(dir)).toThrow(StartFailure)
    expect(() => lockDataDir(dir)).toThrow(
      `The data directory ${dir} is used by another running process (${process.pid}).`,
    )
    lock[Symbol.dispose]()
    lockDataDir(dir)[Symbol.dispose]()
  })

  it.each([
    ['a process that has ended', JSON.stringify({ pid: 2 ** 22 + 1 })],
    ['an earlier process with our number', JSON.stringify({ pid: process.pid, beginning: '1' })],
    ['one that died while it wrote', '{"pi'],
  ])('of %s does not count', (_, left) => {
    writeFileSync(join(dir, 'lock'), left)
    lockDataDir(dir)[Symbol.dispose]()
    expect(existsSync(join(dir, 'lock'))).toBe(false)
  })

  it('says why a directory cannot be used', () => {
    writeFileSync(join(dir, 'file'), '')
    expect(() => prepareDataDir(join(dir, 'file', 'data'))).toThrow('cannot be used: ENOTDIR.')
    expect(() => lockDataDir(join(dir, 'none'))).toThrow('cannot be written to: ENOENT.')
  })
})

describe('the secret', () => {
  it('is made once, for the owner only', () => {
    const secret = loadSecrets(dir, {}, crypto.randomBytes)
    expect(secret.secret.length).toBeGreaterThanOrEqual(32)
    expect(loadSecrets(dir, {}, crypto.randomBytes)).toEqual(secret)
    expect(mode('secret')).toBe(0o600)
  })

  it('is the configured one where there is one, and then no file', () => {
    expect(loadSecrets(dir, { secret: 'sixteen letters!' }, crypto.randomBytes)).toEqual({
      secret: Buffer.from('sixteen letters!'),
    })
    expect(existsSync(join(dir, 'secret'))).toBe(false)
  })

  it('is not an empty file', () => {
    writeFileSync(join(dir, 'secret'), '')
    expect(() => loadSecrets(dir, {}, crypto.randomBytes)).toThrow('does not hold a secret')
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
