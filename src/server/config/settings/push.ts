/** Push: where providers are, whom else it listens to, and how much it keeps. */
import * as z from 'zod'
import { isUrl, list, type Setting, setting } from './setting.ts'
import { wholeNumber } from './whole-number.ts'

const PROVIDER_URLS = ['apns', 'apns-sandbox', 'fcm'] as const

/** `apns=https://…,fcm=https://…` */
const mapping = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(',')
      .filter((one) => one.trim() !== '')
      .map((one) => {
        const at = one.indexOf('=')
        return [one.slice(0, Math.max(at, 0)).trim(), one.slice(at + 1).trim()]
      }),
  )

const isContact = (text: string): boolean => /^mailto:\S+@\S+$/.test(text) || isUrl(text, ['https:'])
const isRelay = (text: string): boolean => /^[0-9a-f]{64}$/i.test(text) || isUrl(text, ['https:', 'http:'])

export const PUSH_SETTINGS = {
  pushRelays: setting({
    schema: list(z.string().refine(isRelay)).default([]),
    env: 'BELFRY_PUSH_RELAYS',
    flag: 'push-relays',
    hint: 'URL|KEY,…',
    must: 'a list of http or https URLs, or of Ed25519 keys in hex, separated by commas',
    about: 'Other relays that may post messages to be pushed; the key of a URL is read at its /public-key',
    fallback: 'none',
  }),
  pushContact: setting({
    schema: z.string().max(256).refine(isContact).optional(),
    env: 'BELFRY_PUSH_CONTACT',
    flag: 'push-contact',
    hint: 'URL',
    must: 'an https or mailto URL',
    about: 'How push services of browsers reach the operator; they are told with every push',
    fallback: 'the public URL',
  }),
  pushDevices: setting({
    schema: wholeNumber(1, 100_000_000).default(1_000_000),
    env: 'BELFRY_PUSH_DEVICES',
    flag: 'push-devices',
    hint: 'N',
    must: 'a whole number from 1 to 100000000',
    about: 'Devices of one project that may be registered',
  }),
  pushUrls: setting({
    schema: z
      .union([z.record(z.string(), z.string()), z.string().transform(mapping)])
      .pipe(
        z.partialRecord(
          z.enum(PROVIDER_URLS),
          z.string().refine((text) => isUrl(text, ['https:'])),
        ),
      )
      .default({}),
    env: 'BELFRY_PUSH_URLS',
    flag: 'push-urls',
    hint: 'PROVIDER=URL,…',
    must: 'a list like apns=https://…,apns-sandbox=https://…,fcm=https://…',
    about: 'Where the providers are, for proxies and tests',
    fallback: "Apple's and Google's",
  }),
  pushCa: setting({
    schema: z.string().min(1).optional(),
    env: 'BELFRY_PUSH_CA',
    flag: 'push-ca',
    hint: 'FILE',
    must: 'a PEM file',
    about: 'Certificate authorities that providers and push services are checked by',
    fallback: 'the well-known ones',
  }),
} satisfies Record<string, Setting>
