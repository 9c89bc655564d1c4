/**
 * Configuration: flags before environment before file before default. This is the only file that reads the environment.
 *
 * A value that makes no sense stops the start, with one sentence per mistake. An empty value is none.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as z from 'zod'
import { ROOMS } from './settings/server.ts'
import { SETTING_NAMES, SETTINGS, type SettingName, settingOf } from './settings.ts'
import { StartError } from './start-error.ts'

/** Loaded only for a configuration file, and not bundled: it would be a tenth of the code of every start. */
const parseYaml = (text: string): unknown => {
  const { parse }: typeof import('yaml') = createRequire(import.meta.url)('yaml')
  return parse(text)
}

type Shape = { [N in SettingName]: (typeof SETTINGS)[N]['schema'] }
/** The one schema, of all settings together. */
export const Settings = z.object(
  Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].schema])) as Shape,
)

const notificationType = z.strictObject({
  id: z.string().optional(),
  name: z.string().min(1),
  description: z.string().optional(),
})
/** An app as a configuration file declares it. What it holds is checked again where it is enrolled. */
const declaredApp = z.strictObject({
  domain: z.string().min(1),
  project: z.string().optional(),
  name: z.string().optional(),
  description: z.string().optional(),
  url: z.string().optional(),
  icons: z.strictObject({ sm: z.string(), md: z.string(), lg: z.string() }).partial().optional(),
  types: z.array(notificationType).optional(),
  listed: z.boolean().optional(),
})
export type DeclaredApp = z.infer<typeof declaredApp>

/** A push project as a configuration file declares it; its secrets are files beside. Checked again as apps are. */
const declaredPush = z.strictObject({
  project: z.string().min(1),
  open: z.boolean().optional(),
  /** A service account of Google. */
  fcm: z.string().min(1).optional(),
  apns: z
    .union([
      z.strictObject({ topic: z.string(), key: z.string(), keyId: z.string(), teamId: z.string() }),
      z.strictObject({ topic: z.string(), certificate: z.string(), passwordFile: z.string() }),
    ])
    .optional(),
})
export type DeclaredPush = z.infer<typeof declaredPush>

export type Config = z.infer<typeof Settings> & { apps: DeclaredApp[]; push: DeclaredPush[] }

/** Where a value came from, as the operator wrote it: `--port`, `PORT`, `port in belfry.yaml`, `default`. */
export type Origins = Record<SettingName, string>

export type Flags = Record<string, string | undefined>

const shown = (name: SettingName, value: unknown): string =>
  settingOf(name).isSecret ? '' : `, not ${JSON.stringify(value)}`

/** `file.apps[2].types[0].name` */
const placeOf = (path: readonly PropertyKey[]): string =>
  path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')

interface ReadFile {
  values: Record<string, unknown>
  apps: DeclaredApp[]
  push: DeclaredPush[]
  mistakes: string[]
}

const readFile = (file: string): ReadFile => {
  const nothing = { values: {}, apps: [], push: [] }
  let content: unknown
  try {
    // YAML 1.2 contains JSON.
    content = parseYaml(readFileSync(file, 'utf8')) ?? {}
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : ''
    return { ...nothing, mistakes: [`The configuration file ${file} cannot be read: ${reason}`] }
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(content)
  if (!parsed.success) {
    return { ...nothing, mistakes: [`The configuration file ${file} must hold one object.`] }
  }
  const { apps: declared = [], push: declaredProjects = [], ...values } = parsed.data
  const apps = z.array(declaredApp).safeParse(declared)
  const push = z.array(declaredPush).safeParse(declaredProjects)
  const mistakes = [
    ...Object.keys(values)
      .filter((name) => !(name in SETTINGS) || name === 'config')
      .map((name) => `${name} in ${file} is not a setting.`),
    ...(apps.error?.issues ?? []).map(
      ({ path, message }) => `apps${placeOf(path)} in ${file} is wrong: ${message}.`,
    ),
    ...(push.error?.issues ?? []).map(
      ({ path, message }) => `push${placeOf(path)} in ${file} is wrong: ${message}.`,
    ),
  ]
  return { values, apps: apps.data ?? [], push: push.data ?? [], mistakes }
}

/**
 * Reads the configuration: flags before environment variables, before the file that `config` names, before defaults.
 *
 * @param flags texts by setting, as a command line gives them
 * @param environment texts by environment variable; default: those of this process
 * @returns the whole configuration, and for each setting where its value came from
 * @throws `StartError` with one sentence for each mistake
 */
export const readConfig = (
  flags: Flags = {},
  environment: Record<string, string | undefined> = process.env,
): { config: Config; origins: Origins } => {
  const given = (text: string | undefined) => (text === undefined || text.trim() === '' ? undefined : text)
  const file = given(flags.config) ?? given(environment[SETTINGS.config.env])
  const fromFile: ReadFile =
    file === undefined ? { values: {}, apps: [], push: [], mistakes: [] } : readFile(file)
  const mistakes = [...fromFile.mistakes]

  const values: Record<string, unknown> = {}
  const origin = (name: SettingName): string => {
    const { flag, env } = settingOf(name)
    if (flag !== undefined && flags[flag] !== undefined) {
      values[name] = flags[flag]
      return `--${flag}`
    }
    const text = given(environment[env])
    if (text !== undefined) {
      values[name] = text
      return env
    }
    const value = new Map(Object.entries(fromFile.values)).get(name)
    if (value !== undefined && value !== null) {
      values[name] = value
      return `${name} in ${file}`
    }
    return 'default'
  }
  const origins = Object.fromEntries(SETTING_NAMES.map((name) => [name, origin(name)])) as Origins

  const parsed = Settings.safeParse(values)
  const wrong = new Set(parsed.error?.issues.map(({ path }) => path[0]))
  for (const name of SETTING_NAMES) {
    if (wrong.has(name)) {
      mistakes.push(`${origins[name]} must be ${settingOf(name).must}${shown(name, values[name])}.`)
    }
  }
  if (parsed.success) mistakes.push(...contradictions(parsed.data))
  if (!parsed.success || mistakes.length > 0) throw new StartError(mistakes)
  return { config: { ...parsed.data, apps: fromFile.apps, push: fromFile.push }, origins }
}

/** Settings that are right one by one and not together. */
const contradictions = (config: z.infer<typeof Settings>): string[] => {
  const { rooms, relayUrl, relayShared, relayProjectId, redisUrl, port, metrics } = config
  const { keyServers, allowPrivateAddresses } = config
  const mistakes: string[] = []
  if (rooms.includes('notify') && !rooms.includes('relay') && relayUrl === undefined) {
    mistakes.push(
      'Without the relay room the notify server needs a relay: set BELFRY_RELAY_URL or --relay-url.',
    )
  }
  if (rooms.includes('relay') && relayUrl !== undefined) {
    mistakes.push(
      `A relay URL is given although this process has a relay: leave relay out of BELFRY_ROOMS (${ROOMS.join(',')}) or leave out the URL.`,
    )
  }
  if (relayShared && (relayUrl === undefined || redisUrl === undefined)) {
    mistakes.push('BELFRY_RELAY_SHARED is for a relay at BELFRY_RELAY_URL on the same REDIS_URL: set both.')
  }
  if (relayProjectId !== undefined && relayUrl === undefined) {
    mistakes.push('BELFRY_RELAY_PROJECT_ID is shown to the relay at BELFRY_RELAY_URL: set both.')
  }
  if (relayUrl !== undefined && !rooms.includes('relay') && !rooms.includes('notify')) {
    mistakes.push('A relay URL is given although this process has no notify room: nobody would use it.')
  }
  // Who may be asked without encryption is somebody whom the operator has named as near.
  if (allowPrivateAddresses.keys.length === 0 && keyServers.some((one) => one.startsWith('http:'))) {
    mistakes.push(
      'A key server of BELFRY_KEY_SERVERS is not https: name its host in BELFRY_ALLOW_PRIVATE_ADDRESSES too.',
    )
  }
  const metricsPort = typeof metrics === 'object' ? metrics.port : metrics
  if (metricsPort !== 0 && metricsPort === port) {
    mistakes.push('PORT and BELFRY_METRICS are the same port: choose another one, or shared.')
  }
  return mistakes
}

/** Where the command line finds the running server: flags before environment. */
export const commandLineAccess = (
  flags: Flags,
  environment: Record<string, string | undefined> = process.env,
): { data: string; url: string | undefined; token: string | undefined } => ({
  data: flags.data ?? (environment[SETTINGS.data.env] || configWith().data),
  url: flags.server ?? (environment.BELFRY_SERVER || undefined),
  token: flags.token ?? (environment[SETTINGS.adminToken.env] || undefined),
})

/** What `belfry mcp` is given for the agent: flags before environment. Secrets are better in the environment. */
export const agentAccess = (
  flags: Flags,
  environment: Record<string, string | undefined> = process.env,
): Record<'app' | 'projectId' | 'secret' | 'inbox' | 'token', string | undefined> => ({
  app: flags.app ?? (environment.BELFRY_APP || undefined),
  projectId: flags.project ?? (environment.BELFRY_PROJECT_ID || undefined),
  secret: environment.BELFRY_PROJECT_SECRET || undefined,
  inbox: flags.inbox ?? (environment.BELFRY_INBOX || undefined),
  token: environment.BELFRY_MCP_TOKEN || undefined,
})

/** The nodes of chains that the environment names. Throws `StartError` for what are none. */
export const rpcUrlsFrom = (
  environment: Record<string, string | undefined> = process.env,
): Readonly<Record<string, string>> | undefined => {
  const { schema, env, must } = SETTINGS.rpcUrls
  const parsed = schema.safeParse(environment[env] || undefined)
  if (!parsed.success) throw new StartError([`${env} must be ${must}.`])
  return parsed.data
}

/** Read by the command line alone. */
const COMMAND_LINE_NAMES = [
  'BELFRY_SERVER',
  ...['BELFRY_APP', 'BELFRY_PROJECT_ID', 'BELFRY_PROJECT_SECRET', 'BELFRY_INBOX', 'BELFRY_MCP_TOKEN'],
]

/** Variables that look like settings and are none, and the names that there are. */
export const unknownNames = (
  environment: Record<string, string | undefined> = process.env,
): { unknown: string[]; known: string[] } => {
  const known = [...SETTING_NAMES.map((name) => settingOf(name).env), ...COMMAND_LINE_NAMES]
  const unknown = Object.keys(environment).filter((name) => /^BELFRY_/i.test(name) && !known.includes(name))
  return { unknown, known }
}

/** The Redis that a command was given, else the one of the environment. Throws `StartError` for what is no URL of one. */
export const redisUrlFrom = (
  given: string | undefined,
  environment: Record<string, string | undefined> = process.env,
): string | undefined => {
  const { schema, env, must } = SETTINGS.redisUrl
  const text = given ?? (environment[env] || undefined)
  const parsed = schema.safeParse(text)
  if (!parsed.success) throw new StartError([`${given === undefined ? env : '--redis'} must be ${must}.`])
  return parsed.data
}

/**
 * The complete configuration with every default, except for what is given.
 *
 * @param given values, already parsed; they are not checked again
 * @returns the configuration that `composeServer` takes
 */
export const configWith = (given: Partial<Config> = {}): Config => ({
  ...Settings.parse({}),
  apps: [],
  push: [],
  ...given,
})

/** How a default reads in a table. */
export const defaultOf = (name: SettingName): string => {
  const { schema, fallback } = settingOf(name)
  if (fallback !== undefined) return fallback
  const value = schema.safeParse(undefined).data
  return Array.isArray(value) ? value.join(',') : String(value)
}

/** The table in docs/configure.md. */
export const settingsTable = (): string => {
  const rows = SETTING_NAMES.map((name) => {
    const { env, flag, about } = settingOf(name)
    return `| \`${env}\` | ${flag === undefined ? '' : `\`--${flag}\``} | ${defaultOf(name)} | ${about} |`
  })
  return ['| environment | flag | default | what it is |', '|---|---|---|---|', ...rows].join('\n')
}
