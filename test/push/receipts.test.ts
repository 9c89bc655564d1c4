import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { createWallet, fromNotifyServer } from '../../src/sdk/wallet.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { type PushWorld, startPushWorld } from '../support/push/push-world.ts'
import { netDeps } from '../support/world/wallets.ts'

const DOMAIN = 'app.example.com'
const owned = createReleaseStack()
let push: PushWorld
/** What the project's webhook was told. */
const events: { type: string; data: Record<string, unknown> }[] = []
let hookUrl: string

beforeAll(async () => {
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      events.push(JSON.parse(text))
      response.writeHead(200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  hookUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`
  const allowPrivateAddresses = { keys: [], webhooks: ['true'], did: [], push: ['true'] }
  push = owned.use(await startPushWorld({ config: { allowPrivateAddresses } }))
})
afterAll(() => owned[Symbol.asyncDispose]())

it('tells of a notification which provider took it, when, or why it refused, in receipts, counts and webhooks', async () => {
  const { world } = push
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News' }] })
  const type = app.types[0]?.id ?? ''
  const { secret, projectId } = app
  const token = secret ?? world.project.secret
  await world.http('POST', `/${projectId}/register-webhook`, {
    token,
    body: { url: hookUrl, events: ['pushed', 'refused'] },
  })
  const owner = newOwner()
  const start = (state?: unknown) =>
    createWallet({
      ...{ url: world.url, account: owner.account, sign: async (text: string) => owner.sign(text) },
      ...{ domain: 'wallet.test', allApps: true, resolveAppKeys: fromNotifyServer(netDeps, world.url) },
      ...(state !== undefined && { state }),
    })
  const wallet = start()
  await wallet.watch()
  await wallet.subscribe(DOMAIN)
  const subscription = push.web.subscribe()
  await wallet.push.register(subscription)
  await wallet[Symbol.asyncDispose]()

  const notify = async (id: string, title: string) => {
    const body = [
      { notification_id: id, notification: { type, title, body: 'b' }, accounts: [owner.account] },
    ]
    expect(await world.http('POST', `/v1/${projectId}/notify`, { token, body })).toMatchObject({
      status: 200,
    })
  }
  const of = async (id: string) => {
    const path = `/v1/${projectId}/notifications/${id}`
    const [counts, receipts] = await Promise.all([
      world.http('GET', path, { token }),
      world.http('GET', `${path}/receipts`, { token }),
    ])
    return { counts: counts.body, receipts: receipts.body }
  }
  await notify('one', 'First')
  await eventually(async () => {
    const { counts, receipts } = await of('one')
    expect(counts).toMatchObject({ push: { pushed: 1, refused: 0 } })
    expect(receipts).toMatchObject({
      receipts: [{ state: 'published', push: { state: 'pushed', provider: 'webpush' } }],
    })
  })
  push.web.of.set(subscription.endpoint, { status: 413 })
  await notify('two', 'Second')
  await eventually(async () => {
    const { counts, receipts } = await of('two')
    expect(counts).toMatchObject({ push: { pushed: 0, refused: 1 } })
    expect(receipts).toMatchObject({ receipts: [{ push: { state: 'refused', reason: 'HTTP 413' } }] })
  })
  await eventually(() => {
    const told = events.filter((one) => one.type === 'pushed' || one.type === 'refused')
    expect(told.map((one) => one.type).toSorted()).toEqual(['pushed', 'refused'])
    expect(told[0]?.data).toMatchObject({ provider: 'webpush' })
  })
})
