/** Webhooks close up: which events there are, who is called and who is not, and what a bad receiver does to others. */
import { createServer } from 'node:net'
import { expect, it } from 'vitest'
import { createVault } from '../../../src/notify/apps/vault.ts'
import type { WebhookEvent } from '../../../src/notify/store/webhooks.ts'
import { pauseAfter } from '../../../src/notify/webhooks/calls.ts'
import { createWebhooks } from '../../../src/notify/webhooks/service.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { eventually } from '../../support/eventually.ts'
import { runningTimeOf } from '../../support/running-time.ts'
import { type Received, signatureOf, startReceiver } from '../../support/webhook-receiver.ts'
import { DOMAIN, startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import type { Device } from '../support/wallet.ts'

const [NEWS = ''] = TYPES.map(({ id }) => id)
const ALL: WebhookEvent[] = ['subscribed', 'unsubscribed', 'updated', 'delivered', 'read']
const DAY = 86_400_000

const subscribed = async (world: TestNotify, device: Device) => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  return fromHex((claims.sbs as View[])[0]?.symKey ?? '')
}
const told = (calls: readonly Received[]) =>
  calls.map(({ event: { type, data } }) => {
    const { account: _, app_domain: __, ...rest } = data
    return { type, ...rest }
  })
/** The worker must look again, for what was put off or is due; but no call's lease may end while it is under way. */
const afterLooks = (world: TestNotify, check: () => void | Promise<void>) =>
  eventually(async () => {
    await world.hands.advance(1_000)
    await eventually(check, 250)
  })
const fact = (world: TestNotify, n: number) => ({
  id: `delivered:copy-${n}`,
  task: {
    kind: 'event' as const,
    event: 'delivered' as const,
    domain: DOMAIN,
    subscriptionId: 's',
    account: 'eip155:1:0x0000000000000000000000000000000000000001',
    detail: { message_ids: [`copy-${n}`], notification_ids: [`n-${n}`] },
  },
  createdAt: world.clock.now(),
  expiresAt: world.clock.now() + 30 * DAY,
})

it('tells of each change once, in the words of the dapp', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver()
  await world.webhooks.register(world.project.id, { url: receiver.url, events: ALL })
  const device = world.newDevice()
  const key = await subscribed(world, device)
  await world.publishing.notify(world.project.id, [
    {
      notificationId: 'mine',
      notification: { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null },
      accounts: [device.account],
    },
  ])
  const history = await world.ask(device.ask(4014, world.app, key, { lmt: 1, aft: null, urf: false }))
  const [{ id: messageId }] = history.claims.nfs as [{ id: string }]
  await world.ask(device.ask(4016, world.app, key, { all: false, ids: [messageId, 'unknown'] }))
  // Nothing is unread any more: nothing to tell.
  await world.ask(device.ask(4016, world.app, key, { all: true }))
  await world.ask(device.subscribe(world.app, []))
  await world.ask(device.ask(4008, world.app, key, { scp: NEWS }))
  await world.ask(device.ask(4004, world.app, key))
  await afterLooks(world, () => expect(receiver.calls.length).toBeGreaterThanOrEqual(5))
  expect(told(receiver.calls)).toHaveLength(5)
  expect(told(receiver.calls)).toEqual(
    expect.arrayContaining([
      { type: 'subscribed', scope: [NEWS] },
      { type: 'updated', scope: [] },
      { type: 'updated', scope: [NEWS] },
      { type: 'unsubscribed', reason: 'deleted' },
    ]),
  )
  const read = receiver.calls.find(({ event }) => event.type === 'read')
  expect(read?.event.data).toMatchObject({ by: 'wallet', message_ids: [messageId, 'unknown'] })
})

it('names what was read by the ids that the dapp gave, and says who marked all', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver()
  await world.webhooks.register(world.project.id, { url: receiver.url, events: ['read'] })
  const device = world.newDevice()
  const key = await subscribed(world, device)
  const send = (notificationId: string) =>
    world.publishing.notify(world.project.id, [
      {
        notificationId,
        notification: { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null },
        accounts: [device.account],
      },
    ])
  await send('first')
  const history = await world.ask(device.ask(4014, world.app, key, { lmt: 1, aft: null, urf: false }))
  const [{ id: messageId }] = history.claims.nfs as [{ id: string }]
  await world.ask(device.ask(4016, world.app, key, { all: false, ids: [messageId] }))
  await afterLooks(world, () =>
    expect(told(receiver.calls)).toEqual([
      { type: 'read', by: 'wallet', message_ids: [messageId], notification_ids: ['first'] },
    ]),
  )
  await send('second')
  await world.publishing.markAllAsRead(world.project.id)
  await afterLooks(world, () =>
    expect(told(receiver.calls).slice(1)).toEqual([{ type: 'read', by: 'project', all: true }]),
  )
})

it('tells that a subscription has expired, also when the same account subscribes before it is swept', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver()
  await world.webhooks.register(world.project.id, { url: receiver.url, events: ['unsubscribed'] })
  const [one, two] = [world.newDevice(), world.newDevice()]
  await subscribed(world, one)
  await subscribed(world, two)
  await world.hands.advance(30 * DAY)
  await subscribed(world, one)
  await afterLooks(world, () => expect(receiver.calls.length).toBeGreaterThanOrEqual(2))
  expect(told(receiver.calls)).toEqual([
    { type: 'unsubscribed', reason: 'expired' },
    { type: 'unsubscribed', reason: 'expired' },
  ])
  expect(receiver.calls.map(({ event }) => event.data.account).sort()).toEqual(
    [one.account, two.account].sort(),
  )
})

it('tells of a delivery under one id, however often it is reported', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver()
  await using deaf = await startReceiver()
  await world.webhooks.register(world.project.id, { url: receiver.url, events: ['delivered'] })
  await world.webhooks.register(world.project.id, { url: deaf.url, events: ['read'] })
  for (let time = 0; time < 3; time++) await world.webhooks.expand(fact(world, 1))
  await world.webhooks.expand(fact(world, 2))
  const first = { type: 'delivered', message_ids: ['copy-1'], notification_ids: ['n-1'] }
  const second = { type: 'delivered', message_ids: ['copy-2'], notification_ids: ['n-2'] }
  await afterLooks(world, () => {
    expect(told(receiver.calls)).toContainEqual(first)
    expect(told(receiver.calls)).toContainEqual(second)
  })
  expect(new Set(receiver.calls.map(({ id }) => id)).size).toBe(2)
  expect(deaf.calls).toEqual([])
})

it('writes nothing for events that nobody listens to', async () => {
  await using world = await startNotify()
  await world.webhooks.register(world.project.id, { url: 'http://127.0.0.1:1/', events: ['read'] })
  await subscribed(world, world.newDevice())
  await world.settled()
  expect([...world.recorder.counts.keys()].filter((key) => key.includes(' event '))).toEqual([])
})

it('another process hears of a new webhook within a second', async () => {
  await using world = await startNotify()
  const other = createWebhooks({
    ...{ store: world.store, jobQueue: world.jobQueue, clock: world.clock },
    ...{ vault: createVault(new Uint8Array(32)), randomBytes: (length) => new Uint8Array(length) },
    checkUrl: async () => {},
  })
  expect(await other.wants(DOMAIN, 'read')).toBe(false)
  await world.webhooks.register(world.project.id, { url: 'http://127.0.0.1:1/', events: ['read'] })
  expect(await world.webhooks.wants(DOMAIN, 'read')).toBe(true)
  await world.hands.advance(1_000)
  expect(await other.wants(DOMAIN, 'read')).toBe(true)
  expect(await other.wants(DOMAIN, 'updated')).toBe(false)
})

it('pauses 5 s, 10 s, 20 s … 6 h, and gives up after three days', () => {
  expect([1, 2, 3, 12, 13, 14].map(pauseAfter)).toEqual([
    5_000, 10_000, 20_000, 10_240_000, 20_480_000, 21_600_000,
  ])
  const pauses: number[] = []
  for (let pause = pauseAfter(1); pause !== undefined; pause = pauseAfter(pauses.length + 1))
    pauses.push(pause)
  const total = pauses.reduce((sum, pause) => sum + pause, 0)
  expect(total).toBeLessThanOrEqual(3 * DAY)
  expect(total).toBeGreaterThan(3 * DAY - 21_600_000)
})

it('makes a dead letter of what nobody took for three days, which can be replayed', async () => {
  await using world = await startNotify()
  let status = 503
  await using receiver = await startReceiver(() => status)
  const { id: projectId } = world.project
  const { id } = await world.webhooks.register(projectId, { url: receiver.url, events: ['delivered'] })
  await world.webhooks.expand(fact(world, 1))
  const dead = () => world.webhooks.deadLetters(projectId, id, { limit: 10 })
  const tried = async () => {
    const [waiting] = await world.jobQueue.list('webhooks', { group: id, dead: false, limit: 1 })
    return waiting?.attempts ?? Number.POSITIVE_INFINITY
  }
  while ((await dead()).length === 0) {
    const before = await tried()
    if (before > 0) await world.hands.advance(6 * 3_600_000)
    await afterLooks(world, async () => expect(await tried()).toBeGreaterThan(before))
  }
  const [letter] = await dead()
  expect(letter).toMatchObject({ failure: 'it answered 503', attempts: receiver.calls.length })
  expect(letter?.id).toBe(receiver.calls[0]?.id)
  status = 200
  await expect(world.webhooks.replay(projectId, id, 'unknown')).rejects.toMatchObject({ code: 'not_found' })
  await world.webhooks.replay(projectId, id, letter?.id ?? '')
  await afterLooks(world, () => expect(receiver.taken()).toHaveLength(1))
  expect(await dead()).toEqual([])
  await expect(world.webhooks.replay(projectId, id, letter?.id ?? '')).rejects.toMatchObject({
    code: 'not_found',
  })
})

it('signs with both secrets for a day after a rotation, then with the new one', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver()
  const { id: projectId } = world.project
  const first = await world.webhooks.register(projectId, { url: receiver.url, events: ['delivered'] })
  const { secret = '' } = await world.webhooks.change(projectId, first.id, { rotateSecret: true })
  expect(secret).not.toBe(first.secret)
  await world.webhooks.expand(fact(world, 1))
  await afterLooks(world, () => expect(receiver.calls).toHaveLength(1))
  await world.hands.advance(DAY)
  await world.webhooks.expand(fact(world, 2))
  await afterLooks(world, () => expect(receiver.calls).toHaveLength(2))
  const [during, after] = receiver.calls
  if (!during || !after) throw new Error('there are two')
  expect(during.signatures).toEqual([signatureOf(secret, during), signatureOf(first.secret, during)])
  expect(after.signatures).toEqual([signatureOf(secret, after)])
})

it('keeps no secret in clear', async () => {
  await using world = await startNotify()
  const { id: projectId } = world.project
  const url = 'http://127.0.0.1:1/'
  const { id, secret } = await world.webhooks.register(projectId, { url, events: ['read'] })
  const { secret: next = '' } = await world.webhooks.change(projectId, id, { rotateSecret: true })
  const kept = JSON.stringify(await world.store.webhooks(projectId))
  for (const shown of [secret, next]) expect(kept).not.toContain(shown.slice('whsec_'.length))
})

it('a webhook that is taken away is called no more, and what waited is gone', async () => {
  await using world = await startNotify()
  await using receiver = await startReceiver(() => 500)
  const { id: projectId } = world.project
  const { id } = await world.webhooks.register(projectId, { url: receiver.url, events: ['delivered'] })
  await world.webhooks.expand(fact(world, 1))
  await afterLooks(world, () => expect(receiver.calls).toHaveLength(1))
  await world.webhooks.remove(projectId, id)
  await world.webhooks.expand(fact(world, 2))
  await world.hands.advance(60_000)
  expect(await world.jobQueue.count('webhooks', id)).toEqual({ waiting: 0, dead: 0 })
  expect(receiver.calls).toHaveLength(1)
  await expect(world.webhooks.remove(projectId, id)).rejects.toMatchObject({ code: 'not_found' })
})

it('an address that has come to lie inside is not called', async () => {
  await using world = await startNotify()
  const { id: projectId } = world.project
  const { id } = await world.webhooks.register(projectId, {
    url: 'http://127.0.0.1:1/',
    events: ['delivered'],
  })
  const { version, webhooks } = await world.store.webhooks(projectId)
  // As if its name led elsewhere since.
  const moved = webhooks.map((one) => ({ ...one, url: 'http://127.0.0.2:1/' }))
  await world.store.commitWebhooks({ projectId, expectedVersion: version, webhooks: moved })
  await world.webhooks.expand(fact(world, 1))
  await afterLooks(world, async () => {
    const [job] = await world.jobQueue.list('webhooks', { group: id, dead: false, limit: 1 })
    expect(job?.attempts).toBe(1)
  })
  expect(world.recorder.counts.get('notify_webhook_calls_total failed')).toBe(1)
})

it('one that never answers, with a long queue, does not delay another', { timeout: 60_000 }, async () => {
  await using world = await startNotify({ clock: systemClock })
  const { id: projectId } = world.project
  // Takes connections and says nothing.
  const sockets = new Set<{ destroy(): void }>()
  const mute = createServer((socket) => void sockets.add(socket.on('error', () => {})))
  await new Promise<void>((done) => mute.listen(0, '127.0.0.1', done))
  const address = mute.address()
  const port = address && typeof address === 'object' ? address.port : 0
  const slow = await world.webhooks.register(projectId, {
    url: `http://127.0.0.1:${port}/`,
    events: ['delivered'],
  })
  await Promise.all(Array.from({ length: 500 }, (_, n) => world.webhooks.expand(fact(world, n))))
  await using receiver = await startReceiver()
  await world.webhooks.register(projectId, { url: receiver.url, events: ['read', 'delivered'] })
  const waited = await runningTimeOf(async () => {
    await world.webhooks.expand(fact(world, 1_000))
    await eventually(() => expect(receiver.taken()).toHaveLength(1))
  })
  // It would be ten seconds if it had to wait for one of the others.
  expect(waited).toBeLessThan(8_000)
  expect(sockets.size).toBeLessThanOrEqual(4)
  expect((await world.jobQueue.count('webhooks', slow.id)).waiting).toBeGreaterThan(490)
  for (const socket of sockets) socket.destroy()
  await new Promise((done) => mute.close(done))
})
