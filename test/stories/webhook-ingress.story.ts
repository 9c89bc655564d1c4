/** A notify server without a connection to the relay: messages come to it as signed events. */
import { expect, it } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { ed25519Did } from '../../src/protocol/did.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { startReceiver } from '../support/receiver.ts'
import { startRedis } from '../support/redis.ts'
import { type EnrolledApp, enrol, newDevice, postNotification, temporaryHome } from '../support/story.ts'
import { startWorld, type World } from '../support/world.ts'

const DOMAIN = 'webhook.example.com'

const addApp = async (world: World): Promise<EnrolledApp> => {
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News' }, { name: 'Alerts' }] })
  return { ...app, projectId: world.project.id, secret: world.project.secret }
}

it('serves a wallet and a dapp in one process, over restarts', { timeout: 60_000 }, async () => {
  await using world = await startWorld({ config: { notifyIngress: 'webhook' } })
  const app = await addApp(world)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const owner = newOwner()
  await using phone = newDevice(world, owner)
  await using laptop = newDevice(world, owner)
  const received: string[] = []
  phone.on('message', ({ notification }) => void received.push(notification.body))
  const seen: string[][] = []
  laptop.on('changed', (subscriptions) => void seen.push(subscriptions.flatMap(({ scope }) => scope).sort()))

  await laptop.watch()
  await phone.subscribe(DOMAIN, [news])
  await eventually(() => expect(seen.at(-1)).toEqual([news]))
  await postNotification(world, app, { id: 'n-1', body: 'first', accounts: [owner.account] })
  await eventually(() => expect(received).toEqual(['first']))

  await world.restart()
  expect([...(await phone.update(DOMAIN, [news, alerts])).scope].sort()).toEqual([news, alerts].sort())
  await postNotification(world, app, { id: 'n-2', body: 'second', accounts: [owner.account] })
  await eventually(() => expect(received).toEqual(['first', 'second']))
  await phone.delete(DOMAIN)
  await eventually(() => expect(seen.at(-1)).toEqual([]))

  const text = await world.metrics.text()
  expect(text).not.toMatch(/^belfry_relay_client_connects_total [1-9]/m)
  expect(text).toMatch(/^belfry_notify_relay_events_total\{outcome="taken"\} [1-9]/m)
})

it('refuses events that the relay did not sign, at the address of the reference', async () => {
  await using world = await startWorld({ config: { notifyIngress: 'webhook' } })
  const stranger = generateSigningKey()
  const iat = Math.floor(Date.now() / 1000)
  const claims = { act: 'irn_watchEvent', aud: world.server.url, sub: stranger.did, evt: {} }
  const eventAuth = [signJwt({ iss: stranger.did, iat, exp: iat + 300, ...claims }, stranger)]
  const answer = await world.http('POST', '/v1/relay-webhook', { body: { eventAuth } })
  expect(answer).toMatchObject({ status: 401, body: { code: 'jwt_invalid' } })
  await using other = await startWorld({ config: { delivered: false } })
  expect((await other.http('POST', '/v1/relay-webhook', { body: { eventAuth } })).status).toBe(404)
})

it.each(['socket', 'webhook'] as const)(
  'hears from the relay what wallets have received (ingress: %s)',
  { timeout: 60_000 },
  async (notifyIngress) => {
    await using world = await startWorld({ config: { notifyIngress } })
    const app = await addApp(world)
    const owner = newOwner()
    await using phone = newDevice(world, owner)
    await phone.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
    const before = Date.now()
    await postNotification(world, app, { id: 'n-1', body: 'hello', accounts: [owner.account] })
    await eventually(async () => {
      const path = `/v1/${app.projectId}/notifications/n-1/receipts`
      const { body } = await world.http('GET', path, { token: app.secret })
      const receipt = {
        account: owner.account,
        state: 'delivered',
        at: expect.toSatisfy((at) => Date.parse(at) >= before),
      }
      expect(body).toMatchObject({ receipts: [receipt] })
    })
  },
)

it.concurrent('loses nothing when notify servers and relays are killed', { timeout: 240_000 }, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url, { env: { BELFRY_NOTIFY_INGRESS: 'webhook' } })
  const [first, second] = fleet.notifies
  const [relay, otherRelay] = fleet.relays
  if (!first || !second || !relay || !otherRelay) throw new Error('there are two of each')
  const app = await enrol(first.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const owner = newOwner()
  // What a relay holds that is killed is free again after 20 s, and four processes take a while to start.
  const patient = { requestTimeout: 60_000 }
  await using phone = newDevice({ url: first.url, wsUrl: relay.wsUrl }, owner, patient)
  await using laptop = newDevice({ url: first.url, wsUrl: otherRelay.wsUrl }, owner)
  const received = [phone, laptop].map((device) => {
    const bodies: string[] = []
    device.on('message', ({ notification }) => void bodies.push(notification.body))
    return bodies
  })
  await laptop.watch()
  await phone.subscribe(DOMAIN, [news])
  await postNotification(second, app, { id: 'n-1', body: 'first', accounts: [owner.account] })
  await eventually(() => {
    for (const bodies of received) expect(bodies).toEqual(['first'])
  })

  // Nobody serves: what is asked waits at the relay, over the relay's death, too.
  await Promise.all(fleet.notifies.map(({ process }) => process.end('SIGKILL')))
  const updated = phone.update(DOMAIN, [news, alerts])
  await eventually(async () => {
    const waiting = await redis.cli('--scan', '--pattern', '*{relay-events-trusted}jobs.waiting:')
    expect(waiting).toContain('relay-events-trusted')
    expect(await redis.cli('hlen', 'belfry:{relay-events-trusted}jobs.waiting:')).not.toBe('0')
  })
  await relay.restart()
  await otherRelay.restart()
  await Promise.all(fleet.notifies.map((member) => member.restart()))
  expect([...(await updated).scope].sort()).toEqual([news, alerts].sort())
  await postNotification(first, app, { id: 'n-2', body: 'second', accounts: [owner.account] })
  await eventually(() => {
    for (const bodies of received) expect(bodies).toEqual(['first', 'second'])
  }, 60_000)
})

it.concurrent('tells after a SIGKILL what the relay had answered for before', {
  timeout: 240_000,
}, async () => {
  await using home = await temporaryHome()
  let signer = ''
  await using receiver = await startReceiver({ signer: () => signer })
  receiver.otherwise = 503
  const port = await freePort()
  const env = { BELFRY_NOTIFY_INGRESS: 'webhook', BELFRY_RELAY_WEBHOOK_URL: receiver.url }
  let server = await startServerProcess(home.path, { port, env })
  const relayKey = async () => ed25519Did(fromHex(await (await fetch(`${server.url}/public-key`)).text()))
  signer = await relayKey()
  const { projectId, secret } = await enrol(home.path, DOMAIN)
  const answer = await fetch(`${server.url}/${projectId}/subscribe-topic`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ appDomain: DOMAIN }),
  })
  const { subscribeKey } = z.object({ subscribeKey: z.string() }).parse(await answer.json())
  const topic = topicOf(fromHex(subscribeKey))

  const deps = { clock: systemClock, log: silent, meter: unmeasured }
  await using stranger = createRelayClient(deps, { url: server.wsUrl, key: generateSigningKey() })
  const beganAt = Date.now()
  const messages = Array.from({ length: 50 }, (_, at) => Buffer.from(`nonsense ${at}`).toString('base64'))
  for (const [at, message] of messages.entries()) {
    await stranger.publish({ topic, message, tag: 4000, ttl: 3_600 })
    // In the middle of it all, right after an answer.
    if (at % 20 !== 19) continue
    await server.end('SIGKILL')
    server = await startServerProcess(home.path, { port, env })
  }
  expect(receiver.events()).toEqual([])
  await server.end('SIGKILL')
  receiver.otherwise = 200
  server = await startServerProcess(home.path, { port, env })
  await eventually(
    () => {
      expect([...new Set(receiver.events().map(({ evt }) => evt.message))].sort()).toEqual(
        [...messages].sort(),
      )
      // What the killed one held is free after 20 s, and a pause is as long as all that were before it, and a second.
    },
    30_000 + 2 * (Date.now() - beganAt),
  )
  expect(await relayKey()).toBe(signer)
  await server[Symbol.asyncDispose]()
})
