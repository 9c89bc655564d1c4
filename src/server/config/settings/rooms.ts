/** The rooms: the relay of the notify server, hosts that are asked, what the archive keeps. */
import * as z from 'zod'
import { PrivateAddresses } from './private-addresses.ts'
import { isUrl, list, type Setting, setting, url } from './setting.ts'
import { wholeNumber } from './whole-number.ts'

/** Providers put their keys into path and query. */
const isRpcUrl = (text: string): boolean => isUrl(text.replace(/\?[^#]*/, ''), ['http:', 'https:'])

/** `eip155:1=https://…,eip155:10=https://…`; a comma that no chain follows belongs to what is before it. */
const mapping = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split(/,(?=\s*eip155:[^=,]*=|\s*$)/).flatMap((one) => {
      const [name = '', ...value] = one.split('=')
      return name.trim() === '' ? [] : [[name.trim(), value.join('=').trim()]]
    }),
  )

export const ROOM_SETTINGS = {
  relayUrl: setting({
    schema: url('ws:', 'wss:', 'http:', 'https:').optional(),
    env: 'BELFRY_RELAY_URL',
    flag: 'relay-url',
    hint: 'URL',
    must: 'a ws, wss, http or https URL without user, query or fragment',
    about: 'The relay that the notify server uses when this process has none',
    fallback: 'the own one',
  }),
  relayProjectId: setting({
    schema: z.string().min(1).max(128).optional(),
    env: 'BELFRY_RELAY_PROJECT_ID',
    flag: 'relay-project-id',
    hint: 'ID',
    must: 'a project id',
    about: 'Shown to that relay',
    fallback: 'none',
  }),
  relayShared: setting({
    schema: z
      .union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
      .default(false),
    env: 'BELFRY_RELAY_SHARED',
    flag: 'relay-shared',
    hint: 'true|false',
    must: 'true or false',
    about: 'That relay is another belfry process on the same REDIS_URL',
  }),
  notifyIngress: setting({
    schema: z.enum(['socket', 'webhook']).default('socket'),
    env: 'BELFRY_NOTIFY_INGRESS',
    flag: 'notify-ingress',
    hint: 'socket|webhook',
    must: 'socket or webhook',
    about:
      'How messages come from the relay to the notify server: over a connection, or posted as signed events',
  }),
  delivered: setting({
    schema: z
      .union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
      .default(true),
    env: 'BELFRY_DELIVERED',
    flag: 'delivered',
    hint: 'true|false',
    must: 'true or false',
    about: 'Whether an own relay is asked to tell which notifications have reached a wallet',
  }),
  relayWebhookUrl: setting({
    schema: url('http:', 'https:').optional(),
    env: 'BELFRY_RELAY_WEBHOOK_URL',
    flag: 'relay-webhook-url',
    hint: 'URL',
    must: 'an http or https URL without user, query or fragment',
    about: 'How the relay reaches the notify server with its events, which go to /v1/relay-webhook there',
    fallback: "the public URL, or this machine's where the relay is in this process",
  }),
  projectIds: setting({
    schema: list(z.string().max(128)).pipe(z.array(z.string()).min(1)).optional(),
    env: 'BELFRY_PROJECT_IDS',
    flag: 'project-ids',
    hint: 'ID,…',
    must: 'a list of project ids, separated by commas',
    about: 'The only project ids that the relay lets in',
    fallback: 'all',
  }),
  keyServers: setting({
    schema: list(url('https:', 'http:')).default(['https://keys.walletconnect.com']),
    env: 'BELFRY_KEY_SERVERS',
    flag: 'key-servers',
    hint: 'URL,…',
    must: 'a list of https URLs, separated by commas',
    about: 'Key servers that are asked beside the own one',
  }),
  allowPrivateAddresses: setting({
    schema: PrivateAddresses,
    env: 'BELFRY_ALLOW_PRIVATE_ADDRESSES',
    flag: 'allow-private-addresses',
    hint: 'PURPOSE=HOST|RANGE,…;…',
    must: 'lists of host names, addresses and ranges like keys=keys.internal:8080,10.1.0.0/16; webhooks=hooks.internal; did=…; push=…, or one list for all four, or true',
    about:
      'Where in your own network key servers (`keys`), webhooks of projects (`webhooks`), did:web documents (`did`) and push services (`push`) may be, in plain http too; others must be public and https',
    fallback: 'nowhere',
  }),
  rpcUrls: setting({
    schema: z
      .union([z.record(z.string(), z.string()), z.string().transform(mapping)])
      .pipe(z.record(z.string().regex(/^eip155:\d{1,32}$/), z.string().refine(isRpcUrl)))
      .optional(),
    env: 'BELFRY_RPC_URLS',
    hint: 'CHAIN=URL,…',
    must: 'a list like eip155:1=https://…,eip155:10=https://…, or in a file a mapping',
    about: 'Nodes that are asked whether a contract wallet signed, by chain; needs the package `viem`',
    fallback: 'none: contract wallets are refused',
    isSecret: true,
  }),
  rpcProxy: setting({
    schema: z.enum(['on', 'off']).default('off'),
    env: 'BELFRY_RPC_PROXY',
    flag: 'rpc-proxy',
    hint: 'on|off',
    must: 'on or off',
    about:
      'Whether wallets may ask the nodes of BELFRY_RPC_URLS through this server (`POST /v1`): calls that read, which the operator pays for',
  }),
  wallets: setting({
    schema: z.string().min(1).optional(),
    env: 'BELFRY_WALLETS',
    flag: 'wallets',
    hint: 'FILE',
    must: 'the name of a file',
    about:
      'A JSON file with the wallets that modals of dapps offer, as the hosted explorer answered it (`GET /v3/wallets`)',
    fallback: 'none: modals are not answered',
  }),
  archiveDays: setting({
    schema: wholeNumber(1, 3650).default(365),
    env: 'BELFRY_ARCHIVE_DAYS',
    flag: 'archive-days',
    hint: 'N',
    must: 'a whole number from 1 to 3650',
    about: 'How long messages that clients registered for are kept in the archive',
  }),
  archiveMessages: setting({
    schema: wholeNumber(1, 10_000_000).default(50_000),
    env: 'BELFRY_ARCHIVE_MESSAGES',
    flag: 'archive-messages',
    hint: 'N',
    must: 'a whole number from 1 to 10000000',
    about: 'Messages of one topic that the archive keeps; above it the oldest go',
  }),
  archiveMegabytes: setting({
    schema: wholeNumber(1, 100_000).default(64),
    env: 'BELFRY_ARCHIVE_MEGABYTES',
    flag: 'archive-megabytes',
    hint: 'N',
    must: 'a whole number from 1 to 100000',
    about: 'The same in MiB',
  }),
} satisfies Record<string, Setting>
