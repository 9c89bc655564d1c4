import * as z from 'zod'
import { RATE_LIMIT_NAMES } from '../../server/config/settings/rate-limits.ts'
import { ACCESS_FLAGS, allPages, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'

const ID = { type: 'positional', required: true, description: 'The project' } as const
const SECRET = {
  type: 'positional',
  required: true,
  description: 'Id of the secret, as show prints it',
} as const

const project = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.string(),
  secrets: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      createdAt: z.string(),
      lastUsedAt: z.string().nullable(),
      expiresAt: z.string().nullable(),
    }),
  ),
  settings: z.object({
    limits: z.record(z.string(), z.string()).optional(),
    quotas: z.record(z.string(), z.number()).optional(),
    retentionDays: z.number().optional(),
  }),
})
type Project = z.infer<typeof project>
const newSecret = z.object({ secretId: z.string(), secret: z.string(), expiresAt: z.string().nullable() })

const pathOf = (id: string, ...more: string[]): string =>
  ['/admin/projects', ...[id, ...more].map(encodeURIComponent)].join('/')

const first = ({ rest }: Typed, question: string): string => {
  const [word] = rest
  if (word === undefined) throw new UsageError(question)
  return word
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }
/** `90s`, `30m`, `24h`, `7d`, or 0; in seconds. */
const seconds = (flag: string, text: string): number => {
  const [, count, unit = 's'] = /^(\d{1,8})([smhd])$|^0$/.exec(text) ?? []
  if (count === undefined && text !== '0') throw new UsageError(`--${flag} must be like 30m, 24h or 7d`)
  return Number(count ?? 0) * (SECONDS[unit] ?? 1)
}

const printProject = ({ id, name, createdAt, secrets, settings }: Project): void => {
  print(`${id}  ${name}`, `  made                 ${createdAt}`)
  for (const one of secrets) {
    // The hour is recorded, so by its beginning alone it would be told too early.
    const used = one.lastUsedAt === null ? 'never used' : `last used in the hour from ${one.lastUsedAt}`
    const end = one.expiresAt === null ? '' : `, until ${one.expiresAt}`
    print(`  secret               ${one.id}  ${one.name}, made ${one.createdAt}, ${used}${end}`)
  }
  const { limits = {}, quotas = {}, retentionDays } = settings
  for (const [what, rule] of Object.entries(limits)) print(`  limit                ${what}: ${rule}`)
  for (const [what, most] of Object.entries(quotas)) print(`  quota                ${what}: ${most}`)
  if (retentionDays !== undefined) print(`  retention            ${retentionDays} days`)
}

const createFlags = {
  id: { type: 'positional', required: false, description: 'Its id [a new one]' },
  name: { type: 'string', valueHint: 'TEXT', description: 'What it is called' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const create = defineCommand({
  name: 'create',
  description: 'Make a project; prints its secret',
  args: createFlags,
  examples: ['project create shop --name Shop'],
  async run(typed) {
    const made = await createAsk(typed)(
      project.extend({ secret: z.string().nullable() }),
      'POST',
      '/admin/projects',
      {
        id: typed.rest[0],
        name: typed.one.name,
      },
    )
    if (typed.on.has('json')) return printJson(made)
    print(`project id           ${made.id}`, `project secret       ${made.secret ?? 'not known here'}`)
  },
})

const projectsPage = z.object({ projects: z.array(project), next: z.string().nullable() })

const list = defineCommand({
  name: 'list',
  description: 'The projects',
  args: ACCESS_FLAGS,
  examples: ['project list'],
  async run(typed) {
    const ask = createAsk(typed)
    const projects = await allPages(async (after) => {
      const start = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
      const { projects: items, next } = await ask(projectsPage, 'GET', `/admin/projects?limit=500${start}`)
      return { items, next }
    })
    if (typed.on.has('json')) return printJson(projects)
    for (const { id, name, secrets } of projects) print(`${id}  ${name}  secrets: ${secrets.length}`)
  },
})

const showFlags = { id: ID, ...ACCESS_FLAGS } as const satisfies Args

const show = defineCommand({
  name: 'show',
  description: 'One project: its secrets, limits and quotas',
  args: showFlags,
  examples: ['project show shop'],
  async run(typed) {
    const found = await createAsk(typed)(project, 'GET', pathOf(first(typed, 'Which project?')))
    if (typed.on.has('json')) printJson(found)
    else printProject(found)
  },
})

const setFlags = {
  id: ID,
  limit: {
    type: 'string',
    valueHint: "'NAME=20, 2/s'",
    description: `Its own limit, or off; empty for that of all; may be repeated. ${RATE_LIMIT_NAMES.join(', ')}`,
  },
  quota: {
    type: 'string',
    valueHint: 'NAME=N',
    description: 'apps, subscribersPerApp or notificationsPerDay; empty for none; may be repeated',
  },
  'retention-days': {
    type: 'string',
    valueHint: 'N',
    description: 'How long its notifications stay in histories; empty for 30',
  },
  ...ACCESS_FLAGS,
} as const satisfies Args

/** What is there, changed by `NAME=VALUE`, each of which may be empty. */
const changed = (flag: string, present: object, pairs: readonly string[]): Map<string, string> => {
  const next = new Map(Object.entries(present).map(([name, value]) => [name, String(value)]))
  for (const pair of pairs) {
    const [, name, value = ''] = /^([^=]+)=(.*)$/.exec(pair) ?? []
    if (name === undefined) throw new UsageError(`--${flag} must be NAME=VALUE, not ${JSON.stringify(pair)}`)
    if (value.trim() === '') next.delete(name)
    else next.set(name, value.trim())
  }
  return next
}

const set = defineCommand({
  name: 'set',
  description: 'Grant a project other limits, quotas or retention; the rest stays',
  args: setFlags,
  examples: ["project set shop --limit 'notify=20, 2/s' --quota apps=5"],
  async run(typed) {
    const id = first(typed, 'Which project?')
    const ask = createAsk(typed)
    const { settings } = await ask(project, 'GET', pathOf(id))
    const limits = changed('limit', settings.limits ?? {}, typed.all.limit ?? [])
    const quotas = changed('quota', settings.quotas ?? {}, typed.all.quota ?? [])
    const days = typed.one['retention-days'] ?? settings.retentionDays
    const next = await ask(project, 'PUT', pathOf(id, 'settings'), {
      ...(limits.size > 0 && { limits: Object.fromEntries(limits) }),
      ...(quotas.size > 0 && {
        quotas: Object.fromEntries([...quotas].map(([name, most]) => [name, Number(most)])),
      }),
      ...(days !== undefined && days !== '' && { retentionDays: Number(days) }),
    })
    if (typed.on.has('json')) printJson(next)
    else printProject(next)
  },
})

const printSecret = (typed: Typed, { secretId, secret, expiresAt }: z.infer<typeof newSecret>): void => {
  if (typed.on.has('json')) printJson({ secretId, secret, expiresAt })
  else
    print(`secret id            ${secretId}`, `project secret       ${secret}`, '', 'It is not shown again.')
}

const addFlags = {
  id: ID,
  name: { type: 'string', valueHint: 'TEXT', description: 'What it is for', required: true },
  life: { type: 'string', valueHint: 'TIME', description: 'How long it counts, like 90d [for ever]' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const add = defineCommand({
  name: 'add',
  description: 'One more secret, beside the others',
  args: addFlags,
  examples: ['project secret add shop --name ci --life 90d'],
  async run(typed) {
    const id = first(typed, 'Which project?')
    const { name, life } = typed.one
    if (name === undefined) throw new UsageError('--name is missing')
    const body = { name, ...(life !== undefined && { lifeSeconds: seconds('life', life) }) }
    printSecret(typed, await createAsk(typed)(newSecret, 'POST', pathOf(id, 'secrets'), body))
  },
})

const rotateFlags = {
  id: ID,
  secret: { type: 'positional', required: false, description: 'Id of the secret, where there are several' },
  overlap: { type: 'string', valueHint: 'TIME', description: 'How long the old one counts as well [24h]' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const rotate = defineCommand({
  name: 'rotate',
  description: 'A new secret now; the old one counts a while longer',
  args: rotateFlags,
  examples: ['project secret rotate shop --overlap 24h'],
  async run(typed) {
    const id = first(typed, 'Which project?')
    const overlapSeconds = seconds('overlap', typed.one.overlap ?? '24h')
    const body = { secretId: typed.rest[1], overlapSeconds }
    printSecret(typed, await createAsk(typed)(newSecret, 'POST', pathOf(id, 'rotate-secret'), body))
  },
})

const revokeFlags = { id: ID, secret: SECRET, ...ACCESS_FLAGS } as const satisfies Args

const revoke = defineCommand({
  name: 'revoke',
  description: 'End a secret at once',
  args: revokeFlags,
  examples: ['project secret revoke shop SECRET'],
  async run(typed) {
    const id = first(typed, 'Which project?')
    const [, secretId] = typed.rest
    if (secretId === undefined) throw new UsageError('Which secret?')
    const left = await createAsk(typed)(project, 'DELETE', pathOf(id, 'secrets', secretId))
    if (typed.on.has('json')) printJson(left)
    else print(`The secret ${secretId} counts no more.`)
  },
})

const secret = defineGroup({
  name: 'secret',
  description: "A project's secrets",
  commands: [add, rotate, revoke],
})

export const projectGroup = defineGroup({
  commands: [create, list, show, set, secret],
})
