/** A push worker alone: the store is real, its provider answers as a test says. */
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import type { Mailboxes } from '../../../src/push/delivery/recovery.ts'
import { createSender, type Sender } from '../../../src/push/delivery/sender.ts'
import { createPushWorker } from '../../../src/push/delivery/worker.ts'
import type { SendOutcome } from '../../../src/push/providers/provider.ts'
import type { Addition, Device, PushProject, PushStore } from '../../../src/push/store.ts'

const HOUR = 3_600_000
const DAY = 86_400_000

const credentialsOf = () => ({ id: 'c', sealed: '', shown: {}, setAt: 0 })

export const device = (projectId: string, token: string, provider: 'fcm' | 'apns' = 'fcm'): Device => ({
  ...{ id: 'd', projectId, form: 'published', isLegacy: false, isProven: true },
  address: provider === 'fcm' ? { provider, token } : { provider, token, isSandbox: false },
  expiresAt: Math.ceil(Date.now() / DAY) * DAY + DAY,
})
const id = (text: string) => Buffer.from(text).toString('hex').padEnd(64, '0').slice(0, 64)
export const addition = (
  clientId: string,
  projectId: string,
  text: string,
  provider: 'fcm' | 'apns' = 'fcm',
): Addition => ({
  ...{ clientId, deviceId: 'd', projectId, provider, at: Date.now() },
  messages: [
    {
      ...{ topic: id('topic'), id: id(text), tag: 4002, rank: 2, at: Date.now(), text: 'AAEC' },
      ...{ expiresAt: Date.now() + 3 * HOUR, isForeign: true },
    },
  ],
})

/** A device of each client, and a push for it. */
export const addAll = async (
  store: PushStore,
  projectId: string,
  clientIds: readonly string[],
  provider?: 'fcm' | 'apns',
): Promise<void> => {
  const now = Date.now()
  for (let at = 0; at < clientIds.length; at += 500) {
    const part = clientIds.slice(at, at + 500)
    const limits = { now, devices: 8 }
    await Promise.all(part.map((one) => store.register(one, device(projectId, one, provider), limits)))
    await store.add(
      part.map((one) => addition(one, projectId, one, provider)),
      { limit: 8, now },
    )
  }
}

/**
 * A worker over the store, and a provider that answers as `answer` says after a millisecond or two, or later. `onDone`: a push is done,
 * and the worker knows what it says about the provider.
 */
export const startWorker = (
  store: PushStore,
  answer: (projectId: string, token: string) => SendOutcome | Promise<SendOutcome>,
  clock: Clock = systemClock,
  onDone: () => void = () => {},
) => {
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
    ...{ store, projects, mailboxes, clock, log: silent, meter: unmeasured },
    providers: { of: () => ({ provider, credentialsId: 'c' }) },
    told: async () => {},
  })
  const sendAndTell: Sender = async (push, signal) => {
    const result = await send(push, signal)
    setImmediate(onDone)
    return result
  }
  return createPushWorker({ store, projects, send: sendAndTell, clock, log: silent })
}
