/**
 * Registrations of devices: of published wallets, who may come without a token where their project allows it, and of ours, who
 * always have one. A registration that its client signed for goes before one that anybody may have made.
 *
 * A registration lasts for 180 days from the last time that the wallet came by, counted in whole days.
 */
import { createHash } from 'node:crypto'
import type { Payer } from '../platform/budgets/payer.ts'
import type { RateLimits } from '../platform/budgets/rate-limits.ts'
import { ROW_OVERHEAD_BYTES } from '../platform/budgets/state-budget.ts'
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { AddressRules } from '../platform/net/public-address.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { isTimeZone } from '../platform/runtime/quiet-hours.ts'
import type { Meter } from '../platform/telemetry.ts'
import { DAY_MS, MINUTE_MS } from '../platform/units.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { PUSH_LIMITS, type PushRate } from './limits.ts'
import type { Projects } from './projects.ts'
import { isSealKey } from './providers/compose.ts'
import { areKeys } from './providers/encryption.ts'
import { ApnsToken, type NewDevice, type PublishedClient } from './schema.ts'
import type { Address, Device, PushStore } from './store.ts'

const REGISTRATION_LIFE_DAYS = 180
/** A registration is paid for as long at most. */
const PAID_LIFE_MS = 30 * DAY_MS
/** Device, token and two entries. */
const ROWS = 4
/** How long a count of a project's devices is good. */
const COUNT_CACHE_MS = MINUTE_MS
/** The device of the published route: a client has one there. */
const PUBLISHED_DEVICE = 'published'

/** Who asks: who pays, the name of the address for rate limits, and whether the client proved who it is. */
export interface Registrant {
  payer: Payer
  name: string
  isProven: boolean
}
export interface Devices {
  /** In place of what the client has registered there. Throws `not_found` for an unknown project, `unauthenticated`. */
  registerPublished(projectId: string, client: PublishedClient, who: Registrant): Promise<void>
  /** Returns the device's id, which follows from where it is reached. */
  register(projectId: string, clientId: string, device: NewDevice, who: Registrant): Promise<string>
  /** Ends the client's devices of the project, or one. Returns how many there were. */
  unregister(projectId: string, clientId: string, who: Registrant, deviceId?: string): Promise<number>
}

interface DevicesDeps {
  store: Pick<PushStore, 'register' | 'unregister' | 'countDevices' | 'hurryDevice'>
  projects: Pick<Projects, 'find'>
  limits: RateLimits<PushRate>
  /** Where subscriptions may lead. */
  rules: Pick<AddressRules, 'refusalOfUrl'>
  clock: Clock
  meter: Meter
}

const bad = (field: string, detail: string) => new ProtocolError('bad_params', detail, { field })

const publishedAddress = ({ type, token }: PublishedClient): Address => {
  if (type === 'noop') return { provider: 'noop', token }
  // The legacy API of FCM is shut down; its tokens are the same.
  if (type === 'fcm' || type === 'fcm_v1') return { provider: 'fcm', token }
  if (!ApnsToken.safeParse(token).success) throw bad('token', 'letters and digits')
  return { provider: 'apns', token, isSandbox: type === 'apns-sandbox' }
}

const addressOf = ({ target }: NewDevice, rules: DevicesDeps['rules']): Address => {
  if ('apns' in target) return { provider: 'apns', token: target.apns.token, isSandbox: target.apns.sandbox }
  if ('fcm' in target) return { provider: 'fcm', token: target.fcm.token }
  const provider = 'webpush' in target ? 'webpush' : 'unifiedpush'
  const { endpoint, keys } = 'webpush' in target ? target.webpush : target.unifiedpush
  if (!areKeys(keys)) throw bad('target.keys', 'not the keys of a subscription')
  const refusal = rules.refusalOfUrl(new URL(endpoint))
  if (refusal !== undefined) throw bad('target.endpoint', refusal)
  return { provider, endpoint, ...keys }
}

const idOf = (address: Address): string =>
  createHash('sha256').update(JSON.stringify(address)).digest('base64url').slice(0, 16)

const sizeOf = (device: Device): number => JSON.stringify(device).length + ROWS * ROW_OVERHEAD_BYTES

export const createDevices = (
  { store, projects, limits, rules, clock, meter }: DevicesDeps,
  { projectDevices }: { projectDevices: number },
): Devices => {
  const counts = createTtlCache<number>({ clock }, { ttlMs: COUNT_CACHE_MS, entries: PUSH_LIMITS.projects })
  const endOfLife = () => (Math.floor(clock.now() / DAY_MS) + REGISTRATION_LIFE_DAYS) * DAY_MS

  const admit = async (projectId: string, who: Registrant): Promise<void> => {
    await limits.take('pushRegister', who.name)
    const project = await projects.find(projectId)
    if (!project) throw new ProtocolError('not_found', 'no such project')
    if (!who.isProven && !project.isOpen) throw new ProtocolError('unauthenticated', 'a token is needed')
    const now = clock.now()
    const count = await counts(projectId, () => store.countDevices(projectId, now))
    if (count >= projectDevices) throw new ProtocolError('rate_limited', 'the project has too many devices')
  }

  const keep = async (clientId: string, device: Device, { payer }: Registrant): Promise<void> => {
    const now = clock.now()
    await payer.keep(sizeOf(device), Math.min(device.expiresAt - now, PAID_LIFE_MS))
    await store.register(clientId, device, { now, devices: PUSH_LIMITS.clientDevices })
    // Its quiet hours may be others now, or its provider may reach it again.
    const { id: deviceId, projectId, address } = device
    await store.hurryDevice({ clientId, deviceId, projectId, provider: address.provider }, now)
    meter.count('push_registrations_total', { provider: device.address.provider })
  }

  return {
    async registerPublished(projectId, client, who) {
      const address = publishedAddress(client)
      await admit(projectId, who)
      const device: Device = {
        ...{ id: PUBLISHED_DEVICE, projectId, address, form: 'published' },
        isLegacy: client.always_raw !== true,
        isProven: who.isProven,
        expiresAt: endOfLife(),
      }
      await keep(client.client_id, device, who)
    },

    async register(projectId, clientId, wanted, who) {
      if (!who.isProven) throw new ProtocolError('unauthenticated')
      const address = addressOf(wanted, rules)
      const { hidden, sealKey, tags, quiet } = wanted
      const needsKey = hidden && !('endpoint' in address)
      if (needsKey && sealKey === undefined) throw bad('sealKey', 'a hidden push of this provider needs one')
      if (sealKey !== undefined && !isSealKey(sealKey)) throw bad('sealKey', 'nothing can be sealed to it')
      if (quiet && !isTimeZone(quiet.timeZone)) throw bad('quiet.timeZone', 'not a time zone')
      await admit(projectId, who)
      const device: Device = {
        ...{ id: idOf(address), projectId, address, isLegacy: false, isProven: true },
        form: hidden ? 'hidden' : 'together',
        ...(sealKey !== undefined && { sealKey }),
        ...(tags && { tags }),
        ...(quiet && { quiet }),
        expiresAt: endOfLife(),
      }
      await keep(clientId, device, who)
      return device.id
    },

    async unregister(projectId, clientId, who, deviceId) {
      await limits.take('pushRegister', who.name)
      const which = { projectId, mayEndProven: who.isProven, ...(deviceId !== undefined && { deviceId }) }
      return (await store.unregister(clientId, which, clock.now())).length
    },
  }
}
