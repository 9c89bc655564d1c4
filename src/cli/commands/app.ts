import * as z from 'zod'
import { ACCESS_FLAGS, allPages, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, UsageError } from '../command.ts'

const addFlags = {
  domain: { type: 'positional', required: true, description: 'Domain of the app, as wallets name it' },
  project: {
    type: 'string',
    valueHint: 'ID',
    description: 'Project that holds it; made when it is new [the default one]',
  },
  name: { type: 'string', valueHint: 'TEXT', description: 'Name that wallets show' },
  description: { type: 'string', valueHint: 'TEXT', description: 'One sentence about it' },
  url: { type: 'string', valueHint: 'URL', description: 'Its page' },
  icon: { type: 'string', valueHint: 'URL', description: 'Its picture' },
  type: {
    type: 'string',
    valueHint: "'Name: description'",
    description: 'A notification type; may be repeated, and replaces the whole list',
  },
  listed: { type: 'boolean', description: 'Show it to wallets that ask for a list of apps' },
  ...ACCESS_FLAGS,
} as const satisfies Args

/** `Name: description`, or only the name. */
const typeFrom = (text: string): { name: string; description: string } => {
  const [, name = '', description = ''] = /^([^:]*)(?::\s*(.*))?$/s.exec(text) ?? []
  if (name.trim() === '')
    throw new UsageError(`--type must be 'Name: description', not ${JSON.stringify(text)}`)
  return { name: name.trim(), description: description.trim() }
}

const addedApp = z.object({
  projectId: z.string(),
  secret: z.string().nullable(),
  domain: z.string(),
  subscribeKey: z.string(),
  authenticationKey: z.string(),
  types: z.array(z.object({ id: z.string(), name: z.string() })),
})

const add = defineCommand({
  name: 'add',
  description: 'Declare an app, or change what it says about itself',
  args: addFlags,
  async run(typed) {
    const { one, all, on, rest } = typed
    const [domain] = rest
    if (domain === undefined) throw new UsageError('Which domain?')
    const types = all.type?.map(typeFrom)
    const { icon } = one
    const app = await createAsk(typed)(addedApp, 'POST', '/admin/apps', {
      domain,
      project: one.project,
      name: one.name,
      description: one.description,
      url: one.url,
      ...(icon !== undefined && { icons: { sm: icon, md: icon, lg: icon } }),
      ...(types && { types }),
      ...(on.has('listed') && { listed: true }),
    })
    if (on.has('json')) return printJson(app)
    print(
      `${app.domain} is ready to be subscribed to.`,
      '',
      `  project id           ${app.projectId}`,
      `  project secret       ${app.secret ?? 'not known here'}`,
      `  subscribe key        ${app.subscribeKey}`,
      `  authentication key   ${app.authenticationKey}`,
      ...app.types.map(({ id, name }) => `  type                 ${id}  ${name}`),
    )
  },
})

const shownApp = z.looseObject({
  domain: z.string(),
  projectId: z.string(),
  name: z.string(),
  types: z.array(z.looseObject({ name: z.string() })),
})
const appsPage = z.object({ apps: z.array(shownApp), next: z.string().nullable() })

const list = defineCommand({
  name: 'list',
  description: 'The declared apps',
  args: ACCESS_FLAGS,
  async run(typed) {
    const ask = createAsk(typed)
    const apps = await allPages(async (after) => {
      const start = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
      const { apps: items, next } = await ask(appsPage, 'GET', `/admin/apps?limit=500${start}`)
      return { items, next }
    })
    if (typed.on.has('json')) return printJson(apps)
    if (apps.length === 0)
      print("There are none yet. Declare one with: belfry app add <domain> --type 'News: what is new'")
    for (const { domain, projectId, types } of apps) {
      print(`${domain}  project ${projectId}  ${types.map(({ name }) => name).join(', ') || 'no types'}`)
    }
  },
})

export const app = defineGroup({
  commands: [add, list],
})
