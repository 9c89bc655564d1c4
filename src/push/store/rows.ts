/**
 * The rows of push.
 *
 * | table | partition · key | value |
 * |---|---|---|
 * | push.devices | client id | the client's devices |
 * | push.tokens | a hash of the address | which device has it |
 * | push.registered | project · end, client id, device id | – |
 * | push.until | one for all | until when there may be a device |
 * | push.waiting, by provider | project · client id, device id | what waits for the device; due at its `at` |
 * | push.handed | project · client id, device id | hashes of the ids of messages that were handed over lately |
 * | push.projects | one for all · project id | settings and sealed credentials |
 * | push.vapid | one for all | the server's key for Web Push, sealed |
 * | push.processes | one for all · process id | until when the process lives |
 * | push.connections | client id · process id | since when the client is connected there |
 * | push.clients | process · client id | – |
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { key, name, named, number } from '../../storage/bytes.ts'
import { float, json, NOTHING, text } from '../../storage/codec.ts'
import { defineTable } from '../../storage/table.ts'
import {
  type Address,
  type Device,
  type DeviceName,
  PROVIDER_NAMES,
  type PushProject,
  type WaitingMessage,
  type WaitingPush,
} from '../store.ts'

const providerSchema = z.enum(PROVIDER_NAMES)
const addressSchema: z.ZodType<Address> = z.discriminatedUnion('provider', [
  z.object({ provider: z.literal('apns'), token: z.string(), isSandbox: z.boolean() }),
  z.object({ provider: z.literal('fcm'), token: z.string() }),
  z.object({
    provider: z.enum(['webpush', 'unifiedpush']),
    endpoint: z.string(),
    p256dh: z.string(),
    auth: z.string(),
  }),
  z.object({ provider: z.literal('noop'), token: z.string() }),
])

export const deviceSchema = z.object({
  id: z.string(),
  projectId: z.string(),
  address: addressSchema,
  form: z.enum(['published', 'together', 'hidden']),
  isLegacy: z.boolean(),
  sealKey: z.string().exactOptional(),
  tags: z.array(z.number()).exactOptional(),
  quiet: z.object({ from: z.number(), to: z.number(), timeZone: z.string() }).exactOptional(),
  isProven: z.boolean(),
  expiresAt: z.number(),
}) satisfies z.ZodType<Device>

const waitingMessageSchema: z.ZodType<WaitingMessage> = z.object({
  topic: z.string(),
  id: z.string(),
  tag: z.number(),
  rank: z.number(),
  at: z.number(),
  expiresAt: z.number(),
  seq: z.number().exactOptional(),
  text: z.string().exactOptional(),
  isForeign: z.literal(true).exactOptional(),
  flags: z.number().exactOptional(),
})

export const waitingSchema: z.ZodType<WaitingPush> = z.object({
  clientId: z.string(),
  deviceId: z.string(),
  projectId: z.string(),
  provider: providerSchema,
  at: z.number(),
  createdAt: z.number(),
  takenUntil: z.number(),
  attempts: z.number(),
  messages: z.array(waitingMessageSchema),
  more: z.number(),
})

const credentialsSchema = z.object({
  id: z.string(),
  sealed: z.string(),
  shown: z.record(z.string(), z.string()),
  setAt: z.number(),
  stopped: z.object({ at: z.number(), reason: z.string() }).exactOptional(),
})
export const pushProjectSchema: z.ZodType<PushProject> = z.object({
  id: z.string(),
  createdAt: z.number(),
  isOpen: z.boolean(),
  credentials: z
    .object({
      apns: credentialsSchema,
      fcm: credentialsSchema,
      webpush: credentialsSchema,
      unifiedpush: credentialsSchema,
      noop: credentialsSchema,
    })
    .partial()
    .transform((all) => all as PushProject['credentials']),
})

const deviceName: z.ZodType<DeviceName> = z.object({ clientId: z.string(), deviceId: z.string() })

export const PUSH_TABLES = {
  devices: defineTable({
    name: 'push.devices',
    shape: 'cell',
    codec: json(z.array(deviceSchema)),
    ends: true,
  }),
  tokens: defineTable({ name: 'push.tokens', shape: 'cell', codec: json(deviceName), ends: true }),
  registered: defineTable({ name: 'push.registered', shape: 'index', codec: NOTHING }),
  until: defineTable({ name: 'push.until', shape: 'cell', codec: float }),
  waiting: defineTable({ name: 'push.waiting', shape: 'queue', codec: json(waitingSchema), ends: true }),
  handed: defineTable({
    name: 'push.handed',
    shape: 'map',
    codec: json(z.array(z.string())),
    ends: true,
  }),
  projects: defineTable({ name: 'push.projects', shape: 'ordered', codec: json(pushProjectSchema) }),
  vapid: defineTable({ name: 'push.vapid', shape: 'cell', codec: text }),
  processes: defineTable({ name: 'push.processes', shape: 'ordered', codec: float }),
  connections: defineTable({
    name: 'push.connections',
    shape: 'ordered',
    codec: json(z.object({ since: z.number(), silent: z.array(z.string()) })),
  }),
  clients: defineTable({ name: 'push.clients', shape: 'index', codec: NOTHING }),
}

/** The partition of what is one for all. */
export const ALL = 'push'
export const ofProject = (projectId: string): string => `push ${projectId}`
export const ofProcess = (processId: string): string => `push process ${processId}`
export const ofAddress = (address: Address): string => {
  const place = 'token' in address ? address.token : address.endpoint
  const kind = 'token' in address ? address.provider : 'web'
  return `push token ${createHash('sha256').update(`${kind}\0${place}`).digest('base64url')}`
}

export const deviceKey = ({ clientId, deviceId }: DeviceName): Buffer => named(clientId, name(deviceId))
export const registeredKey = (expiresAt: number, of: DeviceName): Buffer =>
  key(number(expiresAt), deviceKey(of))
/** The device of such a key. */
export const registeredName = (entry: Buffer): DeviceName & { expiresAt: number } => {
  const [clientId = '', deviceId = ''] = entry.toString('utf8', 8).split('\0')
  return { clientId, deviceId, expiresAt: entry.readDoubleBE(0) }
}

export const sameAddress = (one: Address, other: Address): boolean => ofAddress(one) === ofAddress(other)

/** Tells of changed devices and connections, of pushes that wait, and of changed projects. */
export const CHANNELS = { devices: 'push devices', waiting: 'push waiting', projects: 'push projects' }
