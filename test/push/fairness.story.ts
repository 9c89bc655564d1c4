/** Many devices at once: tokens that are gone, a provider that is down, a project with far more to push than others. */
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import type { Mailboxes } from '../../src/push/delivery/recovery.ts'
import { createSender } from '../../src/push/delivery/sender.ts'
import { createPushWorker } from '../../src/push/delivery/worker.ts'
import type { SendOutcome } from '../../src/push/providers/provider.ts'
import type { Addition, Device, PushProject, PushStore } from '../../src/push/store.ts'
import { engines } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { crowd } from '../support/runs.ts'

const DEVICES = crowd(10_000, 2_000)
/** Of the project with most; full size is a million. */
const JOBS = crowd(1_000_000, 5_000, 100)
const HOUR = 3_600_000
const DAY = 86_400_000

const device = (projectId: string, token: string, provider: 'fcm' | 'apns' = 'fcm'): Device => ({
  ...{ id: 'd', projectId, form: 'published', isLegacy: false, isProven: true },
  address: provider === 'fcm' ? { provider, token } : { provider, token, isSandbox: false },
  expiresAt: Math.ceil(Date.now() / DAY) * DAY + DAY,
})
const id = (text: string) => Buffer.from(text).toString('hex').padEnd(64, '0').slice(0, 64)
const addition = (
  clientId: string,
  projectId: string,
  text: string,
  provider: 'fcm' | 'apns' = 'fcm',
): Addition => ({
  ...{ clientId, deviceId: 'd', projectId, provider, at: Date.now() },
  messages: [
    {
      ...{ topic: id('topic'), id: id(text), tag: 4002, rank: 2, at: Date.now(), text: 'AAEC' },
      ...{ expiresAt: Date.now() + HOUR, isForeign: true },
    },
  ],
})

/** A worker over the store, and a provider that answers as `answer` says after a millisecond or two. */
const startWorker = (store: PushStore, answer: (projectId: string, token: string) => SendOutcome) => {
  const project = (id: string): PushProject => ({ id, createdAt: 0, isOpen: true, credentials: {} })
  const credentials = { fcm: credentialsOf(), apns: credentialsOf() }
  const projects = {
    find: async (id: string) => ({ ...project(id), credentials }),
    list: async () => ['big', 'small', 'p'].map((id) => ({ ...project(id), credentials })),
    stop: async () => {},
  }
  const mailboxes: Mailboxes = {
    async *waiting() {},
    pending: async () => ({ messages: [], hasMore: false }),
    message: async () => undefined,
    pick: async () => [],
  }
  const provider = {
    maxBytes: 4_096,
    sizeOf: () => 100,
    async send({ address, projectId }: { address: Device['address']; projectId: string }) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      return answer(projectId, 'token' in address ? address.token : '')
    },
  }
  const send = createSender({
    ...{ store, projects, mailboxes, clock: systemClock, log: silent, meter: unmeasured },
    providers: { of: () => ({ provider, credentialsId: 'c' }) },
    told: async () => {},
  })
  return createPushWorker({ store, projects, send, clock: systemClock, log: silent })
}
const credentialsOf = () => ({ id: 'c', sealed: '', shown: {}, setAt: 0 })

const inParts = async <T>(all: readonly T[], work: (part: readonly T[]) => Promise<unknown>) => {
  for (let at = 0; at < all.length; at += 500) await work(all.slice(at, at + 500))
}

describe.each(engines)('pushes on $name', (engine) => {
  it(`ends ${DEVICES} devices whose tokens are gone in one round`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const names = Array.from({ length: DEVICES }, (_, at) => `client-${at}`)
    const limits = { now: Date.now(), devices: 8 }
    await inParts(names, (part) =>
      Promise.all(part.map((one) => store.register(one, device('p', one), limits))),
    )
    await inParts(names, (part) =>
      store.add(
        part.map((one) => addition(one, 'p', one)),
        { limit: 8, now: Date.now() },
      ),
    )
    let sent = 0
    owned.use(
      startWorker(store, () => {
        sent += 1
        return { kind: 'gone', reason: 'Unregistered' }
      }),
    )
    await eventually(async () => expect(await store.countDevices('p', Date.now())).toBe(0), 300_000)
    expect(sent).toBe(DEVICES)
    await eventually(async () =>
      expect(await store.countWaiting({ projectId: 'p', provider: 'fcm' })).toBe(0),
    )
  }, 600_000)

  it(`pushes of one project wait under a second while another has ${JOBS}, and a provider that is down holds up its own`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const limits = { now: Date.now(), devices: 8 }
    const crowdOf = Array.from({ length: JOBS }, (_, at) => `big-${at}`)
    await inParts(crowdOf, (part) =>
      Promise.all(part.map((one) => store.register(one, device('big', one), limits))),
    )
    await inParts(crowdOf, (part) =>
      store.add(
        part.map((one) => addition(one, 'big', one)),
        { limit: 8, now: Date.now() },
      ),
    )
    await store.register('down', device('small', 'down', 'apns'), limits)
    const few = Array.from({ length: 100 }, (_, at) => `small-${at}`)
    await Promise.all(few.map((one) => store.register(one, device('small', one), limits)))
    const doneAt = new Map<string, number>()
    owned.use(
      startWorker(store, (_, token) => {
        if (token === 'down') return { kind: 'later', reason: 'HTTP 503', isDown: true }
        doneAt.set(token, Date.now())
        return { kind: 'accepted' }
      }),
    )
    await store.add([addition('down', 'small', 'down', 'apns')], { limit: 8, now: Date.now() })
    const waited: number[] = []
    for (const one of few) {
      const from = Date.now()
      await store.add([addition(one, 'small', one)], { limit: 8, now: from })
      await eventually(() => expect(doneAt.has(one)).toBe(true))
      waited.push((doneAt.get(one) ?? 0) - from)
    }
    waited.sort((a, b) => a - b)
    expect(waited[98]).toBeLessThan(1_000)
    expect(await store.countWaiting({ projectId: 'small', provider: 'apns' })).toBe(1)
  }, 1_200_000)
})
