/**
 * Devices over the port (`./rows.ts`). What is entered elsewhere for a device is entered before the device, and whoever follows
 * an entry looks at the device: an entry of a device that is not there leads nowhere and goes with its end.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { behind, endOf, number } from '../../storage/bytes.ts'
import type { Kv, Write } from '../../storage/kv.ts'
import { read, transact } from '../../storage/table.ts'
import type { Address, Device, DeviceName, DeviceStore, PlacedDevice } from '../store.ts'
import {
  ALL,
  CHANNELS,
  ofAddress,
  ofProject,
  PUSH_TABLES,
  registeredKey,
  registeredName,
  sameAddress,
} from './rows.ts'

const { devices, tokens, registered } = PUSH_TABLES
const until = PUSH_TABLES.until.in(ALL)

/** What a change of a client's devices makes of them, and those that it ended. */
interface Change {
  next: Device[]
  ended: Device[]
}

const putDevices = (clientId: string, all: Device[]): Write => {
  const cell = devices.in(clientId)
  if (all.length === 0) return cell.remove()
  return cell.put({ value: all, expiresAt: Math.max(...all.map(({ expiresAt }) => expiresAt)) })
}

/** Changes the live devices of a client; answers those that ended. */
const changeDevices = (
  kv: Kv,
  clientId: string,
  now: number,
  change: (live: readonly Device[]) => Change | undefined,
): Promise<Device[]> =>
  transact(kv, now, async () => {
    const [{ value = [], isUnchanged }] = await read(kv, [devices.in(clientId).get()])
    const changed = change(value.filter(({ expiresAt }) => expiresAt > now))
    if (!changed) return { answer: [] }
    const { next, ended } = changed
    const isRelief = next.length < value.length
    const writes = [putDevices(clientId, next)]
    return {
      answer: ended,
      batch: { partition: clientId, checks: [isUnchanged], writes, isOnce: false, isRelief },
    }
  })

/** Removes what was entered elsewhere for devices that are over; what `next` has entered alike stays. */
const removeEntries = async (
  kv: Kv,
  clientId: string,
  ended: readonly Device[],
  { next, now }: { next?: Device; now: number },
) => {
  if (ended.length === 0) return
  const found = await read(
    kv,
    ended.map(({ address }) => tokens.in(ofAddress(address)).get()),
  )
  const ofTokens = ended.flatMap(({ address, id }, at) => {
    const holder = found[at]
    if (holder?.value?.clientId !== clientId || holder.value.deviceId !== id) return []
    if (next?.id === id && sameAddress(next.address, address)) return []
    const partition = ofAddress(address)
    return [{ partition, checks: [holder.isUnchanged], writes: [tokens.in(partition).remove()] }]
  })
  const isEntered = ({ id, projectId, expiresAt }: Device) =>
    next?.id === id && next.projectId === projectId && next.expiresAt === expiresAt
  const ofProjects = ended
    .filter((one) => !isEntered(one))
    .map(({ id: deviceId, projectId, expiresAt }) => {
      const set = registered.in(ofProject(projectId))
      const entry = registeredKey(expiresAt, { clientId, deviceId })
      return { partition: set.name.partition, writes: [set.remove(entry)] }
    })
  await kv.commit([...ofTokens, ...ofProjects], now)
  kv.publish(CHANNELS.devices, [clientId])
}

/** Notes until when there may be a device. Ends are whole days, so it is rarely news. */
const noteUntil = (kv: Kv, expiresAt: number, now: number): Promise<void> =>
  transact<void>(kv, now, async () => {
    const [{ value = 0, isUnchanged }] = await read(kv, [until.get()])
    if (value >= expiresAt) return { answer: undefined }
    const writes = [until.put({ value: expiresAt })]
    return { answer: undefined, batch: { partition: ALL, checks: [isUnchanged], writes, isOnce: false } }
  })

const unproven = () => new ProtocolError('unauthenticated', 'the device is registered with a token')

/** The devices with the new one. Throws as `register` does. */
const withDevice = (live: readonly Device[], device: Device, limit: number): Change => {
  const isReplaced = (one: Device) =>
    one.id === device.id ||
    sameAddress(one.address, device.address) ||
    (device.isProven && !one.isProven && one.projectId === device.projectId)
  const ended = live.filter(isReplaced)
  if (!device.isProven && ended.some(({ isProven }) => isProven)) throw unproven()
  const others = live.filter((one) => !isReplaced(one))
  if (others.length >= limit)
    throw new ProtocolError('rate_limited', `more than ${limit} devices of one client`)
  return {
    next: [...others, device],
    ended: ended.filter((one) => one.id !== device.id || isMoved(one, device)),
  }
}
/** Whether what was entered for a device must go although it stays. */
const isMoved = (before: Device, after: Device): boolean =>
  before.projectId !== after.projectId ||
  before.expiresAt !== after.expiresAt ||
  !sameAddress(before.address, after.address)

/** Ends the device of another client that had the address. Throws where it is proven and the new one is not. */
const otherHolder = async (kv: Kv, clientId: string, device: Device, now: number) => {
  const [{ value: holder }] = await read(kv, [tokens.in(ofAddress(device.address)).get()])
  if (!holder || holder.clientId === clientId) return undefined
  const [{ value = [] }] = await read(kv, [devices.in(holder.clientId).get()])
  const other = value.find(({ id, expiresAt }) => id === holder.deviceId && expiresAt > now)
  if (!other || !sameAddress(other.address, device.address)) return undefined
  if (other.isProven && !device.isProven) throw unproven()
  return holder
}

const endDevice = async (kv: Kv, { clientId, deviceId }: DeviceName, address: Address, now: number) => {
  const ended = await changeDevices(kv, clientId, now, (live) => {
    const isIt = (one: Device) => one.id === deviceId && sameAddress(one.address, address)
    const gone = live.filter(isIt)
    return gone.length === 0 ? undefined : { next: live.filter((one) => !isIt(one)), ended: gone }
  })
  await removeEntries(kv, clientId, ended, { now })
}

const createRegister =
  (kv: Kv): DeviceStore['register'] =>
  async (clientId, device, { now, devices: limit }) => {
    const { id: deviceId, projectId, address, expiresAt } = device
    const other = await otherHolder(kv, clientId, device, now)
    await noteUntil(kv, expiresAt, now)
    const project = ofProject(projectId)
    const entry = registered
      .in(project)
      .put({ key: registeredKey(expiresAt, { clientId, deviceId }), value: true })
    await kv.commit([{ partition: project, writes: [entry] }], now)
    const ended = await changeDevices(kv, clientId, now, (live) => withDevice(live, device, limit))
    const partition = ofAddress(address)
    const token = tokens.in(partition).put({ value: { clientId, deviceId }, expiresAt })
    await kv.commit([{ partition, writes: [token] }], now)
    await removeEntries(kv, clientId, ended, { next: device, now })
    if (other) await endDevice(kv, other, address, now)
    kv.publish(CHANNELS.devices, [clientId])
  }

const createUnregister =
  (kv: Kv): DeviceStore['unregister'] =>
  async (clientId, { projectId, deviceId, mayEndProven }, now) => {
    const ended = await changeDevices(kv, clientId, now, (live) => {
      const isMeant = (one: Device) =>
        (projectId === undefined || one.projectId === projectId) &&
        (deviceId === undefined || one.id === deviceId)
      const gone = live.filter(isMeant)
      if (!mayEndProven && gone.some(({ isProven }) => isProven)) throw unproven()
      return gone.length === 0 ? undefined : { next: live.filter((one) => !isMeant(one)), ended: gone }
    })
    await removeEntries(kv, clientId, ended, { now })
    return ended
  }

const liveDevices = async (kv: Kv, clientIds: readonly string[], now: number): Promise<PlacedDevice[]> => {
  const found = await read(
    kv,
    clientIds.map((clientId) => devices.in(clientId).get()),
  )
  return clientIds.flatMap((clientId, at) =>
    (found[at]?.value ?? [])
      .filter(({ expiresAt }) => expiresAt > now)
      .map((device) => ({ clientId, ...device })),
  )
}

const listVerbs = (kv: Kv): Pick<DeviceStore, 'countDevices' | 'listDevices' | 'hasDevices'> => ({
  async countDevices(projectId, now) {
    const [count] = await read(kv, [registered.in(ofProject(projectId)).count({ from: number(now) })])
    return count
  },
  async listDevices(projectId, { after, limit, now }) {
    const from = after === undefined ? number(now) : behind(Buffer.from(after, 'base64url'))
    const [entries] = await read(kv, [registered.in(ofProject(projectId)).keys({ from, limit })])
    const names = entries.map(registeredName)
    const live = await liveDevices(kv, [...new Set(names.map(({ clientId }) => clientId))], now)
    const found = names.flatMap(
      ({ clientId, deviceId, expiresAt }) =>
        live.find(
          (one) =>
            one.clientId === clientId &&
            one.id === deviceId &&
            one.projectId === projectId &&
            one.expiresAt === expiresAt,
        ) ?? [],
    )
    const next = entries.length < limit ? undefined : entries.at(-1)?.toString('base64url')
    return { devices: found, next }
  },
  async hasDevices(now) {
    const [{ value = 0 }] = await read(kv, [until.get()])
    return value > now
  },
})

export const createDeviceStore = (kv: Kv): DeviceStore => {
  const register = createRegister(kv)
  return {
    register,
    unregister: createUnregister(kv),
    gone: (name, address, now) => endDevice(kv, name, address, now),
    devices: (clientIds, now) => liveDevices(kv, clientIds, now),
    async holders(all) {
      const found = await read(
        kv,
        all.map(({ address }) => tokens.in(ofAddress(address)).get()),
      )
      return all.filter(({ clientId, id }, at) => {
        const holder = found[at]?.value
        return holder?.clientId === clientId && holder.deviceId === id
      })
    },
    ...listVerbs(kv),
    onDevices: (listener) => kv.listen([CHANNELS.devices], listener),
    async restoreDevices(all, now) {
      for (const { clientId, ...device } of all)
        await register(clientId, device, { now, devices: Number.MAX_SAFE_INTEGER })
    },
  }
}

/** Removes entries of registrations that have ended; answers how many it looked at. */
export const sweepDevices = async (
  kv: Kv,
  projectId: string,
  now: number,
  limit: number,
): Promise<number> => {
  const set = registered.in(ofProject(projectId))
  const [over] = await read(kv, [set.keys({ to: endOf(number(now)), limit })])
  if (over.length === 0) return 0
  await kv.commit([{ partition: set.name.partition, writes: over.map((entry) => set.remove(entry)) }], now)
  return over.length
}

const FORGET_PAGE = 1_000

/** Removes the entries of all devices of a project that goes. */
export const forgetDevices = async (kv: Kv, projectId: string): Promise<void> => {
  const set = registered.in(ofProject(projectId))
  for (;;) {
    const [page] = await read(kv, [set.keys({ limit: FORGET_PAGE })])
    if (page.length === 0) return
    await kv.commit([{ partition: set.name.partition, writes: page.map((entry) => set.remove(entry)) }], 0)
  }
}
