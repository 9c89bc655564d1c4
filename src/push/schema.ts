/** Wire shapes of push. */
import * as z from 'zod'
import { ed25519FromDid } from '../protocol/did.ts'

const DID_KEY = 'did:key:'

/** A client id, with or without `did:key:`; comes out with it. */
export const ClientId = z
  .string()
  .max(128)
  .transform((text, context) => {
    const did = text.startsWith(DID_KEY) ? text : DID_KEY + text
    try {
      ed25519FromDid(did)
      return did
    } catch {
      context.addIssue({ code: 'custom', message: 'not the did:key of an Ed25519 key' })
      return z.NEVER
    }
  })

export const ProjectId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, - and _, at most 64')

const token = z
  .string()
  .min(1)
  .max(1_024)
  .regex(/^[\x21-\x7e]+$/, 'visible characters')
/** Apple's tokens become part of a path. */
export const ApnsToken = token.regex(/^[A-Za-z0-9_:-]+$/, 'letters and digits')

/** What `PushSubscription.toJSON()` gives; UnifiedPush hands out the same. */
export const WebPushSubscription = z.object({
  endpoint: z.url({ protocol: /^https?$/ }).max(2_048),
  keys: z.object({ p256dh: z.string().max(128), auth: z.string().max(64) }),
})
export type WebPushSubscription = z.infer<typeof WebPushSubscription>

export const PUBLISHED_TYPES = ['fcm', 'fcm_v1', 'apns', 'apns-sandbox', 'noop'] as const

/** A registration as published wallets send it. */
export const PublishedClient = z.object({
  client_id: ClientId,
  type: z.enum(PUBLISHED_TYPES),
  token,
  always_raw: z.boolean().nullish(),
})
export type PublishedClient = z.infer<typeof PublishedClient>

const time = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time like 22:30')
  .transform((text) => {
    const [hours = 0, minutes = 0] = text.split(':').map(Number)
    return hours * 60 + minutes
  })

/** Where a device is reached, as our clients say it: one of them. */
const target = z.union([
  z.strictObject({ webpush: WebPushSubscription }),
  z.strictObject({ unifiedpush: WebPushSubscription }),
  z.strictObject({ apns: z.strictObject({ token: ApnsToken, sandbox: z.boolean().default(false) }) }),
  z.strictObject({ fcm: z.strictObject({ token }) }),
])

/** A registration of ours. */
export const NewDevice = z.strictObject({
  target,
  /** All that waits in one push that shows no topic and no tag, and one of three sizes. */
  hidden: z.boolean().default(false),
  /** X25519 key, hex, that hidden pushes of APNs and FCM are sealed to. */
  sealKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  tags: z.array(z.int().nonnegative().max(999_999_999)).max(64).optional(),
  quiet: z.strictObject({ from: time, to: time, timeZone: z.string().min(1).max(64) }).optional(),
})
export type NewDevice = z.output<typeof NewDevice>

/** `POST …/clients/{id}`: a message of a relay. Which fields are needed depends on the client. */
export const RelayMessageBody = z.object({
  topic: z.string().max(128).nullish(),
  tag: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).nullish(),
  message: z
    .string()
    .max(512 * 1024)
    .nullish(),
  id: z.string().min(1).max(256).nullish(),
  payload: z
    .object({
      topic: z.string().max(128).nullish(),
      flags: z.number().int().nonnegative().max(0xffff_ffff),
      blob: z.string().max(512 * 1024),
    })
    .nullish(),
})
export type RelayMessageBody = z.infer<typeof RelayMessageBody>
