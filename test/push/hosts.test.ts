/** Hosts of endpoints that hang: whoever registers a device names its host, and names are free. */
import { createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { createHostPlaces } from '../../src/push/providers/host-places.ts'
import type { Addition } from '../../src/push/store.ts'
import { eventually } from '../support/eventually.ts'
import { startPushWorld } from '../support/push/push-world.ts'

const HOSTS = 250
const DEVICES_OF_A_HOST = 12
const BYSTANDERS = 5
const DAY = 86_400_000

/** Takes connections on all addresses of the loopback network, and says nothing. */
const startSilence = async () => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    // Read, so that its end is seen.
    socket
      .on('error', () => {})
      .on('close', () => sockets.delete(socket))
      .resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

it.each([
  ['that has answered before', true],
  ['that nobody has asked since the start', false],
])(`${HOSTS} hosts that hang hold up no push to a host %s`, async (_, isWarm) => {
  const owned = createReleaseStack()
  await using _owned = { [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
  const push = owned.use(await startPushWorld())
  const silence = owned.use(await startSilence())
  const store = push.world.stores.push
  const now = Date.now()

  const deviceAt = async (clientId: string, endpoint: string, keys: { p256dh: string; auth: string }) => {
    await store.register(
      clientId,
      {
        ...{ id: 'd', projectId: 'default', form: 'together', isLegacy: false, isProven: true },
        address: { provider: 'webpush', endpoint, ...keys },
        expiresAt: Math.ceil(now / DAY) * DAY + DAY,
      },
      { now, devices: 8 },
    )
  }
  const waiting = (clientId: string): Addition => ({
    ...{ clientId, deviceId: 'd', projectId: 'default', provider: 'webpush', at: now },
    messages: [
      {
        ...{ topic: 'a'.repeat(64), id: clientId, tag: 4002, rank: 2, at: now, expiresAt: now + DAY },
        ...{ text: 'AAEC', isForeign: true },
      },
    ],
  })
  const add = (clients: readonly string[]) => store.add(clients.map(waiting), { limit: 8, now })

  const bystanders = Array.from({ length: BYSTANDERS }, (_, at) => `bystander ${at}`)
  const endpoints = new Map<string, string>()
  for (const clientId of ['first', ...bystanders]) {
    const { endpoint, keys } = push.web.subscribe()
    endpoints.set(clientId, endpoint)
    await deviceAt(clientId, endpoint, keys)
  }
  const isPushed = (clientId: string) =>
    push.web.pushes.some(({ endpoint }) => endpoint === endpoints.get(clientId))
  if (isWarm) {
    await add(['first'])
    await eventually(() => expect(isPushed('first')).toBe(true))
  }

  const { keys } = push.web.subscribe()
  const hanging: string[] = []
  for (let host = 0; host < HOSTS; host++) {
    for (let device = 0; device < DEVICES_OF_A_HOST; device++) {
      const clientId = `hanging ${host} ${device}`
      await deviceAt(clientId, `https://127.0.1.${host + 1}:${silence.port}/${device}`, keys)
      hanging.push(clientId)
    }
  }
  await add(hanging)
  await eventually(() => expect(silence.connections()).toBeGreaterThan(16))
  await add(bystanders)
  await eventually(() => expect(bystanders.filter((one) => !isPushed(one))).toEqual([]))
  // They hang still, and few at a time.
  await eventually(() => expect(silence.connections()).toBeGreaterThan(0))
  // One that was given up may not have ended when the next one begins.
  await eventually(() => expect(silence.connections()).toBeLessThanOrEqual(32))
})

describe('places for hosts that have not proven themselves', () => {
  const MANY = 100
  const open = () => {
    const places = createHostPlaces({ clock: systemClock })
    const enter = (nameOf: (at: number) => string, projectId = 'attacked', length = MANY) =>
      Array.from({ length }, (_, at) => places.enter(nameOf(at), projectId)).filter(
        (place) => place !== undefined,
      )
    return { places, enter }
  }

  it('are not needed by the push services of browsers', () => {
    const { places, enter } = open()
    expect(enter((at) => `host${at}.test`).length).toBeLessThan(MANY)
    for (const host of [
      ...['fcm.googleapis.com', 'updates.push.services.mozilla.com', 'web.push.apple.com'],
      'wns2-db5p.notify.windows.com',
    ])
      expect(places.enter(host, 'attacked')?.isProven).toBe(true)
    for (const host of ['fcm.googleapis.com.test', 'xfcm.googleapis.com', 'a.b.notify.windows.com'])
      expect(places.enter(host, 'attacked')).toBeUndefined()
  })

  it.each([
    ['many hosts of one domain', (at: number) => `host${at}.silent.test`],
    ['many addresses of one block', (at: number) => `192.0.2.${at}`],
  ])('are left to others once %s have failed', (_, nameOf) => {
    const { places, enter } = open()
    for (const place of enter(nameOf)) place.leave(false)
    const again = enter((at) => nameOf(MANY + at))
    expect(again.length).toBeGreaterThan(0)
    expect(places.hasFailed(nameOf(0))).toBe(true)
    expect(places.enter('ntfy.example.org', 'attacked')).toBeDefined()
  })

  it('are left to other projects, however many domains one project is led to', () => {
    const { places, enter } = open()
    const hanging = enter((at) => `push.domain${at}.test`)
    expect(places.enter('push.one-more.test', 'attacked')).toBeUndefined()
    const first = places.enter('ntfy.example.org', 'other')
    expect(first?.isProven).toBe(false)
    first?.leave(true)
    expect(places.enter('ntfy.example.org', 'other')?.isProven).toBe(true)

    // A host that was down has another try, too.
    places.enter('ntfy.example.net', 'other')?.leave(false)
    for (const place of hanging) place.leave(false)
    expect(enter((at) => `push.domain${at}.test`, 'attacked', hanging.length).length).toBe(10)
    expect(places.enter('push.domain0.test', 'attacked')).toBeUndefined()
    expect(places.enter('ntfy.example.net', 'other')).toBeDefined()
  })

  it('are few of one project, few of all, and come back', () => {
    const { enter } = open()
    const round = () => {
      const all = enter((at) => `host${at}.first${at}.test`, 'first')
      for (let project = 0; project < 1_000; project++)
        all.push(...enter((at) => `host${at}.project${project}-${at}.test`, `project ${project}`, 10))
      return all
    }
    const places = round()
    expect(places.length).toBeLessThan(512)
    for (const place of places) place.leave(true)
    const fresh = enter((at) => `again${at}.again${at}.test`, 'first')
    expect(fresh.length).toBeGreaterThan(24)
    expect(fresh.length).toBeLessThan(MANY / 2)
  })

  it('are not needed by a host that answered, whatever number of others fails', () => {
    const { places, enter } = open()
    places.enter('ntfy.example.org', 'other')?.leave(true)
    for (let round = 0; round < 1_000; round++)
      for (const place of enter((at) => `push.domain${round}-${at}.test`)) place.leave(false)
    expect(places.enter('ntfy.example.org', 'other')?.isProven).toBe(true)
  })
})
