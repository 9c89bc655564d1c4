/** One device must not stop a provider for all others, and what can never be used is refused when it is set. */
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { DAY_MS } from '../../src/platform/units.ts'
import { createApns } from '../../src/push/providers/apns.ts'
import { createFcm } from '../../src/push/providers/fcm.ts'
import type { Provider } from '../../src/push/providers/provider.ts'
import { createProviderRequests } from '../../src/push/providers/request.ts'
import type { Address } from '../../src/push/store.ts'
import { startFakeApns } from '../support/push/fake-apns.ts'
import { startFakeFcm } from '../support/push/fake-fcm.ts'
import { apnsCertificate, localCa } from '../support/push/local-tls.ts'

let owned = createReleaseStack()
afterEach(async () => {
  await owned[Symbol.asyncDispose]()
  owned = createReleaseStack()
})

const send = (
  provider: Provider,
  address: Address,
  { lifeMs = 60_000, signal = new AbortController().signal } = {},
) =>
  provider.send(
    { address, projectId: 'p' },
    {
      body: { form: 'message', message: { topic: 'a'.repeat(64), id: 'b'.repeat(64), tag: 4002 } },
      expiresAt: Date.now() + lifeMs,
      isUrgent: true,
    },
    signal,
  )

describe('FCM', () => {
  const open = async () => {
    const fake = owned.use(await startFakeFcm())
    const requests = owned.use(createProviderRequests({ ca: localCa }))
    const provider = createFcm({ clock: systemClock, requests, url: fake.url }, fake.credentials)
    return { fake, provider, address: { provider: 'fcm', token: '1' } as const }
  }

  it('takes a message that lives for longer than Google keeps one', async () => {
    const { fake, provider, address } = await open()
    expect(await send(provider, address, { lifeMs: 30 * DAY_MS })).toEqual({ kind: 'accepted' })
    expect(fake.pushes[0]?.android.ttl).toBe('2419200s')
  })

  it('is not stopped by a device of a platform that this Firebase project does not serve', async () => {
    const { fake, provider, address } = await open()
    fake.always = { status: 401, reason: 'THIRD_PARTY_AUTH_ERROR' }
    expect(await send(provider, address)).toMatchObject({ kind: 'refused', of: 'message' })
    expect(fake.granted()).toBe(1)
  })

  it('tells too many messages for one device from too many of the project', async () => {
    const { fake, provider, address } = await open()
    const quota = (description: string) => ({
      ...{ status: 429, reason: 'QUOTA_EXCEEDED' },
      details: [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [{ description }] }],
    })
    fake.next.push(quota('Device message rate exceeded'), quota('Message rate exceeded'))
    expect(await send(provider, address)).toMatchObject({ kind: 'later', isDown: false })
    expect(await send(provider, address)).toMatchObject({ kind: 'later', isDown: true })
  })
})

describe('APNs', () => {
  const open = async () => {
    const fake = owned.use(await startFakeApns())
    const urls = { production: fake.url, sandbox: fake.url }
    const provider = owned.use(createApns({ clock: systemClock, ca: localCa, urls }, fake.credentials))
    const address = (isSandbox: boolean) => ({ provider: 'apns', token: '1', isSandbox }) as const
    return { fake, urls, provider, address }
  }

  it('is not stopped by a device that names the environment that the credentials are not for', async () => {
    const { fake, provider, address } = await open()
    for (const reason of ['BadEnvironmentKeyInToken', 'BadCertificateEnvironment']) {
      fake.next.push({ status: 403, reason })
      expect(await send(provider, address(true))).toMatchObject({ kind: 'refused', of: 'environment' })
    }
  })

  it('is not down for all others where its sandbox is', async () => {
    const { fake, urls, address } = await open()
    const apart = { ...urls, sandbox: 'https://localhost:9' }
    const provider = owned.use(createApns({ clock: systemClock, ca: localCa, urls: apart }, fake.credentials))
    expect(await send(provider, address(true))).toMatchObject({ kind: 'later', isDown: false })
    expect(await send(provider, address(false))).toEqual({ kind: 'accepted' })
  })

  it('asks for nothing once the time for all messages of a push is over', async () => {
    const { fake, provider, address } = await open()
    fake.always = 'hang'
    expect(await send(provider, address(false), { signal: AbortSignal.abort() })).toMatchObject({
      kind: 'later',
    })
    expect(fake.requests()).toBe(0)
  })

  it('says of a certificate that cannot be opened that it is refused', async () => {
    const { fake, urls, address } = await open()
    for (const wrong of [{ password: 'wrong' }, { certificate: 'AAEC' }]) {
      const credentials = {
        kind: 'certificate' as const,
        topic: fake.credentials.topic,
        ...apnsCertificate,
        ...wrong,
      }
      const provider = owned.use(createApns({ clock: systemClock, ca: localCa, urls }, credentials))
      expect(await send(provider, address(false))).toMatchObject({
        ...{ kind: 'refused', of: 'credentials' },
        reason: expect.stringMatching(/^the certificate cannot be opened: /),
      })
    }
  })
})

describe('APNs, on a new connection', () => {
  it('takes many pushes at once, although Apple takes one until it knows who asks', async () => {
    const fake = owned.use(await startFakeApns())
    const urls = { production: fake.url, sandbox: fake.url }
    const provider = owned.use(createApns({ clock: systemClock, ca: localCa, urls }, fake.credentials))
    const tokens = Array.from({ length: 64 }, (_, at) => `device${at}`)
    const outcomes = await Promise.all(
      tokens.map((token) => send(provider, { provider: 'apns', token, isSandbox: false })),
    )
    expect(outcomes.filter(({ kind }) => kind !== 'accepted')).toEqual([])
    expect(fake.pushes.map(({ token }) => token).sort()).toEqual([...tokens].sort())
    expect([fake.sessions(), fake.requests()]).toEqual([1, tokens.length])
  })
})
