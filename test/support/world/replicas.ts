/**
 * Replicas without a network: a relay and an archive in memory that do what the real ones promise (at least once, in any
 * order, kept until acknowledged) and that a test may cut off, shuffle and repeat.
 */
import type { Clock } from '../../../src/platform/runtime/clock.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { messageIdOf } from '../../../src/protocol/topic.ts'
import { type StoreKey, storeKeys } from '../../../src/sync/keys.ts'
import { createReplica, type History, type Replica, type Transport } from '../../../src/sync/replica.ts'
import { type KeyValues, memoryStorage } from '../../../src/sync/storage.ts'

interface Sent {
  topic: string
  message: string
  id: string
  by: number
}

export interface Device {
  replica: Replica
  isOnline: boolean
  /** What the relay has for it, in no order. */
  readonly mailbox: Sent[]
  /** Values of its storage. */
  readonly values: Map<string, string>
  goOnline(): void
  goOffline(): void
  /** Hands over the message at this place of its mailbox; with `again` it stays there. */
  deliver(at: number, again?: boolean): Promise<void>
  /** As a process that was killed and starts again. */
  restart(): Promise<void>
}

export interface Lab extends Disposable {
  readonly archive: Sent[]
  readonly compactions: string[]
  add(options?: { skew?: number; compactAbove?: number; storage?: KeyValues }): Promise<Device>
}

/** Turns of the event queue: what is under way in memory ends within a few. */
export const settle = async (turns = 3): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Thousands of replicas of few accounts: each key is derived once. */
const known = new Map<string, (name: string) => StoreKey>()
const keysOf = (signature: string) => {
  const found = known.get(signature)
  if (found) return found
  const derive = storeKeys(signature)
  const stores = new Map<string, StoreKey>()
  const keyOf = (name: string) => {
    const key = stores.get(name) ?? derive(name)
    stores.set(name, key)
    return key
  }
  known.set(signature, keyOf)
  return keyOf
}

export const createLab = (random: (below: number) => number): Lab => {
  const archive: Sent[] = []
  const compactions: string[] = []
  const devices: { device: Device; topics: Set<string> }[] = []
  let now = Date.UTC(2026, 0, 1)

  const history: History = {
    register: async () => {},
    async messages(topic, origin) {
      const own = archive.filter((one) => one.topic === topic)
      const from = origin === undefined ? 0 : own.findIndex(({ id }) => id === origin)
      if (from < 0) return undefined
      const page = own.slice(from, from + 7)
      return { messages: page, next: own[from + 7]?.id }
    },
    async compact({ topic }, before) {
      compactions.push(before)
      const end = archive.findIndex((one) => one.topic === topic && one.id === before)
      for (let at = end - 1; at >= 0; at--) if (archive[at]?.topic === topic) archive.splice(at, 1)
    },
  }

  return {
    archive,
    compactions,
    async add({ skew = 0, compactAbove, storage } = {}) {
      const number = devices.length
      const values = new Map<string, string>()
      const topics = new Set<string>()
      const held: (() => void)[] = []
      const clock: Clock = {
        now: () => {
          now += random(3)
          return now + skew
        },
        after: (_, task) => {
          const timer = setTimeout(task, 0)
          return { [Symbol.dispose]: () => clearTimeout(timer) }
        },
      }
      const online = () => (device.isOnline ? Promise.resolve() : new Promise<void>((go) => held.push(go)))
      const transport: Transport = {
        async publish({ topic, message }) {
          await online()
          const sent = { topic, message, id: messageIdOf(message), by: number }
          if (archive.some(({ id }) => id === sent.id)) return
          archive.push(sent)
          for (const other of devices)
            if (other.device !== device && other.topics.has(topic)) other.device.mailbox.push(sent)
        },
        async subscribe(wanted) {
          for (const topic of wanted) topics.add(topic)
        },
      }
      const start = () =>
        createReplica(
          {
            storage: storage ?? memoryStorage(values),
            transport,
            keysOf,
            history: {
              ...history,
              messages: async (...from) => {
                await online()
                return history.messages(...from)
              },
            },
            ...{ clock, log: silent },
            randomBytes: (length) => Uint8Array.from({ length }, () => random(256)),
          },
          compactAbove === undefined ? {} : { compactAbove },
        )
      const device: Device = {
        replica: await start(),
        isOnline: true,
        mailbox: [],
        values,
        goOnline() {
          device.isOnline = true
          for (const go of held.splice(0)) go()
          device.replica.connected()
        },
        goOffline() {
          device.isOnline = false
        },
        async deliver(at, again = false) {
          const sent = device.mailbox[at]
          if (!sent || !device.isOnline) return
          await device.replica.received(sent)
          if (!again) device.mailbox.splice(device.mailbox.indexOf(sent), 1)
        },
        async restart() {
          device.replica[Symbol.dispose]()
          held.splice(0)
          device.replica = await start()
        },
      }
      devices.push({ device, topics })
      return device
    },
    [Symbol.dispose]() {
      for (const { device } of devices) device.replica[Symbol.dispose]()
    },
  }
}
