/** Operations: what is observed and bounded, and what the operator's secrets open. */
import * as z from 'zod'
import { isProxyRule } from '../../../platform/net/client-address.ts'
import { parseRedisUrl } from '../../../storage/redis/url.ts'
import { hostAndPort } from './address.ts'
import { Budgets } from './budgets.ts'
import { MqDomains, parseDomains } from './mq-domains.ts'
import { RATE_LIMIT_NAMES, RateLimitSetting } from './rate-limits.ts'
import { list, type Setting, setting } from './setting.ts'
import { wholeNumber } from './whole-number.ts'

export const METRICS_PORT = 9464

const isRedisUrl = (text: string): boolean => {
  try {
    parseRedisUrl(text)
    return true
  } catch {
    return false
  }
}

/** `name: queueLength=500, ttlDays=7; other: off`, or JSON; in a file an object. */
const mqSettings = z
  .union([z.looseObject({}), z.string()])
  .transform((given): unknown => (typeof given === 'string' ? { domains: parseDomains(given) } : given))
  .pipe(z.strictObject({ domains: MqDomains }))

export const OPERATION_SETTINGS = {
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
    about: 'What is logged on stderr: JSON, or words on a terminal',
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
