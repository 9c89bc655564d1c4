/**
 * What push asks of storage: devices of clients, what waits to be pushed to them, projects with their credentials, and which
 * clients are connected where.
 *
 * Atomic: all devices of one client; what waits for one device; one project. A token belongs to the client that its token row
 * names, so of two clients that registered one token at once only one counts.
 *
 * Every promise resolves only when the effect is durable. Times are unix ms and come from the caller.
 */

import type { QuietHours } from '../platform/runtime/quiet-hours.ts'

/** Ways to a device. Each has a queue of its own in every project, so that one that is down delays only its own. */
export const PROVIDER_NAMES = ['apns', 'fcm', 'webpush', 'unifiedpush', 'noop'] as const
export type ProviderName = (typeof PROVIDER_NAMES)[number]

/** The project of a server with one tenant. It is there also where it has no row, because it needs no settings. */
export const DEFAULT_PROJECT = 'default'

/** Where a device is reached. */
export type Address =
  | { provider: 'apns'; token: string; isSandbox: boolean }
  | { provider: 'fcm'; token: string }
  | { provider: 'webpush' | 'unifiedpush'; endpoint: string; p256dh: string; auth: string }
  /** Of the published server's tests: everything is accepted and goes nowhere. */
  | { provider: 'noop'; token: string }

export interface Device {
  /** Among those of its client. */
  id: string
  projectId: string
  address: Address
  /**
   * How messages look. `published`: one message a push, as the published server sends them. `together`: all that wait in one
   * push. `hidden`: the same, sealed to the device's key and padded.
   */
  form: 'published' | 'together' | 'hidden'
  /** The published form in which the message itself is left out: the client did not ask for raw messages. */
  isLegacy: boolean
  /** X25519 key of the device, 64 hex characters, for `hidden`; Web Push has its own. */
  sealKey?: string
  /** Only these tags; undefined: what wakes by default. */
  tags?: number[]
  quiet?: QuietHours
  /** Whether the client proved to be the one that it says it is. */
  isProven: boolean
  expiresAt: number
}

export interface DeviceName {
  clientId: string
  deviceId: string
}

/** A message that waits to be pushed: named where it lies in a mailbox of ours, else with its text. */
export interface WaitingMessage {
  /** 64 lower-case hex characters; empty where a legacy message has none. */
  topic: string
  id: string
  tag: number
  /** Higher ones go before. */
  rank: number
  at: number
  expiresAt: number
  /** Its place in our mailbox, where that is known. */
  seq?: number
  /** Of another relay: the message. Absent of another relay's message that is too large to be pushed. */
  text?: string
  /** Another relay has it. */
  isForeign?: true
  /** Of a legacy message: the flags that came with it. */
  flags?: number
}

/** What waits for one device. */
export interface WaitingPush extends DeviceName {
  projectId: string
  provider: ProviderName
  /** When it is due, if nobody has it. */
  at: number
  createdAt: number
  /** Until then a worker has it. */
  takenUntil: number
  /** How often it was tried without success. */
  attempts: number
  messages: WaitingMessage[]
  /** Messages that gave way to others. */
  more: number
}

export interface QueueName {
  projectId: string
  provider: ProviderName
}

/** Why a project's provider is not asked. */
export interface Stopped {
  at: number
  reason: string
}

/** What a provider was told to be, sealed. Its id changes with every change. */
export interface StoredCredentials {
  id: string
  sealed: string
  /** What may be shown: topic, kind, project of the provider. */
  shown: Record<string, string>
  setAt: number
  stopped?: Stopped
}

export interface PushProject {
  id: string
  createdAt: number
  /** Whether clients without a token may register. */
  isOpen: boolean
  credentials: { [P in ProviderName]?: StoredCredentials }
}

export interface PlacedDevice extends Device {
  clientId: string
}

export interface RegisterLimits {
  now: number
  /** Devices of one client. */
  devices: number
}

/** A client that is connected to a process. */
export interface ConnectedClient {
  clientId: string
  processId: string
  /** When it connected. */
  since: number
  /** Messages that must not wake, although their tags would: ids. */
  silent: string[]
}

export interface DeviceStore {
  /**
   * Puts the device in place of the one with its id, and ends those of this client and of others that have its address. An
   * unproven one throws `unauthenticated` where it would take a proven one's place, and a proven one ends the unproven ones
   * of its client. Throws `rate_limited` for one device more than there may be.
   */
  register(clientId: string, device: Device, limits: RegisterLimits): Promise<void>
  /** Ends devices of a client, and what waits for them; all, those of a project, or one. Returns those that were there. */
  unregister(
    clientId: string,
    which: { projectId?: string; deviceId?: string; mayEndProven: boolean },
    now: number,
  ): Promise<Device[]>
  /** Ends the device if it has this address still. */
  gone(name: DeviceName, address: Address, now: number): Promise<void>
  /** The live devices of these clients, in no order. */
  devices(clientIds: readonly string[], now: number): Promise<PlacedDevice[]>
  /** Of these devices, those whose token no other client has registered since. */
  holders(devices: readonly PlacedDevice[]): Promise<PlacedDevice[]>
  /** How many of a project are live; about, where there are many. */
  countDevices(projectId: string, now: number): Promise<number>
  /** A page of a project's live devices, in an order of the store. */
  listDevices(
    projectId: string,
    page: { after?: string; limit: number; now: number },
  ): Promise<{ devices: PlacedDevice[]; next: string | undefined }>
  /** False only when no client at all has a live device. */
  hasDevices(now: number): Promise<boolean>
  /** Calls the listener when the devices or connections of a client changed, here or elsewhere. May be lost. */
  onDevices(listener: (clientId: string) => void): Disposable
  /** Puts devices of another store there; bears repetition. */
  restoreDevices(devices: readonly PlacedDevice[], now: number): Promise<void>
}

/** Messages that are added to what waits for one device. */
export interface Addition extends DeviceName {
  projectId: string
  provider: ProviderName
  /** When the device is to be pushed to, where nothing waits for it. */
  at: number
  messages: readonly WaitingMessage[]
}

export interface WaitingStore {
  /** Adds messages; those that wait already are left out, and beyond `limit` those of the lowest rank give way. */
  add(additions: readonly Addition[], bounds: { limit: number; now: number }): Promise<void>
  /** Due pushes that no other worker has before `until`. */
  take(queue: QueueName, lease: { limit: number; now: number; until: number }): Promise<WaitingPush[]>
  /**
   * A worker is done with the push: these messages were handed over, or are dropped, by their ids. What is left, or came
   * meanwhile, is due at `again`, else at once. `handed` are remembered for an hour.
   */
  finish(
    push: WaitingPush,
    over: {
      handed: readonly string[]
      dropped: readonly string[]
      again?: { at: number; attempts: number }
      now: number
    },
  ): Promise<void>
  /** Of these messages those that were handed to the device within the last hour. */
  handed(
    push: Pick<WaitingPush, 'projectId' | 'clientId' | 'deviceId'>,
    ids: readonly string[],
  ): Promise<Set<string>>
  /** What waits for the device. */
  waitingFor(name: DeviceName & QueueName): Promise<WaitingPush | undefined>
  /** How many devices of a queue have something that waits. */
  countWaiting(queue: QueueName): Promise<number>
  /** Makes everything of the queue due now: for a provider that was stopped. */
  hurry(queue: QueueName, now: number): Promise<void>
  /** Makes what waits for the device due now, unless a worker has it: for a device that is registered again. */
  hurryDevice(name: DeviceName & QueueName, now: number): Promise<void>
  onWaiting(listener: (queue: QueueName) => void): Disposable
  restoreWaiting(pushes: readonly WaitingPush[], now: number): Promise<void>
}

export interface ProjectStore {
  project(id: string): Promise<PushProject | undefined>
  projects(): Promise<PushProject[]>
  /** Changes the project, or makes it; undefined leaves it as it is. Throws `quota_reached` beyond `limit` projects. */
  changeProject(
    id: string,
    change: (project: PushProject | undefined) => PushProject | undefined,
    bounds: { limit: number; now: number },
  ): Promise<PushProject | undefined>
  /** Its devices are no more counted or listed; they end by themselves. False where there is none. */
  removeProject(id: string): Promise<boolean>
  /** The server's VAPID key, sealed; `fresh` where there is none. */
  vapidKey(fresh: string): Promise<string>
  onProject(listener: (id: string) => void): Disposable
}

export interface ProcessStore {
  /** The process lives until then, unless it says so again. */
  alive(processId: string, until: number): Promise<void>
  /** Those that were to be alive until an instant that has passed. */
  dead(now: number): Promise<string[]>
  connected(client: ConnectedClient): Promise<void>
  disconnected(name: Pick<ConnectedClient, 'clientId' | 'processId'>): Promise<void>
  /** The message must not wake the client, although its tag would. */
  silence(name: Pick<ConnectedClient, 'clientId' | 'processId'>, messageId: string): Promise<void>
  /** Where these clients are connected. */
  connections(clientIds: readonly string[]): Promise<ConnectedClient[]>
  /** A page of the clients of a process. */
  clientsOf(processId: string, limit: number): Promise<string[]>
  /** Nothing is left of the process. */
  buried(processId: string): Promise<void>
}

export interface PushStore extends DeviceStore, WaitingStore, ProjectStore, ProcessStore {
  /** Removes registrations that have ended; returns how many it looked at, at most `limit`. */
  sweep(now: number, limit: number): Promise<number>
}
