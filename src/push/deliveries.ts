/** Messages that another relay posts for a client of ours: they become pushes that wait, once for each device of the project. */
import type { Payer } from '../platform/budgets/payer.ts'
import type { RateLimits } from '../platform/budgets/rate-limits.ts'
import { ROW_OVERHEAD_BYTES } from '../platform/budgets/state-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { DAY_MS } from '../platform/units.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { messageIdOf, TOPIC } from '../protocol/topic.ts'
import { PUSH_LIMITS, type PushRate } from './limits.ts'
import { isWanted, rankOf } from './policy.ts'
import type { Projects } from './projects.ts'
import type { RelayMessageBody } from './schema.ts'
import type { PlacedDevice, PushStore, WaitingMessage } from './store.ts'

/** A push of another relay waits for its provider for so long at most; the relay says nothing of the message's life. */
const FOREIGN_LIFE_MS = DAY_MS

/** `known`: it was delivered before, or is on its way. `taken`: also for a client that has no device. */
export type Delivered = 'taken' | 'known'

interface DeliveriesDeps {
  store: Pick<PushStore, 'devices' | 'add' | 'waitingFor' | 'handed'>
  projects: Pick<Projects, 'find'>
  limits: RateLimits<PushRate>
  clock: Clock
}

export type Deliver = (
  to: { projectId: string; clientId: string },
  body: RelayMessageBody,
  payer: Payer,
) => Promise<Delivered>

const missing = (field: string) => new ProtocolError('bad_params', 'it is missing', { field })

type Named = Pick<WaitingMessage, 'topic' | 'id' | 'tag'> & { text: string; flags?: number }

const rawMessage = ({ topic, tag, message }: RelayMessageBody): Named => {
  if (message === undefined || message === null) throw missing('message')
  if (topic === undefined || topic === null) throw missing('topic')
  if (tag === undefined || tag === null) throw missing('tag')
  if (!TOPIC.test(topic)) throw new ProtocolError('bad_params', '64 hex digits', { field: 'topic' })
  return { topic: topic.toLowerCase(), id: messageIdOf(message), tag, text: message }
}

const legacyMessage = ({ id, payload, tag }: RelayMessageBody): Named => {
  if (id === undefined || id === null) throw missing('id')
  if (!payload) throw missing('payload')
  const { topic, blob: text, flags } = payload
  return { topic: topic ?? '', id, tag: tag ?? 0, text, flags }
}

/** The form that the device understands; ours take either. */
const messageFor = (device: PlacedDevice, body: RelayMessageBody): Named => {
  if (device.form === 'published') return device.isLegacy ? legacyMessage(body) : rawMessage(body)
  return typeof body.message === 'string' ? rawMessage(body) : legacyMessage(body)
}

export const createDeliver = ({ store, projects, limits, clock }: DeliveriesDeps): Deliver => {
  const isKnown = async (device: PlacedDevice, { topic, id }: Named): Promise<boolean> => {
    const { clientId, id: deviceId, projectId, address } = device
    const name = { clientId, deviceId, projectId, provider: address.provider }
    const [waiting, handed] = await Promise.all([store.waitingFor(name), store.handed(name, [id])])
    return handed.has(id) || (waiting?.messages.some((one) => one.id === id && one.topic === topic) ?? false)
  }

  return async ({ projectId, clientId }, body, payer) => {
    await limits.take('pushDeliver', clientId)
    if (!(await projects.find(projectId))) throw new ProtocolError('not_found', 'no such project')
    const now = clock.now()
    const all = await store.devices([clientId], now)
    const devices = all.filter((device) => device.projectId === projectId)
    let outcome: Delivered = devices.length > 0 ? 'known' : 'taken'
    for (const device of devices) {
      const named = messageFor(device, body)
      if (!isWanted(device, named.tag) || (await isKnown(device, named))) continue
      outcome = 'taken'
      const { text, ...rest } = named
      const isSmall = text.length <= PUSH_LIMITS.textBytes
      await payer.keep((isSmall ? text.length : 0) + ROW_OVERHEAD_BYTES, FOREIGN_LIFE_MS)
      const message: WaitingMessage = {
        ...rest,
        // Another relay posts what is to wake.
        rank: Math.max(1, rankOf(named.tag, true)),
        at: now,
        expiresAt: now + FOREIGN_LIFE_MS,
        isForeign: true,
        ...(isSmall && { text }),
      }
      const { provider } = device.address
      const addition = { clientId, deviceId: device.id, projectId, provider, at: now, messages: [message] }
      await store.add([addition], { limit: PUSH_LIMITS.messages, now })
    }
    return outcome
  }
}
