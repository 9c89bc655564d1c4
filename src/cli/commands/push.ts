import { readFileSync } from 'node:fs'
import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'

const provider = z.object({
  provider: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  since: z.string().nullable(),
  waiting: z.number(),
  credentials: z.record(z.string(), z.string()),
})
const answered = z.object({
  projects: z.array(
    z.object({ id: z.string(), open: z.boolean(), devices: z.number(), providers: z.array(provider) }),
  ),
})
type Projects = z.infer<typeof answered>['projects']
const tried = z.object({
  pushes: z.array(
    z.object({
      deviceId: z.string(),
      project: z.string(),
      provider: z.string(),
      outcome: z.string(),
      reason: z.string().nullable(),
    }),
  ),
})
const PROVIDERS = ['apns', 'fcm']
const PROJECT = {
  type: 'string',
  valueHint: 'ID',
  description: 'The project [default]',
} as const
const flags = { ...ACCESS_FLAGS } as const satisfies Args

const stateOf = ({ state, reason, since }: z.infer<typeof provider>): string =>
  state === 'stopped' ? `stopped: ${reason ?? ''} (since ${since ?? ''})` : state

const printStatus = (projects: Projects): void => {
  for (const { id, open, devices, providers } of projects) {
    print(`${id}  ${devices} devices, ${open ? 'open' : 'only with a token'}`)
    for (const one of providers) print(`  ${one.provider.padEnd(12)} ${stateOf(one)}, ${one.waiting} waiting`)
  }
}

const status = defineCommand({
  name: 'status',
  description: 'Projects, their devices, and whether providers serve',
  args: flags,
  examples: ['push status'],
  async run(typed) {
    const { projects } = await createAsk(typed)(answered, 'GET', '/admin/push')
    if (typed.on.has('json')) printJson({ projects })
    else printStatus(projects)
  },
})

const providers = defineCommand({
  name: 'providers',
  description: 'What is known of the credentials of each provider',
  args: flags,
  examples: ['push providers --json'],
  async run(typed) {
    const { projects } = await createAsk(typed)(answered, 'GET', '/admin/push')
    const all = projects.flatMap((project) =>
      project.providers.map((one) => ({ project: project.id, ...one })),
    )
    if (typed.on.has('json')) return printJson({ providers: all })
    for (const one of all) {
      const shown = Object.entries(one.credentials).map(([name, value]) => `${name}=${value}`)
      print([one.project, one.provider, stateOf(one), ...shown].join('  '))
    }
  },
})

const testFlags = {
  client: { type: 'string', valueHint: 'DID', description: 'Client id of the wallet', required: true },
  ...ACCESS_FLAGS,
} as const satisfies Args

const test = defineCommand({
  name: 'test',
  description: 'Push to all devices of a client, to see whether it arrives',
  args: testFlags,
  examples: ['push test --client did:key:z6Mk…'],
  async run(typed) {
    const { client } = typed.one
    if (client === undefined) throw new UsageError('--client is missing')
    const { pushes } = await createAsk(typed)(tried, 'POST', '/admin/push/test', { client })
    if (typed.on.has('json')) printJson({ pushes })
    else
      for (const one of pushes) print([one.project, one.provider, one.outcome, one.reason ?? ''].join('  '))
    if (pushes.length === 0) throw new CommandFailure('The client has no device.')
    if (pushes.some(({ outcome }) => outcome !== 'accepted'))
      throw new CommandFailure('Not every provider took it.')
  },
})

const credentialFlags = {
  project: PROJECT,
  fcm: { type: 'string', valueHint: 'FILE', description: 'Service account of Google, JSON' },
  'apns-key': { type: 'string', valueHint: 'FILE', description: 'Key of Apple, .p8' },
  'apns-key-id': { type: 'string', valueHint: 'ID', description: 'Its id' },
  'apns-team-id': { type: 'string', valueHint: 'ID', description: 'Id of your team at Apple' },
  'apns-topic': { type: 'string', valueHint: 'ID', description: 'Bundle id of the app' },
  'apns-certificate': { type: 'string', valueHint: 'FILE', description: 'Certificate of Apple, .p12' },
  'apns-password-file': {
    type: 'string',
    valueHint: 'FILE',
    description: 'Holds the password of the certificate',
  },
  remove: { type: 'string', valueHint: 'apns|fcm', description: 'Remove those of a provider' },
  closed: { type: 'boolean', description: 'Wallets need a token to register' },
  open: { type: 'boolean', description: 'Wallets may register without a token, as published ones do' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const read = (flag: string, file: string): Buffer => {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new CommandFailure(`--${flag}: ${file} cannot be read`, { cause })
  }
}

const readJson = (flag: string, file: string): unknown => {
  const text = read(flag, file).toString('utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandFailure(`--${flag}: ${file} is not JSON`, { cause })
  }
}

const needed = (value: string | undefined, flag: string): string => {
  if (value === undefined) throw new UsageError(`--${flag} is missing`)
  return value
}

/** The credentials that the flags name. */
const wanted = ({ one }: Typed): object[] => {
  const found: object[] = []
  const topic = () => needed(one['apns-topic'], 'apns-topic')
  if (one.fcm !== undefined) found.push({ provider: 'fcm', fcm: readJson('fcm', one.fcm) })
  const [key, certificate] = [one['apns-key'], one['apns-certificate']]
  if (key !== undefined && certificate !== undefined)
    throw new UsageError('--apns-key and --apns-certificate exclude each other')
  if (key !== undefined)
    found.push({
      provider: 'apns',
      apns: {
        ...{ kind: 'token', topic: topic(), key: read('apns-key', key).toString('utf8') },
        keyId: needed(one['apns-key-id'], 'apns-key-id'),
        teamId: needed(one['apns-team-id'], 'apns-team-id'),
      },
    })
  if (certificate !== undefined) {
    const password = needed(one['apns-password-file'], 'apns-password-file')
    found.push({
      provider: 'apns',
      apns: {
        ...{ kind: 'certificate', topic: topic() },
        certificate: read('apns-certificate', certificate).toString('base64'),
        password: read('apns-password-file', password).toString('utf8').trim(),
      },
    })
  }
  return found
}

const credentials = defineCommand({
  name: 'credentials',
  description: 'Set or remove the credentials of a project',
  args: credentialFlags,
  examples: ['push credentials --fcm service-account.json'],
  async run(typed) {
    const ask = createAsk(typed)
    const path = `/admin/push/projects/${encodeURIComponent(typed.one.project ?? 'default')}`
    const { remove } = typed.one
    const settings = typed.on.has('closed') ? { open: false } : typed.on.has('open') ? { open: true } : {}
    const credentials = wanted(typed)
    if (remove !== undefined && !PROVIDERS.includes(remove))
      throw new UsageError('--remove takes apns or fcm')
    const body = { ...settings, ...(credentials.length > 0 && { credentials }) }
    // In one request, so that nothing is left half done. A project is not made for the removal of something.
    let last =
      remove === undefined || Object.keys(body).length > 0
        ? await ask(answered, 'PUT', path, body)
        : undefined
    if (remove !== undefined) last = await ask(answered, 'DELETE', `${path}/credentials/${remove}`)
    if (typed.on.has('json')) printJson(last)
    else printStatus(last?.projects ?? [])
  },
})

export const push = defineGroup({
  commands: [status, providers, test, credentials],
})
