/** `belfry settings`: what a project or an app is set to, as names and values, for scripts. */
import * as z from 'zod'
import { ACCESS_FLAGS, type Ask, createAsk, print, printJson } from '../../admin-client.ts'
import { defineCommand, defineGroup, type Typed, UsageError } from '../../command.ts'

type Values = Record<string, string>

/** What has settings: how they are read, and written. */
interface Kind {
  read(ask: Ask, id: string): Promise<Values>
  write(ask: Ask, id: string, values: Values): Promise<void>
}

const isTrue = (name: string, text: string): boolean => {
  if (text === 'on' || text === 'off') return text === 'on'
  throw new UsageError(`${name} is on or off, not ${JSON.stringify(text)}`)
}
const numberOf = (name: string, text: string): number => {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new UsageError(`${name} is a whole number, not ${JSON.stringify(text)}`)
}
const unknown = (name: string, known: string): UsageError =>
  new UsageError(`There is no setting ${JSON.stringify(name)}; there are: ${known}`)

const project = z.object({
  settings: z.object({
    limits: z.record(z.string(), z.string()).default({}),
    quotas: z.record(z.string(), z.number()).default({}),
    retentionDays: z.number().optional(),
  }),
})
const projectPath = (id: string, ...more: string[]) =>
  ['/admin/projects', encodeURIComponent(id), ...more].join('/')

const PROJECT: Kind = {
  async read(ask, id) {
    const { limits, quotas, retentionDays } = (await ask(project, 'GET', projectPath(id))).settings
    return {
      ...(retentionDays !== undefined && { 'retention-days': String(retentionDays) }),
      ...Object.fromEntries(Object.entries(limits).map(([name, rule]) => [`limit.${name}`, rule])),
      ...Object.fromEntries(Object.entries(quotas).map(([name, most]) => [`quota.${name}`, String(most)])),
    }
  },
  async write(ask, id, values) {
    const limits: Record<string, string> = {}
    const quotas: Record<string, number> = {}
    let retentionDays: number | undefined
    for (const [name, value] of Object.entries(values)) {
      const [, group, member = ''] = /^(limit|quota)\.(.+)$/.exec(name) ?? []
      if (group === 'limit') limits[member] = value
      else if (group === 'quota') quotas[member] = numberOf(name, value)
      else if (name === 'retention-days') retentionDays = numberOf(name, value)
      else throw unknown(name, 'retention-days, limit.NAME, quota.NAME')
    }
    await ask(z.unknown(), 'PUT', projectPath(id, 'settings'), { limits, quotas, retentionDays })
  },
}

const app = z.object({
  name: z.string(),
  description: z.string(),
  url: z.string(),
  listed: z.boolean(),
  links: z.boolean(),
})
const appPath = (domain: string) => `/admin/apps/${encodeURIComponent(domain)}`

const APP: Kind = {
  async read(ask, domain) {
    const { listed, links, ...texts } = await ask(app, 'GET', appPath(domain))
    return { ...texts, listed: listed ? 'on' : 'off', links: links ? 'on' : 'off' }
  },
  async write(ask, domain, { listed = '', links = '', ...texts }) {
    for (const name of Object.keys(texts)) {
      if (!['name', 'description', 'url'].includes(name))
        throw unknown(name, Object.keys(app.shape).join(', '))
    }
    const said = { ...texts, listed: isTrue('listed', listed), links: isTrue('links', links) }
    await ask(z.unknown(), 'PUT', appPath(domain), said)
  },
}

const KINDS = new Map([
  ['project', PROJECT],
  ['app', APP],
])

const NAMED = {
  kind: { type: 'positional', required: true, valueHint: 'project|app', description: 'What is set' },
  id: { type: 'positional', required: true, description: 'Id of the project, or domain of the app' },
} as const

const target = ({ rest: [word = '', id = ''] }: Typed): { kind: Kind; id: string } => {
  const kind = KINDS.get(word)
  if (kind) return { kind, id }
  throw new UsageError(`Settings are of a project or an app, not of ${JSON.stringify(word)}`)
}

const printValues = (typed: Typed, values: Values): void => {
  if (typed.on.has('json')) printJson(values)
  else for (const [name, value] of Object.entries(values)) print(`${name}=${value}`)
}

const get = defineCommand({
  name: 'get',
  description: 'What a project or an app is set to; what is not shown is as with all',
  args: { ...NAMED, ...ACCESS_FLAGS },
  examples: ['settings get project shop', 'settings get app app.example.com --json'],
  async run(typed) {
    const { kind, id } = target(typed)
    printValues(typed, await kind.read(createAsk(typed), id))
  },
})

const set = defineCommand({
  name: 'set',
  description: 'Change some settings; the rest stays',
  args: {
    ...NAMED,
    values: {
      type: 'positional',
      required: true,
      valueHint: 'NAME=VALUE...',
      description:
        'Project: retention-days, limit.NAME, quota.NAME, empty for none. App: name, description, url, listed, links',
    },
    ...ACCESS_FLAGS,
  },
  examples: [
    "settings set project shop retention-days=90 'limit.notify=20, 2/s' quota.apps=5",
    'settings set app app.example.com listed=on',
  ],
  async run(typed) {
    const { kind, id } = target(typed)
    const ask = createAsk(typed)
    const values = new Map(Object.entries(await kind.read(ask, id)))
    for (const pair of typed.rest.slice(2)) {
      const [, name, value = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
      if (name === undefined) throw new UsageError(`A setting is NAME=VALUE, not ${JSON.stringify(pair)}`)
      if (value === '' && kind === PROJECT) values.delete(name)
      else values.set(name, value)
    }
    await kind.write(ask, id, Object.fromEntries(values))
    printValues(typed, await kind.read(ask, id))
  },
})

export const settings = defineGroup({ commands: [get, set] })
