/** Traces as an operator gets them: an SDK is loaded before a server in a process of its own, and writes what ended. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createDapp } from '../../../src/sdk/dapp.ts'
import { createWallet } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { startServerProcess } from '../../support/process.ts'

const DOMAIN = 'app.example.com'

/** What an operator loads, with a file in the place of a collector. */
const sdkInto = (file: string): string => `
import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'
const require = createRequire(${JSON.stringify(pathToFileURL(resolve('package.json')).href)})
const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node')
const written = (span) => JSON.stringify({
  name: span.name, attributes: span.attributes, code: span.status.code,
  id: span.spanContext().spanId, parent: span.parentSpanContext?.spanId,
})
const exporter = {
  export(spans, done) {
    for (const span of spans) appendFileSync(${JSON.stringify(file)}, written(span) + '\\n')
    done({ code: 0 })
  },
  shutdown: async () => {},
}
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()
`

const Ended = z.object({
  name: z.string(),
  attributes: z.record(z.string(), z.union([z.string(), z.number()])),
  code: z.number(),
  id: z.string(),
  parent: z.string().optional(),
})

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-traces-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** A wallet subscribes and receives, a dapp is refused something. */
const live = async (url: string, token: string) => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ domain: DOMAIN, types: [{ name: 'News' }] })
  const added = await fetch(`${url}/admin/apps`, { method: 'POST', headers, body })
  const { projectId, secret, types } = z
    .object({ projectId: z.string(), secret: z.string(), types: z.tuple([z.object({ id: z.string() })]) })
    .parse(await added.json())
  const { account, sign } = newOwner()
  const wallet = createWallet({
    ...{ url, account, domain: 'wallet.example.com', allApps: true, trustServer: true },
    sign: async (text) => sign(text),
  })
  await using owned = wallet
  const received = new Promise((done) => owned.on('message', done))
  await owned.subscribe(DOMAIN)
  const dapp = createDapp({ url, projectId, secret, domain: DOMAIN })
  await dapp.notify({ type: types[0].id, title: 'Hello', body: 'there' }, [account])
  await received
  await expect(dapp.receipts('no-such-id')).rejects.toThrow()
  return { account, projectId, secret }
}

describe('traces', () => {
  it('show what a dapp and a wallet asked for and what became of it, and nothing that is theirs', async () => {
    const [file, script] = [join(dir, 'spans'), join(dir, 'tracing.mjs')]
    await writeFile(script, sdkInto(file))
    const data = join(dir, 'data')
    await using server = await startServerProcess(data, {
      env: { NODE_OPTIONS: `--import ${pathToFileURL(script).href}` },
    })
    const { token } = z
      .object({ token: z.string() })
      .parse(JSON.parse(await readFile(join(data, 'admin.json'), 'utf8')))
    const { account, projectId, secret } = await live(server.url, token)
    const spans = async () =>
      (await readFile(file, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => Ended.parse(JSON.parse(line)))
    const refused = await eventually(async () => {
      const all = await spans()
      const names = all.map(({ name }) => name)
      expect(names).toEqual(
        expect.arrayContaining([
          'POST /v1/:projectId/notify',
          'notify wc_notifySubscribe',
          'relay irn_publish',
          'outbox send',
        ]),
      )
      const found = all.find(({ attributes }) => attributes['http.response.status_code'] === 404)
      if (!found) throw new Error('The refused request has not ended')
      return found
    })
    expect(refused.attributes['http.route']).toMatch(/^\/v1\/:projectId\/notifications\/:/)
    const text = await readFile(file, 'utf8')
    for (const theirs of [account, account.slice(-40), projectId, secret, DOMAIN, '127.0.0.1', 'eyJ'])
      expect(text).not.toContain(theirs)
  })
})
