import { createServer } from 'node:https'
import { afterEach, describe, expect, it } from 'vitest'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { createPublicFetch } from '../../src/platform/net/public-fetch.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { createApns } from '../../src/push/providers/apns.ts'
import { createFcm } from '../../src/push/providers/fcm.ts'
import { createHostPlaces } from '../../src/push/providers/host-places.ts'
import type { Provider, PushMessage } from '../../src/push/providers/provider.ts'
import { createProviderRequests } from '../../src/push/providers/request.ts'
import { createVapid, newVapidKey } from '../../src/push/providers/vapid.ts'
import { createWebPush } from '../../src/push/providers/web-push.ts'
import type { Address } from '../../src/push/store.ts'
import { startFakeApns } from '../support/push/fake-apns.ts'
import { startFakeFcm } from '../support/push/fake-fcm.ts'
import { startFakePushService } from '../support/push/fake-push-service.ts'
import { apnsCertificate, localCa, localTls } from '../support/push/local-tls.ts'

const TOPIC = 'a'.repeat(64)
const raw = { topic: TOPIC, id: 'b'.repeat(64), tag: 4002, message: 'AAECAw==' }
const pushOf = (body: PushMessage['body'] = { form: 'message', message: raw }): PushMessage => ({
  body,
  expiresAt: Date.now() + 3_600_000,
  isUrgent: true,
})
const never = new AbortController().signal
/** Stops a provider that hangs long before its own time-out. */
const soon = () => AbortSignal.timeout(300)

const owned = createReleaseStack()
const stack = { current: owned }
afterEach(async () => {
  await stack.current[Symbol.asyncDispose]()
  stack.current = createReleaseStack()
})
const use = <T extends AsyncDisposable | Disposable>(one: T): T => stack.current.use(one)

const send = (
  provider: Provider,
  address: Address,
  message: PushMessage = pushOf(),
  signal: AbortSignal = never,
) => provider.send({ address, projectId: 'p' }, message, signal)

const apnsWorld = async (certificate = false) => {
  let now = Date.now()
  const fake = use(await startFakeApns({ now: () => now }))
  const clock = { ...systemClock, now: () => now }
  const credentials = certificate
    ? { kind: 'certificate' as const, topic: fake.credentials.topic, ...apnsCertificate }
    : fake.credentials
  const urls = { production: fake.url, sandbox: fake.url }
  const provider = use(createApns({ clock, ca: localCa, urls }, credentials))
  const address = (token: string): Address => ({ provider: 'apns', token, isSandbox: false })
  return { fake, provider, address, clock, pass: (ms: number) => (now += ms) }
}

const fcmWorld = async () => {
  let now = Date.now()
  const fake = use(await startFakeFcm({ now: () => now }))
  const requests = use(createProviderRequests({ ca: localCa }))
  const clock = { ...systemClock, now: () => now }
  const provider = createFcm({ clock, requests, url: fake.url }, fake.credentials)
  const address = (token: string): Address => ({ provider: 'fcm', token })
  return { fake, provider, address, clock, requests, pass: (ms: number) => (now += ms) }
}

const webWorld = async (rules = addressRules(['true'])) => {
  const fake = use(await startFakePushService())
  const vapid = createVapid(
    { clock: systemClock },
    { key: await newVapidKey(), contact: 'https://push.example' },
  )
  const fetch = createPublicFetch({ rules, ca: localCa })
  const provider = createWebPush({
    fetch,
    places: createHostPlaces({ clock: systemClock }),
    vapid,
    clock: systemClock,
  })
  const address = ({ endpoint, keys } = fake.subscribe()): Address => ({
    provider: 'webpush',
    endpoint,
    ...keys,
  })
  return { fake, provider, address, vapid }
}

describe('APNs', () => {
  it('takes a push with a token of ours, made once for many, and sees what the published server sends', async () => {
    const { fake, provider, address } = await apnsWorld()
    const outcomes = await Promise.all(['1', '2', '3'].map((token) => send(provider, address(token))))
    expect(outcomes).toEqual(Array(3).fill({ kind: 'accepted' }))
    expect(fake.providerTokens.size).toBe(1)
    expect(fake.sessions()).toBe(1)
    expect(fake.pushes[0]?.payload).toEqual({
      aps: {
        alert: { title: 'You have new notifications. Open to view', body: 'New notifications' },
        'content-available': 1,
        'mutable-content': 1,
      },
      topic: TOPIC,
      tag: 4002,
      message: raw.message,
    })
  })

  it('is told by a client certificate who we are', async () => {
    const { fake, provider, address } = await apnsWorld(true)
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
    expect(fake.pushes[0]?.headers.authorization).toBeUndefined()
  })

  it('shows a legacy message in clear as it is, and carries an encrypted one as a blob', async () => {
    const { fake, provider, address } = await apnsWorld()
    const blob = Buffer.from(JSON.stringify({ title: 'Hello', body: 'World' })).toString('base64')
    const legacy = { form: 'legacy' as const, id: '1', topic: TOPIC }
    await send(provider, address('1'), pushOf({ ...legacy, flags: 0, blob }))
    await send(provider, address('1'), pushOf({ ...legacy, flags: 1, blob: 'AAEC' }))
    expect(fake.pushes[0]?.payload).toEqual({ aps: { alert: { title: 'Hello', body: 'World' } } })
    expect(fake.pushes[1]?.payload).toMatchObject({ topic: TOPIC, blob: 'AAEC' })
  })

  it('gets a new token after 50 minutes, not before', async () => {
    const { fake, provider, address, pass } = await apnsWorld()
    await send(provider, address('1'))
    pass(49 * 60_000)
    await send(provider, address('1'))
    expect(fake.providerTokens.size).toBe(1)
    pass(2 * 60_000)
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
    expect(fake.providerTokens.size).toBe(2)
  })

  it('says which answers end a device, which end the credentials, and which are for later', async () => {
    const { fake, provider, address } = await apnsWorld()
    const answered = async (status: number, reason: string, retryAfter?: number) => {
      fake.next.push({ status, reason, ...(retryAfter !== undefined && { retryAfter }) })
      return send(provider, address('1'))
    }
    for (const [status, reason] of [
      [410, 'Unregistered'],
      [400, 'BadDeviceToken'],
      [400, 'DeviceTokenNotForTopic'],
    ] as const)
      expect(await answered(status, reason)).toEqual({ kind: 'gone', reason })
    expect(await answered(403, 'InvalidProviderToken')).toMatchObject({ kind: 'refused', of: 'credentials' })
    expect(await answered(400, 'BadMessageId')).toMatchObject({ kind: 'refused', of: 'message' })
    expect(await answered(429, 'TooManyRequests', 7)).toMatchObject({ kind: 'later', afterMs: 7_000 })
    expect(await answered(503, 'Shutdown')).toMatchObject({ kind: 'later', isDown: true })
  })

  it('is asked later when it hangs, answers garbage or dies in the middle, and on a new connection', async () => {
    const { fake, provider, address } = await apnsWorld()
    for (const how of ['hang', 'garbage', 'die'] as const) {
      fake.next.push(how)
      expect(await send(provider, address('1'), pushOf(), soon())).toMatchObject({
        kind: 'later',
        isDown: true,
      })
      expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
    }
    fake.goAway()
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
  })

  it.each(['broken', 'endless'] as const)(
    'has taken a push whose 200 has a body that is %s',
    async (body) => {
      const { fake, provider, address } = await apnsWorld()
      fake.next.push({ status: 200, body }, { status: 403, body })
      expect(await send(provider, address('1'), pushOf(), soon())).toEqual({ kind: 'accepted' })
      // Why it is refused is in the body.
      expect(await send(provider, address('1'), pushOf(), soon())).toMatchObject({ kind: 'later' })
    },
  )

  it('tells a key that is none from a server that does not answer', async () => {
    const { fake } = await apnsWorld()
    const urls = { production: fake.url, sandbox: fake.url }
    const wrong = { ...fake.credentials, key: 'no key' }
    const provider = use(createApns({ clock: systemClock, ca: localCa, urls }, wrong))
    const address: Address = { provider: 'apns', token: '1', isSandbox: false }
    expect(await send(provider, address)).toMatchObject({ kind: 'refused', of: 'credentials' })
    const nowhere = { production: 'https://localhost:9', sandbox: 'https://localhost:9' }
    const alone = use(createApns({ clock: systemClock, ca: localCa, urls: nowhere }, fake.credentials))
    expect(await send(alone, address)).toMatchObject({ kind: 'later', isDown: true })
  })
})

describe('FCM', () => {
  it('exchanges a signed assertion for an access token once, and sends data as published', async () => {
    const { fake, provider, address } = await fcmWorld()
    const outcomes = await Promise.all(['1', '2', '3'].map((token) => send(provider, address(token))))
    expect(outcomes).toEqual(Array(3).fill({ kind: 'accepted' }))
    expect(fake.granted()).toBe(1)
    expect(fake.pushes[0]?.data).toEqual({ topic: TOPIC, tag: '4002', message: raw.message })
    expect(fake.pushes[0]?.android.priority).toBe('high')
  })

  it('asks for another access token when the one it has ends, or is taken back', async () => {
    const { fake, provider, address, pass } = await fcmWorld()
    await send(provider, address('1'))
    pass(3_600_000)
    await send(provider, address('1'))
    expect(fake.granted()).toBe(2)
    fake.revoke()
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
    expect(fake.granted()).toBe(3)
  })

  it('says which answers end a device, which end the credentials, and which are for later', async () => {
    const { fake, provider, address } = await fcmWorld()
    const answered = (status: number, reason?: string, retryAfter?: number) => {
      fake.next.push({
        status,
        ...(reason !== undefined && { reason }),
        ...(retryAfter !== undefined && { retryAfter }),
      })
      return send(provider, address('1'))
    }
    expect(await answered(404, 'UNREGISTERED')).toMatchObject({ kind: 'gone' })
    expect(await answered(403, 'SENDER_ID_MISMATCH')).toMatchObject({ kind: 'gone' })
    expect(await answered(403)).toMatchObject({ kind: 'refused', of: 'credentials' })
    expect(await answered(400)).toMatchObject({ kind: 'refused', of: 'message' })
    expect(await answered(429, 'QUOTA_EXCEEDED', 9)).toMatchObject({
      kind: 'later',
      afterMs: 9_000,
      isDown: true,
    })
    expect(await answered(503)).toMatchObject({ kind: 'later', isDown: true })
  })

  it('is asked later when it, or its token endpoint, hangs, answers garbage or dies in the middle', async () => {
    const { fake, provider, address } = await fcmWorld()
    for (const how of ['hang', 'garbage', 'die'] as const) {
      fake.next.push(how)
      expect(await send(provider, address('1'), pushOf(), soon())).toMatchObject({
        kind: 'later',
        isDown: true,
      })
    }
    fake.revoke()
    for (const how of ['garbage', 'die', { status: 503 }, { status: 200, body: 'broken' }] as const) {
      fake.grants.push(how)
      expect(await send(provider, address('1'))).toMatchObject({ kind: 'later', isDown: true })
    }
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
  })

  it.each(['broken', 'endless'] as const)(
    'has taken a push whose 200 has a body that is %s',
    async (body) => {
      const { fake, provider, address } = await fcmWorld()
      // With an access token, so that what ends is the send.
      await send(provider, address('1'))
      fake.next.push({ status: 200, body }, { status: 403, body })
      expect(await send(provider, address('1'), pushOf(), soon())).toEqual({ kind: 'accepted' })
      // Half an answer is not enough to stop the provider.
      expect(await send(provider, address('1'), pushOf(), soon())).toMatchObject({ kind: 'later' })
    },
  )

  it('waits no longer for an access token than a push may take, and has it for the next one', async () => {
    const { fake, provider, address } = await fcmWorld()
    let grant = () => {}
    const granting = new Promise<'ok'>((resolve) => {
      grant = () => resolve('ok')
    })
    fake.grants.push(granting)
    const ending = new AbortController()
    const sending = send(provider, address('1'), pushOf(), ending.signal)
    ending.abort()
    expect(await sending).toMatchObject({ kind: 'later', isDown: true })
    expect(await send(provider, address('1'), pushOf(), AbortSignal.abort())).toMatchObject({ kind: 'later' })
    expect(fake.granted()).toBe(0)
    grant()
    expect(await send(provider, address('1'))).toEqual({ kind: 'accepted' })
    expect(fake.granted()).toBe(1)
  })

  it('tells credentials that are refused', async () => {
    const { fake, clock, requests, address } = await fcmWorld()
    const other = { ...fake.credentials, client_email: 'nobody@example.org' }
    const provider = createFcm({ clock, requests, url: fake.url }, other)
    expect(await send(provider, address('1'))).toMatchObject({ kind: 'refused', of: 'credentials' })
  })
})

describe('Web Push', () => {
  const together = { form: 'together' as const, messages: [raw], more: 0 }

  it('is opened by another implementation, and signed by our VAPID key', async () => {
    const { fake, provider, address, vapid } = await webWorld()
    expect(await send(provider, address(), pushOf(together))).toEqual({ kind: 'accepted' })
    const [push] = fake.pushes
    expect(JSON.parse(push?.text ?? '')).toEqual({ v: 1, messages: [raw], more: 0 })
    expect(push?.vapidKey).toBe(vapid.publicKey)
    expect(push?.headers.urgency).toBe('high')
    expect(push?.body.includes(raw.message)).toBe(false)
  })

  it('has exactly the size that it is to have', async () => {
    const { fake, provider, address } = await webWorld()
    for (const padTo of [1_024, 2_048, 4_096]) {
      expect(await send(provider, address(), { ...pushOf(together), padTo })).toEqual({ kind: 'accepted' })
      expect(fake.pushes.at(-1)?.body.length).toBe(padTo)
    }
  })

  it('says which answers end a device and which are for later', async () => {
    const { fake, provider, address } = await webWorld()
    const answered = (status: number, retryAfter?: number) => {
      fake.next.push({ status, ...(retryAfter !== undefined && { retryAfter }) })
      return send(provider, address(), pushOf(together))
    }
    expect(await answered(410)).toMatchObject({ kind: 'gone' })
    expect(await answered(404)).toMatchObject({ kind: 'gone' })
    expect(await answered(413)).toMatchObject({ kind: 'refused', of: 'message' })
    expect(await answered(429, 3)).toMatchObject({ kind: 'later', afterMs: 3_000 })
    expect(await answered(500)).toMatchObject({ kind: 'later' })
    for (const how of ['hang', 'garbage', 'die'] as const) {
      fake.next.push(how)
      expect(await send(provider, address(), pushOf(together), soon())).toMatchObject({ kind: 'later' })
    }
  })

  it.each(['broken', 'endless'] as const)('takes the status for it where the body is %s', async (body) => {
    const { fake, provider, address } = await webWorld()
    for (const status of [201, 200, 202]) {
      fake.next.push({ status, body })
      expect(await send(provider, address(), pushOf(together), soon())).toEqual({ kind: 'accepted' })
    }
    fake.next.push({ status: 410, body })
    expect(await send(provider, address(), pushOf(together), soon())).toMatchObject({ kind: 'gone' })
  })

  it('asks no address inside our network, and nothing that is not https', async () => {
    const { fake, provider, address } = await webWorld(addressRules())
    expect(await send(provider, address(), pushOf(together))).toMatchObject({ kind: 'gone' })
    const plain = address({ ...fake.subscribe(), endpoint: 'http://127.0.0.1:9/push' })
    expect(await send(provider, plain, pushOf(together))).toMatchObject({ kind: 'gone' })
    expect(fake.pushes).toEqual([])
  })

  it('follows no redirect', async () => {
    const { provider, address, fake } = await webWorld()
    const server = createServer(localTls, (_, response) =>
      response.writeHead(307, { Location: `${fake.url}/push/x` }).end(),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const at = server.address()
    const endpoint = `https://localhost:${typeof at === 'object' ? at?.port : 0}/push`
    const outcome = await send(provider, address({ ...fake.subscribe(), endpoint }), pushOf(together))
    server.closeAllConnections()
    server.close()
    expect(outcome).toMatchObject({ kind: 'later' })
  })
})
