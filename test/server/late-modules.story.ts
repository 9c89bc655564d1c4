/**
 * What the built server loads late, when it is first needed, is loaded: with the code cache of the build too, from which V8
 * runs no `import()`.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startServerProcess } from '../support/process.ts'

it('a server with a code cache begins to register a passkey', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-late-'))
  await using server = await startServerProcess(dir)
  const { url, token } = JSON.parse(await readFile(join(dir, 'admin.json'), 'utf8'))
  const fromPage = { origin: url, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
  const ask = (path: string, body: object, headers: object = {}) =>
    fetch(server.url + path, {
      method: 'POST',
      headers: { ...fromPage, ...headers },
      body: JSON.stringify(body),
    })
  const signedIn = await ask('/console/session', { token })
  const [cookie = ''] = (signedIn.headers.get('set-cookie') ?? '').split(';')
  const begun = await ask('/console/passkeys/begin', {}, { cookie })
  expect({ status: begun.status, body: await begun.json() }).toMatchObject({
    status: 200,
    body: { challenge: expect.any(String) },
  })
  await server.end('SIGTERM')
  await rm(dir, { recursive: true })
})

it('the bundles have no import() of their own', async () => {
  for (const bundle of ['program.cjs', 'mcp.cjs']) {
    const text = await readFile(join('dist/cli', bundle), 'utf8')
    expect(text.match(/\bimport\(["'`][^)]*\)/g)).toBeNull()
  }
})
