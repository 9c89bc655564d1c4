import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configWith, defaultOf, readConfig, settingsTable } from '../../../src/server/config/config.ts'
import { SETTING_NAMES, SETTINGS, settingOf } from '../../../src/server/config/settings.ts'
import { StartError } from '../../../src/server/config/start-error.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-config-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const file = (text: string, name = 'belfry.yaml') => {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

/** The sentences with which the start is refused. */
const mistakes = (
  flags: Record<string, string | undefined>,
  env: Record<string, string | undefined> = {},
): readonly string[] => {
  try {
    readConfig(flags, env)
    return []
  } catch (error) {
    if (error instanceof StartError) return error.sentences
    throw error
  }
}

describe('where values come from', () => {
  it('needs none', () => {
    const { config, origins } = readConfig({}, {})
    expect(config).toEqual(configWith())
    expect(config).toMatchObject({
      port: 8080,
      data: './belfry-data',
      rooms: ['relay', 'notify', 'keys', 'contacts', 'mq', 'archive', 'sessions', 'push', 'verify'],
      keyServers: ['https://keys.walletconnect.com'],
      logLevel: 'info',
      shutdownSeconds: 10,
      apps: [],
    })
    expect(config.publicUrl).toBeUndefined()
    expect(new Set(Object.values(origins))).toEqual(new Set(['default']))
  })

  it('takes flags before environment before file before default', () => {
    const config = file('port: 1\nhost: a\ndata: /file\n')
    const read = readConfig({ port: '3', config }, { PORT: '2', BELFRY_HOST: 'b' })
    expect(read.config).toMatchObject({ port: 3, host: 'b', data: '/file', logLevel: 'info' })
    expect(read.origins).toMatchObject({
      port: '--port',
      host: 'BELFRY_HOST',
      data: `data in ${config}`,
      logLevel: 'default',
    })
  })

  it('takes an empty variable for none', () => {
    expect(readConfig({}, { PORT: '', BELFRY_PUBLIC_URL: ' ' }).config).toEqual(configWith())
  })

  it('reads lists, URLs with a trailing slash, and every way to say metrics', () => {
    const { config } = readConfig(
      {
        rooms: 'relay, keys',
        aliases: 'https://a.example/,http://b.example',
        'public-url': 'https://c.example/',
      },
      { BELFRY_METRICS: 'shared' },
    )
    expect(config).toMatchObject({
      rooms: ['relay', 'keys'],
      aliases: ['https://a.example', 'http://b.example'],
      publicUrl: 'https://c.example',
      metrics: 'shared',
    })
    expect(readConfig({ metrics: '0' }, {}).config.metrics).toBe(0)
    expect(readConfig({ metrics: 'off' }, {}).config.metrics).toBe('off')
    const at = (metrics: string) => readConfig({ metrics }, {}).config.metrics
    expect(at('0.0.0.0:9464')).toEqual({ host: '0.0.0.0', port: 9464 })
    expect(at('[::]:9464')).toEqual({ host: '::', port: 9464 })
    expect(at('metrics.internal:0')).toEqual({ host: 'metrics.internal', port: 0 })
  })

  it('reads what may be talked to in the own network', () => {
    const read = (value: string) =>
      readConfig({}, { BELFRY_ALLOW_PRIVATE_ADDRESSES: value }).config.allowPrivateAddresses
    const all = (...list: string[]) => ({ keys: list, webhooks: list, did: list, push: list })
    expect(read('keys=keys.internal:8080, 10.1.0.0/16; webhooks=hooks.internal')).toEqual({
      keys: ['keys.internal:8080', '10.1.0.0/16'],
      webhooks: ['hooks.internal'],
      did: [],
      push: [],
    })
    expect(read('did=[::1]:8080;')).toEqual({ keys: [], webhooks: [], did: ['[::1]:8080'], push: [] })
    expect(read('10.0.0.0/8, hooks.internal')).toEqual(all('10.0.0.0/8', 'hooks.internal'))
    expect(read('true')).toEqual(all('true'))
    expect(read('false')).toEqual(all())
    const of = (text: string) =>
      readConfig({ config: file(`allowPrivateAddresses: ${text}`) }, {}).config.allowPrivateAddresses
    expect(of('true')).toEqual(all('true'))
    expect(of('false')).toEqual(all())
    expect(of('[10.0.0.0/8, "::1"]')).toEqual(all('10.0.0.0/8', '::1'))
    expect(of('{ webhooks: [hooks.internal], did: "10.0.0.0/8, ::1" }')).toEqual({
      keys: [],
      webhooks: ['hooks.internal'],
      did: ['10.0.0.0/8', '::1'],
      push: [],
    })
  })

  it('reads the nodes of chains, which may have commas and keys in their URLs', () => {
    const rpcUrls = {
      'eip155:1': 'https://node.example/v3/a,b?apikey=c=d,e',
      'eip155:137': 'http://127.0.0.1:8545',
    }
    const text = Object.entries(rpcUrls)
      .map((one) => one.join('='))
      .join(' , ')
    expect(readConfig({}, { BELFRY_RPC_URLS: text }).config.rpcUrls).toEqual(rpcUrls)
    const config = file(JSON.stringify({ rpcUrls }))
    expect(readConfig({ config }, {}).config.rpcUrls).toEqual(rpcUrls)
  })

  it.each([
    'https://node.example',
    'eip155:1',
    'eip155:1=node',
    'eip155:x=https://a.example',
    'solana:1=https://a.example',
  ])('takes no node without a chain or a URL, and does not show it: %s', (value) =>
    expect(mistakes({}, { BELFRY_RPC_URLS: value })).toEqual([
      'BELFRY_RPC_URLS must be a list like eip155:1=https://…,eip155:10=https://…, or in a file a mapping.',
    ]),
  )

  it('reads the domains of the message queues, as text, as JSON and from a file', () => {
    const normal = {
      enabled: true,
      messageBytes: 10_240,
      queueLength: 10_000,
      ttlDays: 30,
      connectionTimeout: 10_000,
    }
    const of = (flags: Record<string, string>, env: Record<string, string> = {}) =>
      readConfig(flags, env).config.mq.domains
    expect(of({})).toEqual({ default: normal })
    const text = 'vault.csc: queueLength=5, ttlDays = 7; old: off; plain; default: connectionTimeout=0;'
    const expected = {
      default: { ...normal, connectionTimeout: 0 },
      'vault.csc': { ...normal, queueLength: 5, ttlDays: 7 },
      old: { ...normal, enabled: false },
      plain: normal,
    }
    expect(of({}, { BELFRY_MQ_DOMAINS: text })).toEqual(expected)
    const written = { ...expected, plain: {}, 'vault.csc': { queueLength: 5, ttlDays: 7 } }
    expect(of({ 'mq-domains': JSON.stringify(written) })).toEqual(expected)
    const config = file(JSON.stringify({ mq: { domains: written } }), 'belfry.json')
    expect(of({ config })).toEqual(expected)
  })

  it.each(['belfry.json', 'belfry.yaml'])('reads apps from %s', (name) => {
    const apps = [
      {
        domain: 'app.example.com',
        name: 'App',
        types: [{ name: 'News', description: 'what is new' }],
        listed: true,
      },
      { domain: 'other.example.com', project: 'p2' },
    ]
    const config = file(JSON.stringify({ apps, port: 7, rooms: ['notify', 'relay'] }), name)
    expect(readConfig({ config }, {}).config).toMatchObject({ apps, port: 7, rooms: ['notify', 'relay'] })
  })
})

describe('push projects in a file', () => {
  it.each(['belfry.json', 'belfry.yaml'])('are read from %s', (name) => {
    const push = [
      { project: 'p1', open: false, fcm: './service-account.json' },
      { project: 'p2', apns: { topic: 'org.example', key: './k.p8', keyId: 'K', teamId: 'T' } },
      { project: 'p3', apns: { topic: 'org.example', certificate: './c.p12', passwordFile: './password' } },
    ]
    expect(readConfig({ config: file(JSON.stringify({ push }), name) }, {}).config).toMatchObject({ push })
  })

  it.each<[string, (path: string) => string]>([
    ['push: 7', (path) => `push in ${path} is wrong: Invalid input: expected array, received number.`],
    [
      'push: [{fcm: x}]',
      (path) => `push[0].project in ${path} is wrong: Invalid input: expected string, received undefined.`,
    ],
    ['push: [{project: a, sms: x}]', (path) => `push[0] in ${path} is wrong: Unrecognized key: "sms".`],
    ['push: [{project: a, apns: {topic: x}}]', (path) => `push[0].apns in ${path} is wrong: Invalid input.`],
  ])('are refused where they are wrong: %s', (text, sentence) => {
    const config = file(text, 'belfry.yaml')
    expect(mistakes({ config }, {})).toEqual([sentence(config)])
  })
})

describe('a mistake', () => {
  it.each<[string, string, string]>([
    ['PORT', 'abc', 'PORT must be a whole number from 0 to 65535, not "abc".'],
    ['PORT', '65536', 'PORT must be a whole number from 0 to 65535, not "65536".'],
    ['PORT', '-1', 'PORT must be a whole number from 0 to 65535, not "-1".'],
    ['PORT', '1.5', 'PORT must be a whole number from 0 to 65535, not "1.5".'],
    [
      'BELFRY_PUBLIC_URL',
      'example.com',
      'BELFRY_PUBLIC_URL must be an http or https URL without user, query or fragment, not "example.com".',
    ],
    [
      'BELFRY_PUBLIC_URL',
      'https://a.example?x=1',
      'BELFRY_PUBLIC_URL must be an http or https URL without user, query or fragment, not "https://a.example?x=1".',
    ],
    [
      'BELFRY_ROOMS',
      'relay,attic',
      'BELFRY_ROOMS must be some of relay, notify, keys, contacts, mq, archive, sessions, push, verify, operator, separated by commas, not "relay,attic".',
    ],
    [
      'BELFRY_ROOMS',
      ',',
      'BELFRY_ROOMS must be some of relay, notify, keys, contacts, mq, archive, sessions, push, verify, operator, separated by commas, not ",".',
    ],
    [
      'BELFRY_KEY_SERVERS',
      'keys.example',
      'BELFRY_KEY_SERVERS must be a list of https URLs, separated by commas, not "keys.example".',
    ],
    [
      'BELFRY_ALLOW_PRIVATE_ADDRESSES',
      '10.0.0.0/33',
      'BELFRY_ALLOW_PRIVATE_ADDRESSES must be lists of host names, addresses and ranges like keys=keys.internal:8080,10.1.0.0/16; webhooks=hooks.internal; did=…; push=…, or one list for all four, or true, not "10.0.0.0/33".',
    ],
    [
      'BELFRY_ALLOW_PRIVATE_ADDRESSES',
      'watches=127.0.0.1',
      'BELFRY_ALLOW_PRIVATE_ADDRESSES must be lists of host names, addresses and ranges like keys=keys.internal:8080,10.1.0.0/16; webhooks=hooks.internal; did=…; push=…, or one list for all four, or true, not "watches=127.0.0.1".',
    ],
    [
      'BELFRY_MQ_DOMAINS',
      'a: ttlDays=0',
      expect.stringMatching(/^BELFRY_MQ_DOMAINS must be a list like .*, not "a: ttlDays=0"\.$/),
    ],
    ['BELFRY_MQ_DOMAINS', 'a: size=1', expect.stringContaining('BELFRY_MQ_DOMAINS must be')],
    ['BELFRY_MQ_DOMAINS', '{"a":', expect.stringContaining('BELFRY_MQ_DOMAINS must be')],
    ['BELFRY_MQ_DOMAINS', 'a/b', expect.stringContaining('BELFRY_MQ_DOMAINS must be')],
    [
      'BELFRY_METRICS',
      'yes',
      'BELFRY_METRICS must be a port, an address with a port, off, or shared, not "yes".',
    ],
    ['BELFRY_LOG_LEVEL', 'loud', 'BELFRY_LOG_LEVEL must be debug, info, warn, error or silent, not "loud".'],
    [
      'BELFRY_SHUTDOWN_SECONDS',
      '0',
      'BELFRY_SHUTDOWN_SECONDS must be a whole number from 1 to 3600, not "0".',
    ],
    [
      'BELFRY_RELAY_URL',
      'tcp://x',
      'BELFRY_RELAY_URL must be a ws, wss, http or https URL without user, query or fragment, not "tcp://x".',
    ],
    ['BELFRY_SECRET', 'short-secret', 'BELFRY_SECRET must be at least 16 characters.'],
    ['BELFRY_ADMIN_TOKEN', 'short', 'BELFRY_ADMIN_TOKEN must be 16 to 256 visible characters.'],
    [
      'REDIS_URL',
      'http://user:pass@redis',
      'REDIS_URL must be redis://host:port, rediss://host:port or redis+cluster://host:port,host:port.',
    ],
  ])('in %s=%s is one sentence, and shows no secret', (env, value, sentence) => {
    expect(mistakes({}, { [env]: value })).toEqual([sentence])
  })

  it.each(['0.0.0.0:65536', ':9464', '0.0.0.0:', '::9464', 'http://a:9464'])(
    'in an address of the metrics, %s, is one sentence',
    (value) => {
      expect(mistakes({}, { BELFRY_METRICS: value })).toEqual([
        `BELFRY_METRICS must be a port, an address with a port, off, or shared, not "${value}".`,
      ])
    },
  )

  it('is named as it was written, and each gets its sentence', () => {
    const config = file('logLevel: 7\nport: 1\n')
    expect(mistakes({ port: 'x', config }, { BELFRY_METRICS: '-' })).toEqual([
      '--port must be a whole number from 0 to 65535, not "x".',
      'BELFRY_METRICS must be a port, an address with a port, off, or shared, not "-".',
      `logLevel in ${config} must be debug, info, warn, error or silent, not 7.`,
    ])
  })

  it.each<[string, (path: string) => string[]]>([
    ['colour: red', (path) => [`colour in ${path} is not a setting.`]],
    ['- a\n- b', (path) => [`The configuration file ${path} must hold one object.`]],
    [
      'apps: [{name: x}]',
      (path) => [`apps[0].domain in ${path} is wrong: Invalid input: expected string, received undefined.`],
    ],
    ['apps: [{domain: a, typos: []}]', (path) => [`apps[0] in ${path} is wrong: Unrecognized key: "typos".`]],
    ['apps: 7', (path) => [`apps in ${path} is wrong: Invalid input: expected array, received number.`]],
  ])('in a file is one sentence: %s', (text, sentences) => {
    const config = file(text)
    expect(mistakes({ config })).toEqual(sentences(config))
  })

  it('may be that the file cannot be read', () => {
    expect(mistakes({ config: join(dir, 'none.yaml') })).toEqual([
      expect.stringMatching(/^The configuration file .*none\.yaml cannot be read: ENOENT/),
    ])
    expect(mistakes({ config: file('a: [') })).toEqual([
      expect.stringMatching(/^The configuration file .* cannot be read: /),
    ])
  })

  it('may be that two settings contradict each other', () => {
    expect(mistakes({ rooms: 'notify' })).toEqual([
      'Without the relay room the notify server needs a relay: set BELFRY_RELAY_URL or --relay-url.',
    ])
    expect(mistakes({ rooms: 'notify', 'relay-url': 'wss://relay.example' })).toEqual([])
    expect(mistakes({ 'relay-url': 'wss://relay.example' })).toHaveLength(1)
    expect(mistakes({ rooms: 'keys', 'relay-url': 'wss://relay.example' })).toEqual([
      'A relay URL is given although this process has no notify room: nobody would use it.',
    ])
    expect(mistakes({ 'relay-project-id': 'p' })).toEqual([
      'BELFRY_RELAY_PROJECT_ID is shown to the relay at BELFRY_RELAY_URL: set both.',
    ])
    const shared = { rooms: 'notify,keys', 'relay-url': 'http://relay:8080', 'relay-shared': 'true' }
    expect(mistakes(shared)).toEqual([
      'BELFRY_RELAY_SHARED is for a relay at BELFRY_RELAY_URL on the same REDIS_URL: set both.',
    ])
    expect(mistakes(shared, { REDIS_URL: 'redis://redis' })).toEqual([])
    for (const metrics of ['9464', '0.0.0.0:9464']) {
      expect(mistakes({ port: '9464', metrics })).toEqual([
        'PORT and BELFRY_METRICS are the same port: choose another one, or shared.',
      ])
    }
    const plain = { 'key-servers': 'http://keys.example' }
    expect(mistakes(plain)).toEqual([
      'A key server of BELFRY_KEY_SERVERS is not https: name its host in BELFRY_ALLOW_PRIVATE_ADDRESSES too.',
    ])
    expect(mistakes({ ...plain, 'allow-private-addresses': 'keys=keys.example' })).toEqual([])
  })
})

describe('the table of settings', () => {
  it('names each one, once, with a default', () => {
    const table = settingsTable()
    for (const name of SETTING_NAMES) {
      const { env, flag } = settingOf(name)
      expect(table.match(new RegExp(`\`${env}\``, 'g'))).toHaveLength(1)
      if (flag !== undefined) expect(table).toContain(`\`--${flag}\``)
      expect(defaultOf(name)).not.toMatch(/undefined|object/)
    }
  })

  it('has no flag for what must not be seen in a list of processes', () => {
    const secret = SETTING_NAMES.filter((name) => settingOf(name).isSecret)
    expect(secret).toEqual(['secret', 'previousSecret', 'rpcUrls', 'adminToken', 'redisUrl'])
    for (const name of secret) expect(SETTINGS[name]).not.toHaveProperty('flag')
  })
})
