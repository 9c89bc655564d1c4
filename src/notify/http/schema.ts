/** Wire shapes of the HTTP API: requests of dapps and their answers. Limits are as published. */
import * as z from 'zod'
import { parseAccount } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { DOMAIN, MAX_DOMAIN_LENGTH, TYPE_ID } from '../apps/apps.ts'

/** Accounts that one call may name, over all its notifications. */
export const MAX_ACCOUNTS_PER_CALL = 500

/** Lengths are counted in Unicode code points, not in UTF-16 units. */
export const text = (least: number, most: number) =>
  z
    .string()
    .refine(
      (value) => {
        // A code point is one or two units, so this decides most cases without counting.
        if (value.length < least || value.length > most * 2) return false
        const length = [...value].length
        return length >= least && length <= most
      },
      { error: `must be ${least} to ${most} characters` },
    )
    .meta({ minLength: least, maxLength: most })

const optionalText = (most: number) => text(0, most)

/** An http(s) URL, or a path of the app's own site. Never `data:` or `javascript:`. */
const isLink = (value: string): boolean => {
  if (/^\/(?![/\\])[^\s\\]*$/.test(value)) return true
  if (!URL.canParse(value)) return false
  const { protocol } = new URL(value)
  return protocol === 'https:' || protocol === 'http:'
}

export const link = text(1, 255).refine(isLink, {
  error: 'must be an http(s) URL, or a path that starts with /',
})

/** A link that may be missing: absent, null and '' mean the same. */
export const optionalLink = z
  .union([z.literal(''), link])
  .nullish()
  .transform((value) => value || null)

/** An app's domain, also `localhost`, also with a port. */
export const Domain = z
  .string()
  .max(MAX_DOMAIN_LENGTH, { error: `must be at most ${MAX_DOMAIN_LENGTH} characters` })
  .regex(DOMAIN, { error: 'must be a domain in lower case, with or without a port' })

/** A notification type's id: a UUID, or a short name. */
export const TypeId = z.string().regex(TYPE_ID, {
  error: 'must be a UUID, or 2 to 32 of a-z 0-9 _ -',
})

/** CAIP-10, kept exactly as it was written. */
export const AccountText = z.string().superRefine((value, context) => {
  try {
    parseAccount(value)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    context.addIssue({ code: 'custom', message: 'must be a CAIP-10 account' })
  }
})

/** The length is checked first, so that a thousand wrong items are one fault and cost one check. */
export const accounts = (least: number, most: number) =>
  z
    .array(z.unknown())
    .min(least, { error: `must name at least ${least}` })
    .max(most, { error: `must name at most ${most}` })
    .pipe(z.array(AccountText))
    .meta({ type: 'array', items: { type: 'string' }, minItems: least, maxItems: most })

export const SubscribeTopic = z.object({ appDomain: Domain }).meta({ id: 'SubscribeTopic' })

export const SubscribeTopicAnswer = z
  .object({ authenticationKey: z.string(), subscribeKey: z.string() })
  .meta({ id: 'SubscribeTopicAnswer', description: 'Public keys, hex: Ed25519 and X25519' })

export const SubscribersV1 = z
  .object({ accounts: accounts(1, 100), appDomain: Domain.optional() })
  .meta({ id: 'Subscribers' })

export const SubscribersV1Answer = z.record(z.string(), z.object({ notification_types: z.array(z.string()) }))

/** How many entries a page is to have: 1 to `most`. */
export const pageSize = (most: number, otherwise: number) => {
  const error = `must be a number from 1 to ${most}`
  return z
    .string()
    .regex(/^[0-9]{1,4}$/, { error })
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= most, { error })
    .default(otherwise)
}

export const SubscribersPage = z.object({
  appDomain: Domain.optional(),
  // Where a page ended: a domain and an account.
  after: z
    .string()
    .regex(/^[\x21-\x2e\x30-\x7e]{1,253}\/[\x20-\x7e]{0,200}$/, { error: 'must be what `next` said' })
    .optional(),
  limit: pageSize(1_000, 100),
})

export const SubscribersAnswer = z.object({
  subscribers: z.array(
    z.object({
      account: z.string(),
      app_domain: z.string(),
      notification_types: z
        .array(z.string())
        .meta({ description: 'Ids of the types that the account wants' }),
      subscribed_at: z.iso.datetime(),
      expires_at: z.iso.datetime(),
    }),
  ),
  next: z.string().nullable(),
})

export const ForApp = z.object({ appDomain: Domain.optional() })

const pictures = { sm: optionalLink, md: optionalLink, lg: optionalLink }

/** What an app says about itself. What is absent stays as it is. */
export const AppDeclaration = z
  .object({
    name: optionalText(128).optional(),
    description: optionalText(1024).optional(),
    url: z.union([z.literal(''), link]).optional(),
    icons: z
      .object(pictures)
      .transform(({ sm, md, lg }) => ({ sm: sm ?? '', md: md ?? '', lg: lg ?? '' }))
      .optional(),
    types: z
      .array(
        z.object({ id: TypeId.optional(), name: text(1, 64), description: optionalText(255).optional() }),
      )
      .max(64, { error: 'must be at most 64' })
      .superRefine((types, context) => {
        const ids = new Set<string>()
        for (const [at, { id }] of types.entries()) {
          if (id === undefined) continue
          if (ids.has(id)) {
            context.addIssue({ code: 'custom', path: [at, 'id'], message: 'must be unique' })
          }
          ids.add(id)
        }
      })
      .optional(),
    listed: z.boolean().optional(),
    links: z.boolean().optional(),
  })
  .meta({ id: 'AppDeclaration' })

const Icons = z.object({ sm: z.string(), md: z.string(), lg: z.string() })

export const AppAnswer = z
  .object({
    projectId: z.string(),
    domain: z.string(),
    name: z.string(),
    description: z.string(),
    url: z.string(),
    icons: Icons,
    types: z.array(z.object({ id: z.string(), name: z.string(), description: z.string() })),
    listed: z.boolean(),
    links: z.boolean(),
    authenticationKey: z.string(),
    subscribeKey: z.string(),
  })
  .meta({ id: 'App' })

export const AppsPage = z.object({
  after: Domain.optional(),
  limit: pageSize(100, 100),
})

export const AppsAnswer = z.object({ apps: z.array(AppAnswer), next: z.string().nullable() })

export const NotifyConfigQuery = z.object({ appDomain: Domain })

/** The Kotlin client requires `isVerified`; nothing here checks who owns a domain. */
export const NotifyConfigAnswer = z.object({
  data: z.object({
    id: z.string(),
    name: z.string(),
    homepage: z.string(),
    description: z.string(),
    dapp_url: z.string(),
    image_url: Icons,
    notificationTypes: z.array(
      z.object({ id: z.string(), name: z.string(), description: z.string(), imageUrls: Icons }),
    ),
    isVerified: z.boolean(),
  }),
})

const pageNumber = (most: number, otherwise: number) =>
  z.coerce
    .number()
    .int()
    .min(1)
    .max(most)
    .catch(otherwise)
    .meta({ type: 'integer', minimum: 1, maximum: most, default: otherwise })

/** Lenient: wallets send more (`is_verified`, `isFeatured` …), and a wrong number must not cost them the list. */
export const ProjectsQuery = z.object({ entries: pageNumber(100, 100), page: pageNumber(1_000_000, 1) })

export const ProjectsAnswer = z.object({
  projects: z.record(
    z.string(),
    z.object({
      id: z.string(),
      name: z.string(),
      homepage: z.string(),
      description: z.string(),
      dapp_url: z.string(),
      image_url: Icons,
      is_verified: z.boolean(),
    }),
  ),
  count: z.number(),
})

const Jwk = z.object({ kty: z.literal('OKP'), crv: z.string(), x: z.string() })

export const DidDocument = z
  .object({
    '@context': z.array(z.string()),
    id: z.string(),
    verificationMethod: z.array(
      z.object({
        id: z.string(),
        type: z.literal('JsonWebKey2020'),
        controller: z.string(),
        publicKeyJwk: Jwk,
      }),
    ),
    keyAgreement: z.array(z.string()),
    authentication: z.array(z.string()),
  })
  .meta({ id: 'DidDocument' })
