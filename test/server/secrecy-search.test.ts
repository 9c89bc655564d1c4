/** The search that every run of the tests ends with: it finds what it must, and says nothing more than where. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { search } from '../support/capture/search.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belfry-search-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const key = randomBytes(32)
const token = randomBytes(32).toString('base64url')
const write = async (captured: string) => {
  const secrets = [
    ['symmetric key', 'bytes', key],
    ['token', 'text', Buffer.from(token)],
  ] as const
  const lines = secrets.map(([kind, form, bytes]) => `${kind}\t${form}\t${bytes.toString('hex')}\n`)
  await writeFile(join(directory, 'secrets-7.txt'), lines.join(''))
  await writeFile(join(directory, 'log-7.txt'), `{"level":"info","msg":"Nothing"}\n${captured}\n`)
}

const planted: [string, string, string][] = [
  ['symmetric key', 'hex', key.toString('hex')],
  ['symmetric key', 'hex', key.toString('hex').toUpperCase()],
  ['symmetric key', 'hex', `0x${key.toString('hex')}`],
  ['symmetric key', 'base64', key.toString('base64')],
  ['symmetric key', 'base64url', key.toString('base64url')],
  ['symmetric key', 'numbers', JSON.stringify(key)],
  ['token', 'text', token],
  ['token', 'base64', Buffer.from(token).toString('base64')],
  ['token', 'hex', Buffer.from(token).toString('hex')],
  ['a JWT', 'text', `eyJhbGciOiJFZERTQSJ9.${token}.${token.split('').reverse().join('')}`],
  ['a bearer token', 'text', `authorization: Bearer ${token.split('').reverse().join('')}`],
]
it.each(planted)('finds a %s as %s', async (kind, form, text) => {
  // Among other things, within a word, and in the middle of a line.
  for (const line of [text, `{"msg":"${'ab'.repeat(40)} ${text}, and more"}`, `xyz/${text}=`]) {
    await write(line)
    const { findings } = await search(directory)
    // In both alphabets of base64 many a key is the same.
    const kinds = findings.map((one) => `${one.kind} ${one.form.replace('base64url', 'base64')}`)
    expect(kinds).toContain(`${kind} ${form.replace('base64url', 'base64')}`)
    expect(findings[0]).toMatchObject({ file: 'log-7.txt', line: 2 })
    expect(JSON.stringify(findings)).not.toContain(token)
    expect(JSON.stringify(findings)).not.toContain(key.toString('hex'))
  }
})

it('passes over topics, client ids, hidden fields and sentences about tokens', async () => {
  const topic = randomBytes(32).toString('hex')
  await write(
    `{"topic":"${topic}","clientId":"did:key:z6Mkh${'abc'.repeat(14)}","auth":"[hidden]","err":"[jwt] bearer [hidden]"}
     Authorization: Bearer <project secret>, at /srv/belfry/a-directory-of-some-length/and-another_one
     ${key.toString('hex').slice(0, 40)}${topic}`,
  )
  const { secrets, bytes, findings } = await search(directory)
  expect(findings).toEqual([])
  expect(secrets).toBe(2)
  expect(bytes).toBeGreaterThan(200)
})
