/**
 * Every setting, once: its names, what it must be, its default, what it is for. The start, `serve --help`, `check` and
 * the table in docs/configure.md are made from this.
 */
import { z } from 'zod'
import { isProxyRule } from '../../platform/net/client-address.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'
import { parseRedisUrl } from '../../storage/redis/url.ts'
import { Budgets } from './settings/budgets.ts'
import { MqDomains, parseDomains } from './settings/mq-domains.ts'
import { PrivateAddresses } from './settings/private-addresses.ts'
import { RATE_LIMIT_NAMES, RateLimitSetting } from './settings/rate-limits.ts'
import { wholeNumber } from './settings/whole-number.ts'

interface Setting<S extends z.ZodType = z.ZodType> {
  schema: S
  /** Name in the environment. */
  env: string
  /** Flag without the dashes; absent for what must not be seen in a list of processes. */
  flag?: string
  /** How `--help` shows the value. */
  hint: string
  /** Ends the sentence "PORT must be …". */
  must: string
  about: string
  /** How the default is described where it is worked out later. */
  fallback?: string
  isSecret?: true
}

const setting = <S extends z.ZodType>(one: Setting<S>): Setting<S> => one

const isUrl = (text: string, protocols: readonly string[]): boolean => {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return protocols.includes(protocol) && !username && !password && !search && !hash
}
const url = (...protocols: string[]) =>
  z
    .string()
    .refine((text) => isUrl(text, protocols))
    .transform((text) => withoutTrailingSlashes(text))

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

const isRedisUrl = (text: string): boolean => {
  try {
    parseRedisUrl(text)
    return true
  } catch {
    return false
  }
}

/** `a,b` or, in a file, `["a", "b"]`. */
const list = <S extends z.ZodType<unknown, string>>(item: S) =>
  z
    .union([z.array(z.string()), z.string().transform((text) => text.split(','))])
    .transform((items) => items.map((one) => one.trim()).filter((one) => one !== ''))
    .pipe(z.array(item))

export interface HostAndPort {
  host: string
  port: number
}

const addressAndPort = z.object({ host: z.string().min(1).max(253), port: wholeNumber(0, 65_535) })

/** `0.0.0.0:9464`, `[::]:9464`. */
const hostAndPort = (text: string, context: z.RefinementCtx): HostAndPort => {
  const {
    host,
    bare = host,
    port,
  } = /^(?:\[(?<bare>[\da-f:.]+)\]|(?<host>[\w.-]+)):(?<port>\d+)$/i.exec(text)?.groups ?? {}
  const parsed = addressAndPort.safeParse({ host: bare, port })
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom' })
  return z.NEVER
}

export const writtenAddress = ({ host, port }: HostAndPort): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

/** `name: queueLength=500, ttlDays=7; other: off`, or JSON; in a file an object. */
const mqSettings = z
  .union([z.looseObject({}), z.string()])
  .transform((given): unknown => (typeof given === 'string' ? { domains: parseDomains(given) } : given))
  .pipe(z.strictObject({ domains: MqDomains }))

export const ROOMS = ['relay', 'notify', 'keys', 'contacts', 'mq', 'archive', 'sessions', 'operator'] as const
/** Served only where they are named. */
const ON_REQUEST: readonly string[] = ['operator']

export const METRICS_PORT = 9464

export const SETTINGS = {
  port: setting({
    schema: wholeNumber(0, 65_535).default(8080),
    env: 'PORT',
    flag: 'port',
    hint: 'N',
    must: 'a whole number from 0 to 65535',
    about: 'Port for HTTP and WebSocket; 0 takes a free one',
  }),
  host: setting({
    schema: z.string().min(1).max(253).optional(),
    env: 'BELFRY_HOST',
    flag: 'host',
    hint: 'ADDRESS',
    must: 'an address or a host name',
    about: 'Address to listen on',
    fallback: 'every address of this machine',
  }),
  data: setting({
    schema: z.string().min(1).default('./belfry-data'),
    env: 'BELFRY_DATA',
    flag: 'data',
    hint: 'DIR',
    must: 'a directory',
    about: 'Where the store, the secret and the admin token are kept',
  }),
  publicUrl: setting({
    schema: url('http:', 'https:').optional(),
    env: 'BELFRY_PUBLIC_URL',
    flag: 'public-url',
    hint: 'URL',
    must: 'an http or https URL without user, query or fragment',
    about: 'How clients reach this server; once it is set, tokens made out to another server are refused',
    fallback: 'http://localhost:<port>',
  }),
  aliases: setting({
    schema: list(url('http:', 'https:')).default([]),
    env: 'BELFRY_ALIASES',
    flag: 'aliases',
    hint: 'URL,…',
    must: 'a list of http or https URLs, separated by commas',
    about: 'Other URLs under which clients know this server',
    fallback: 'none',
  }),
  secret: setting({
    schema: z.string().min(16).max(1024).optional(),
    env: 'BELFRY_SECRET',
    hint: 'TEXT',
    must: 'at least 16 characters',
    about: 'Seals keys at rest and makes project secrets; losing it loses every subscription',
    fallback: 'made at the first start, in <data>/secret',
    isSecret: true,
  }),
  previousSecret: setting({
    schema: z.string().min(16).max(1024).optional(),
    env: 'BELFRY_SECRET_PREVIOUS',
    hint: 'TEXT',
    must: 'at least 16 characters',
    about: 'While the secret is being changed: the other one, former or next, that opens what is kept',
    fallback: 'none, or in <data>/secret.previous',
    isSecret: true,
  }),
  config: setting({
    schema: z.string().min(1).optional(),
    env: 'BELFRY_CONFIG',
    flag: 'config',
    hint: 'FILE',
    must: 'a file',
    about: 'JSON or YAML with `apps: [{domain, name, types, …}]` and any of these settings',
    fallback: 'none',
  }),
  rooms: setting({
    schema: list(z.enum(ROOMS))
      .pipe(z.array(z.enum(ROOMS)).min(1))
      .default(ROOMS.filter((room) => !ON_REQUEST.includes(room))),
    env: 'BELFRY_ROOMS',
    flag: 'rooms',
    hint: 'NAME,…',
    must: `some of ${ROOMS.join(', ')}, separated by commas`,
    about: 'What this process serves',
  }),
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
    must: 'lists of host names, addresses and ranges like keys=keys.internal:8080,10.1.0.0/16; webhooks=hooks.internal; did=…, or one list for all three, or true',
    about:
      'Where in your own network key servers (`keys`), webhooks of projects (`webhooks`) and did:web documents (`did`) may be, in plain http too; others must be public and https',
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
  metrics: setting({
    schema: z
      .union([z.literal(['off', 'shared']), wholeNumber(0, 65_535), z.string().transform(hostAndPort)])
      .optional(),
    env: 'BELFRY_METRICS',
    flag: 'metrics',
    hint: 'PORT|ADDRESS:PORT|off|shared',
    must: 'a port, an address with a port, off, or shared',
    about:
      'Where /metrics is: a port that only this machine reaches, or an address:port like 0.0.0.0:9464; nowhere; or on the main port',
    fallback: `127.0.0.1:${METRICS_PORT}, or a free port when that is taken`,
  }),
  logLevel: setting({
    schema: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    env: 'BELFRY_LOG_LEVEL',
    flag: 'log-level',
    hint: 'LEVEL',
    must: 'debug, info, warn, error or silent',
    about: 'What is logged, as JSON on stderr',
  }),
  shutdownSeconds: setting({
    schema: wholeNumber(1, 3600).default(10),
    env: 'BELFRY_SHUTDOWN_SECONDS',
    flag: 'shutdown-seconds',
    hint: 'N',
    must: 'a whole number from 1 to 3600',
    about: 'How long the end may take after SIGTERM',
  }),
  limits: setting({
    schema: RateLimitSetting.default({}),
    env: 'BELFRY_LIMITS',
    flag: 'limits',
    hint: 'RULES|off',
    must: `off, or name: burst, n/s (or min, h, day) for some of ${RATE_LIMIT_NAMES.join(', ')}, separated by ;`,
    about: 'How much dapps and wallets may ask how fast; `off` for none',
    fallback: 'the published ones',
  }),
  budgets: setting({
    schema: Budgets.prefault({}),
    env: 'BELFRY_BUDGETS',
    flag: 'budgets',
    hint: 'RULES|off',
    must: 'off, or some of work: burst, n/s; stateMegabytes, connections, allConnections, memoryMegabytes, allMemoryMegabytes: N or off; separated by ;',
    about: 'What one address may cost, and all together: see SECURITY.md',
    fallback:
      'work: 10000, 1500/s; stateMegabytes: 64; connections: 256; allConnections: 50000; memoryMegabytes: 16; allMemoryMegabytes: 256',
  }),
  watermark: setting({
    schema: wholeNumber(1, 99).default(80),
    env: 'BELFRY_WATERMARK',
    flag: 'watermark',
    hint: 'PERCENT',
    must: 'a whole number from 1 to 99',
    about: "How full Redis' memory may be, in percent, before nothing new of strangers is kept",
  }),
  diskReserve: setting({
    schema: wholeNumber(1, 999_999_999).optional(),
    env: 'BELFRY_DISK_RESERVE',
    flag: 'disk-reserve',
    hint: 'MIB',
    must: 'a whole number of MiB, at least 1',
    about:
      'How much of the disk of the embedded store must be free, in MiB, or nothing new of strangers is kept',
    fallback: 'a tenth of the disk, 1024 at most',
  }),
  trustedProxies: setting({
    schema: list(z.string().refine(isProxyRule)).default(['loopback']),
    env: 'BELFRY_TRUSTED_PROXIES',
    flag: 'trusted-proxies',
    hint: 'ADDRESS|RANGE|loopback|private|none,…',
    must: 'a list of addresses and ranges like 10.0.0.0/8, loopback, private or none',
    about: 'Proxies that are believed when X-Forwarded-For says where a request came from',
  }),
  mq: setting({
    schema: mqSettings.prefault({ domains: {} }),
    env: 'BELFRY_MQ_DOMAINS',
    flag: 'mq-domains',
    hint: 'DOMAINS',
    must: 'a list like name: queueLength=500, ttlDays=7; other: off, or in a file {domains: {name: {enabled, messageBytes, queueLength, ttlDays, connectionTimeout}}}',
    about: 'Domains of the message queues and what each allows; `default` is one unless it is off',
    fallback: '`default`, with 10240 bytes a message, 10000 messages a queue, 30 days, polls of 10000 ms',
  }),
  adminToken: setting({
    schema: z
      .string()
      .regex(/^[\x21-\x7e]{16,256}$/)
      .optional(),
    env: 'BELFRY_ADMIN_TOKEN',
    hint: 'TEXT',
    must: '16 to 256 visible characters',
    about: 'Lets the command line in',
    fallback: 'a new one at each start, in <data>/admin.json',
    isSecret: true,
  }),
  redisUrl: setting({
    schema: z.string().refine(isRedisUrl).optional(),
    env: 'REDIS_URL',
    hint: 'URL',
    must: 'redis://host:port, rediss://host:port or redis+cluster://host:port,host:port',
    about: 'Redis 7 or newer that several processes share; all of them need the same BELFRY_SECRET',
    fallback: 'the embedded store in <data>/store',
    isSecret: true,
  }),
} satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
export const SETTING_NAMES = Object.keys(SETTINGS).filter((name): name is SettingName => name in SETTINGS)

export const settingOf = (name: SettingName): Setting => SETTINGS[name]
