/**
 * Watch webhooks of the relay: what a watched client signs to have one, and what the relay signs when it tells of a
 * message. All are did-JWTs; times are seconds, but for `publishedAt` and `at`, which are unix ms.
 * Source: the published relay API ("Relay Webhooks").
 */
import * as z from '#schema'
import { TOPIC } from './topic.ts'

export const WATCH_ACTS = {
  register: 'irn_watchRegister',
  unregister: 'irn_watchUnregister',
  event: 'irn_watchEvent',
  /** Of the POST without events by which a service is asked whether it wants any. Ours. */
  challenge: 'irn_watchChallenge',
} as const

export const WATCH_LIMITS = {
  /** Webhooks of one watched client. */
  perClient: 64,
  /** How long a registration lasts at most, s. */
  lifetime: 2_592_000,
  /** How long an event is tried at most, s; less when its message lives shorter. */
  retryFor: 259_200,
  urlBytes: 512,
  /** Webhooks of one watched client on one host. */
  perHost: 8,
} as const

const type = z.enum(['subscriber', 'publisher'])
const status = z.enum(['accepted', 'queued', 'delivered'])
export type WatchType = z.infer<typeof type>
export type WatchStatus = z.infer<typeof status>

const httpUrl = z
  .string()
  .max(WATCH_LIMITS.urlBytes)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'an http or https URL')

/** `sub` names the service, `whu` is where events are posted; together they are the name of the registration. */
const registration = z.object({ sub: httpUrl, whu: httpUrl, typ: type })
export const WatchUnregisterClaims = registration
export const WatchRegisterClaims = registration.extend({
  tag: z.array(z.number().int().nonnegative()).min(1).max(256),
  sts: z.array(status).min(1).max(16),
})

/** `sub` is the watched client, `aud` the service. */
export const WatchEventClaims = z.object({
  sub: z.string(),
  typ: type,
  whu: z.string(),
  iat: z.number(),
  evt: z.object({
    /** Hex SHA-256 of the message at our relay; another one may number them. */
    messageId: z.union([z.string(), z.number()]),
    status,
    topic: z
      .string()
      .regex(TOPIC)
      .transform((text) => text.toLowerCase()),
    message: z.string(),
    publishedAt: z.number(),
    tag: z.number().int().nonnegative(),
    attestation: z
      .string()
      .nullish()
      .transform((text) => text ?? ''),
    /** Ours: when it happened; `iat` is when it was told. */
    at: z.number().optional(),
  }),
})
export type WatchEventClaims = z.output<typeof WatchEventClaims>
/** What a watch tells, without who says it to whom. */
export type WatchEvent = Pick<WatchEventClaims, 'typ' | 'evt'>

/** The body of the POST; without events it asks whether the service wants any. */
export const WatchWebhook = z.object({ eventAuth: z.array(z.string()).max(500) })
