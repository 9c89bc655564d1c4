/** The dashboard before a real Prometheus, which reads a running server: each of its queries finds something. */
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import * as z from 'zod'
import { createReleaseStack, type ReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { createDapp } from '../../src/sdk/dapp.ts'
import { createWallet } from '../../src/sdk/wallet.ts'
import { findOrInstall, INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { temporaryHome } from '../support/story.ts'
import { startReceiver } from '../support/webhook-receiver.ts'

const DOMAIN = 'app.example.com'
const Access = z.object({ token: z.string() })
const App = z.object({
  projectId: z.string(),
  secret: z.string(),
  types: z.array(z.object({ id: z.string() })),
})
const Answer = z.object({ status: z.literal('success'), data: z.object({ result: z.array(z.unknown()) }) })
const Dashboard = z.object({
  panels: z.array(
    z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) }),
  ),
})

const startPrometheus = async (owned: ReleaseStack, home: string, target: string): Promise<string> => {
  const program = await findOrInstall({
    variable: 'PROMETHEUS',
    names: ['prometheus'],
    package: 'prometheus',
  })
  await mkdir(join(home, 'tsdb'))
  const file = join(home, 'prometheus.yml')
  await writeFile(
    file,
    `scrape_configs:\n  - job_name: belfry\n    scrape_interval: 1s\n    static_configs:\n      - targets: ['${target}']\n`,
  )
  const port = await freePort()
  const child = spawn(
    program,
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(home, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  )
  const ended = new Promise((done) => child.once('exit', done))
  owned.defer(async () => {
    child.kill('SIGTERM')
    await ended
  })
  return `http://127.0.0.1:${port}`
}

/** Something of everything that the dashboard shows. */
const makeTraffic = async (owned: ReleaseStack, url: string, token: string): Promise<void> => {
  const post = async (path: string, body: unknown, bearer?: string): Promise<unknown> => {
    const headers = {
      'content-type': 'application/json',
      ...(bearer && { authorization: `Bearer ${bearer}` }),
    }
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    expect([path, answer.status]).toEqual([path, expect.toSatisfy((status) => status < 300)])
    return answer.headers.get('content-type')?.includes('json') ? answer.json() : undefined
  }
  const receiver = owned.use(await startReceiver())
  const { projectId, secret, types } = App.parse(
    await post('/admin/apps', { domain: DOMAIN, types: [{ name: 'News', description: '' }] }, token),
  )
  await post(`/${projectId}/register-webhook`, { url: receiver.url, events: ['delivered'] }, secret)
  const dapp = createDapp({ url, projectId, secret })
  const owner = newOwner()
  const sign = async (text: string) => owner.sign(text)
  const wallet = owned.use(createWallet({ url, account: owner.account, domain: DOMAIN, sign }))
  const type = types[0]?.id ?? ''
  await wallet.subscribe(DOMAIN, [type])
  const notify = () => dapp.notify({ type, title: 'Hello', body: 'there' }, [owner.account])
  await notify()
  await eventually(() => expect(receiver.calls.length).toBeGreaterThan(0))
  // A closed wallet is pushed to.
  const client = signingKeyFrom(fromHex(wallet.export().clientSeed)).did
  await post('/clients', { client_id: client, type: 'noop', token: 'x', always_raw: true })
  await wallet[Symbol.asyncDispose]()
  await notify()
  const refused = new WebSocket(`${url.replace('http', 'ws')}/?auth=junk`)
  await new Promise((done) => refused.on('error', done))
}

it('every query of the dashboard finds a series', { timeout: INSTALL_TIMEOUT + 120_000 }, async () => {
  const owned = createReleaseStack()
  await using _ = { [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
  const home = owned.use(await temporaryHome())
  const metrics = await freePort()
  const server = owned.use(
    await startServerProcess(home.path, {
      metrics: String(metrics),
      env: { BELFRY_ALLOW_PRIVATE_ADDRESSES: 'true' },
    }),
  )
  const { token } = Access.parse(JSON.parse(await readFile(join(home.path, 'admin.json'), 'utf8')))
  const prometheus = await startPrometheus(owned, home.path, `127.0.0.1:${metrics}`)
  const { panels } = Dashboard.parse(JSON.parse(await readFile('deploy/grafana/belfry.json', 'utf8')))
  const queries = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })))
  expect(queries.length).toBeGreaterThan(25)

  const found = async (expr: string): Promise<boolean> => {
    const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')
    const answer = await fetch(`${prometheus}/api/v1/query?${new URLSearchParams({ query })}`)
    return Answer.parse(await answer.json()).data.result.length > 0
  }
  await eventually(async () => expect(await found('up')).toBe(true))
  await makeTraffic(owned, server.url, token)
  await eventually(async () => {
    const empty: string[] = []
    for (const { title, expr } of queries) if (!(await found(expr))) empty.push(`${title}: ${expr}`)
    expect(empty).toEqual([])
  })
})
