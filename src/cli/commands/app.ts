import * as z from 'zod'
import { ACCESS_FLAGS, allPages, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'
import { agreed, YES_FLAG } from '../confirm.ts'

const DOMAIN = {
  type: 'positional',
  required: true,
  description: 'Domain of the app, as wallets name it',
} as const

/** What an app says about itself. */
const declarationFlags = {
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
} as const satisfies Args

const addFlags = {
  domain: DOMAIN,
  project: {
    type: 'string',
    valueHint: 'ID',
    description: 'Project that holds it; made when it is new [the default one]',
  },
  ...declarationFlags,
  ...ACCESS_FLAGS,
} as const satisfies Args

/** `Name: description`, or only the name. */
const typeFrom = (text: string): { name: string; description: string } => {
  const [, name = '', description = ''] = /^([^:]*)(?::\s*(.*))?$/s.exec(text) ?? []
  if (name.trim() === '')
    throw new UsageError(`--type must be 'Name: description', not ${JSON.stringify(text)}`)
  return { name: name.trim(), description: description.trim() }
}

const domainOf = ({ rest: [domain = ''] }: Typed): string => domain
const pathOf = (typed: Typed): string => `/admin/apps/${encodeURIComponent(domainOf(typed))}`

const declarationOf = ({ one, all, on }: Typed) => {
  const { name, description, url, icon } = one
  const types = all.type?.map(typeFrom)
  return {
    ...{ name, description, url },
    ...(icon !== undefined && { icons: { sm: icon, md: icon, lg: icon } }),
    ...(types && { types }),
    ...(on.has('listed') && { listed: true }),
  }
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
  examples: [
    "app add app.example.com --type 'News: what is new'",
    "app add app.example.com --project shop --name 'Example' --listed",
  ],
  async run(typed) {
    const { one, on } = typed
    const app = await createAsk(typed)(addedApp, 'POST', '/admin/apps', {
      domain: domainOf(typed),
      project: one.project,
      ...declarationOf(typed),
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
  examples: ['app list', 'app list --json'],
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

const wholeApp = z.looseObject({
  domain: z.string(),
  projectId: z.string(),
  name: z.string(),
  description: z.string(),
  url: z.string(),
  types: z.array(z.object({ id: z.string(), name: z.string(), description: z.string() })),
  listed: z.boolean(),
  subscribeKey: z.string(),
  authenticationKey: z.string(),
  createdAt: z.string(),
  subscribers: z.number(),
})

const printApp = (found: z.infer<typeof wholeApp>): void => {
  const { domain, projectId, name, description, url, types, listed } = found
  print(
    domain,
    `  project id           ${projectId}`,
    ...(name === '' ? [] : [`  name                 ${name}`]),
    ...(description === '' ? [] : [`  description          ${description}`]),
    ...(url === '' ? [] : [`  page                 ${url}`]),
    `  listed               ${listed ? 'yes' : 'no'}`,
    `  subscribe key        ${found.subscribeKey}`,
    `  authentication key   ${found.authenticationKey}`,
    ...types.map(
      (type) =>
        `  type                 ${type.id}  ${[type.name, type.description].filter(Boolean).join(': ')}`,
    ),
    `  subscribers          ${found.subscribers}`,
    `  made                 ${found.createdAt}`,
  )
}

const show = defineCommand({
  name: 'show',
  description: 'One app: what it says about itself, its public keys, how many subscribe to it',
  args: { domain: DOMAIN, ...ACCESS_FLAGS },
  examples: ['app show app.example.com'],
  async run(typed) {
    const found = await createAsk(typed)(wholeApp, 'GET', pathOf(typed))
    if (typed.on.has('json')) printJson(found)
    else printApp(found)
  },
})

const setFlags = {
  domain: DOMAIN,
  ...declarationFlags,
  unlisted: { type: 'boolean', description: 'Show it no more to wallets that ask for a list of apps' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const set = defineCommand({
  name: 'set',
  description: 'Change what an app says about itself; what is not named stays',
  args: setFlags,
  examples: [
    "app set app.example.com --name 'Example' --icon https://app.example.com/icon.png",
    "app set app.example.com --type 'News: what is new' --type 'Sales: what is cheap'",
  ],
  async run(typed) {
    const { on } = typed
    if (on.has('listed') && on.has('unlisted')) throw new UsageError('Say --listed or --unlisted, not both')
    const change = { ...declarationOf(typed), ...(on.has('unlisted') && { listed: false }) }
    if (Object.values(change).every((value) => value === undefined)) {
      throw new UsageError('Say what to change, like --name')
    }
    const changed = await createAsk(typed)(wholeApp, 'PUT', pathOf(typed), change)
    if (on.has('json')) printJson(changed)
    else printApp(changed)
  },
})

const removed = z.object({ ended: z.number(), isRemoved: z.boolean() })

const remove = defineCommand({
  name: 'remove',
  description: 'Remove an app and end its subscriptions; that cannot be undone',
  args: { domain: DOMAIN, ...YES_FLAG, ...ACCESS_FLAGS },
  examples: ['app remove app.example.com'],
  async run(typed) {
    const ask = createAsk(typed)
    const domain = domainOf(typed)
    if (!typed.on.has('yes')) {
      const { subscribers } = await ask(wholeApp, 'GET', pathOf(typed))
      if (!(await agreed(`Remove ${domain}? It has ${subscribers} subscribers.`))) return
    }
    // A part at a time, however many there are; what was cut off goes on with the same command.
    let ended = 0
    for (let isRemoved = false; !isRemoved; ) {
      const part: z.infer<typeof removed> = await ask(removed, 'DELETE', pathOf(typed))
      ended += part.ended
      isRemoved = part.isRemoved
    }
    if (typed.on.has('json')) printJson({ domain, ended })
    else print(`${domain} is removed; ${ended} subscriptions have ended.`)
  },
})

export const app = defineGroup({
  commands: [add, list, show, set, remove],
})
