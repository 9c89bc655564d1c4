import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { readMetric } from '../support/metrics.ts'
import { newOwner } from '../support/owner.ts'
import { freePort } from '../support/process.ts'
import { newDevice } from '../support/story.ts'
import { startWorld, type World } from '../support/world.ts'

/** A notification that a wallet receives after its dapp sent it, and reads. */
const send = async (world: World) => {
  const app = await world.addApp('app.example.com', { types: [{ name: 'News' }] })
  const type = app.types[0]?.id ?? ''
  const owner = newOwner()
  const ask = async (method: string, path: string, body?: unknown) =>
    (await world.http(method, `/v1/${app.projectId}${path}`, { token: app.secret ?? '', body })).body
  const receipts = async () => Object(await ask('GET', '/notifications/n/receipts')).receipts
  const state = async (is: string) =>
    eventually(async () => expect(await receipts()).toMatchObject([{ account: owner.account, state: is }]))

  const first = newDevice(world, owner)
  await first.subscribe('app.example.com', [type])
  const kept = first.export()
  await first[Symbol.asyncDispose]()
  const notification = { type, title: 'Hello', body: 'from the tower' }
  await ask('POST', '/notify', [{ notification_id: 'n', notification, accounts: [owner.account] }])
  await state('published')

  const again = newDevice(world, owner, { state: kept })
  await state('delivered')
  expect(await ask('GET', '/notifications/n')).toMatchObject({
    status: 'done',
    counts: { queued: 0, published: 0, delivered: 1, read: 0, failed: 0 },
  })
  await again.markRead('app.example.com', 'all')
  await state('read')
  await again[Symbol.asyncDispose]()
  // Counted when the relay knows that it was answered, which is later.
  await eventually(async () =>
    expect(await readMetric(world.url, 'belfry_relay_watch_posts_total', { outcome: 'answered' })).toBe(1),
  )
}
/** How often something was posted to the server's own webhook. */
const posts = ({ url }: World) =>
  readMetric(url, 'belfry_http_requests_total', { route: '/v1/relay-webhook/delivered' })

it('a dapp sees its notification go out, arrive at a wallet, and be read; the relay of the process posts nothing', async () => {
  await using world = await startWorld({ config: { metrics: 'shared' } })
  await send(world)
  expect(await posts(world)).toBe(0)
})

it('so it does where the address for the relay was set, which is posted to', async () => {
  const port = await freePort()
  const relayWebhookUrl = `http://127.0.0.1:${port}`
  await using world = await startWorld({ config: { metrics: 'shared', port, relayWebhookUrl } })
  await send(world)
  // Again where an answer comes too late for the relay.
  await eventually(async () => expect(await posts(world)).toBeGreaterThan(0))
})
