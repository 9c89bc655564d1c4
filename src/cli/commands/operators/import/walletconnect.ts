/** Brings over what the hosted service says of apps. Done again, it changes only what is different. */
import { writeFile } from 'node:fs/promises'
import * as z from 'zod'
import { AppDeclaration, Domain } from '../../../../notify/http/schema.ts'
import { checked } from '../../../../platform/validate.ts'
import { ProtocolError } from '../../../../protocol/errors.ts'
import { ACCESS_FLAGS, type Ask, allPages, createAsk, print, printJson } from '../../../admin-client.ts'
import { type Args, defineCommand, defineGroup, UsageError } from '../../../command.ts'
import { CommandFailure } from '../../../command-failure.ts'
import { type Invitations, invitationsTo, readAccounts } from './invitations.ts'
import { appsIn, type ImportedApp } from './notify-config.ts'
import { sourceJson, urlIn } from './sources.ts'

const MAX_SOURCE_BYTES = 4 * 1024 * 1024

const flags = {
  source: {
    type: 'positional',
    required: true,
    valueHint: 'FILE|URL',
    description: 'An answer of notify-config or of projects, or where one is given',
  },
  domain: {
    type: 'string',
    valueHint: 'DOMAIN',
    description: 'Of the app, where the source does not say it',
  },
  project: {
    type: 'string',
    valueHint: 'ID',
    description: 'Project that holds new apps; made when it is new [the default one]',
  },
  listed: { type: 'boolean', description: 'Show new apps to wallets that ask for a list of apps' },
  accounts: {
    type: 'string',
    valueHint: 'FILE',
    description:
      'Former subscribers, one a line or as a JSON array: says whom to invite, and subscribes nobody',
  },
  to: { type: 'string', valueHint: 'FILE', description: 'Where to write whom to invite, one account a line' },
  'dry-run': { type: 'boolean', description: 'Say what would change, and change nothing' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const Icons = z.object({ sm: z.string(), md: z.string(), lg: z.string() })
const knownApp = z.object({
  ...{
    domain: z.string(),
    projectId: z.string(),
    name: z.string(),
    description: z.string(),
    url: z.string(),
  },
  icons: Icons,
  types: z.array(z.object({ id: z.string(), name: z.string(), description: z.string() })),
})
type KnownApp = z.output<typeof knownApp>
const appsPage = z.object({ apps: z.array(knownApp), next: z.string().nullable() })
const addedApp = z.object({ projectId: z.string(), secret: z.string().nullable() })

/** What the server would be told of an app. Types that only the server has stay. */
const declarationOf = ({ domain, types, ...said }: ImportedApp, known: KnownApp | undefined) => {
  try {
    const name = checked(Domain, domain)
    const named = types?.map((type) => ({
      ...type,
      id: type.id ?? known?.types.find((one) => one.name === type.name)?.id,
    }))
    const others = known?.types.filter(({ id }) => !named?.some((type) => type.id === id)) ?? []
    const { icons, ...rest } = checked(AppDeclaration, {
      ...said,
      ...(named && { types: [...named, ...others] }),
    })
    return { domain: name, ...rest, ...(icons && { icons }) }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new CommandFailure(`${domain} cannot be imported: ${error.message}.`, { cause: error })
  }
}
type Declaration = ReturnType<typeof declarationOf>

type Action = 'add' | 'change' | 'keep'

const actionFor = (declaration: Declaration, known: KnownApp | undefined): Action => {
  if (!known) return 'add'
  const { name, description, url, icons, types } = known
  const same = { ...{ domain: known.domain, name, description, url, icons, types } }
  const isSame = Object.entries(declaration).every(
    ([key, value]) => JSON.stringify(value) === JSON.stringify(Reflect.get(same, key)),
  )
  return isSame ? 'keep' : 'change'
}

const knownApps = async (ask: Ask): Promise<Map<string, KnownApp>> => {
  const apps = await allPages(async (after) => {
    const start = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
    const { apps: items, next } = await ask(appsPage, 'GET', `/admin/apps?limit=500${start}`)
    return { items, next }
  })
  return new Map(apps.map((app) => [app.domain, app]))
}

interface Imported {
  domain: string
  action: Action
  types: number
  projectId?: string
  secret?: string | null
}

const apply = async (
  ask: Ask,
  { declaration, action }: { declaration: Declaration; action: Action },
  given: { project: string | undefined; listed: boolean },
): Promise<Partial<Imported>> => {
  const { domain, ...said } = declaration
  if (action === 'add') {
    const listed = given.listed && { listed: true }
    const { projectId, secret } = await ask(addedApp, 'POST', '/admin/apps', {
      ...{ domain, project: given.project, ...said, ...listed },
    })
    return { projectId, secret }
  }
  if (action === 'change') await ask(z.unknown(), 'PUT', `/admin/apps/${encodeURIComponent(domain)}`, said)
  return {}
}

const WORDS = {
  add: ['would be added', 'is added'],
  change: ['would be changed', 'is changed'],
  keep: ['is as the source says', 'is as the source says'],
} as const

const show = (apps: readonly Imported[], invitations: Invitations | undefined, isDry: boolean): void => {
  for (const { domain, action, types, projectId, secret } of apps) {
    print(`${domain} ${WORDS[action][isDry ? 0 : 1]}; ${types} types.`)
    if (projectId !== undefined)
      print(`  project id           ${projectId}`, `  project secret       ${secret ?? 'not known here'}`)
  }
  if (apps.some(({ action }) => action === 'add')) {
    print('', "An app's domain must publish the keys that it has here: docs/moving.md says how.")
  }
  if (!invitations) return
  const { accounts, subscribed, invite, link } = invitations
  print(
    '',
    `Of ${accounts} accounts ${subscribed} are subscribed here. ${invite.length} are to be invited, with`,
    `  ${link}`,
  )
}

const walletconnect = defineCommand({
  name: 'walletconnect',
  description: "A project's apps from WalletConnect's notify service; invitations for its subscribers",
  args: flags,
  examples: [
    "import walletconnect 'https://explorer-api.walletconnect.com/w3i/v1/notify-config?projectId=…&appDomain=app.example.com'",
    'import walletconnect notify-config.json --domain app.example.com --dry-run',
    'import walletconnect notify-config.json --accounts subscribers.json --to invite.txt',
  ],
  async run(typed) {
    const { one, on, rest } = typed
    const [source = ''] = rest
    if (one.to !== undefined && one.accounts === undefined) throw new UsageError('--to needs --accounts')
    const domain = one.domain ?? urlIn(source)?.searchParams.get('appDomain') ?? undefined
    const found = appsIn(await sourceJson(source, MAX_SOURCE_BYTES), domain)
    const [first] = found
    if (one.accounts !== undefined && found.length > 1) {
      throw new UsageError(`--accounts is of one app, and there are ${found.length}`)
    }
    const accounts = one.accounts === undefined ? undefined : await readAccounts(one.accounts)
    const ask = createAsk(typed)
    const known = await knownApps(ask)
    // All are checked before the first is changed.
    const plan = found.map((app) => {
      const present = known.get(app.domain)
      const declaration = declarationOf(app, present)
      return { declaration, action: actionFor(declaration, present) }
    })
    const isDry = on.has('dry-run')
    const apps: Imported[] = []
    for (const step of plan) {
      const { declaration, action } = step
      const done = isDry ? {} : await apply(ask, step, { project: one.project, listed: on.has('listed') })
      apps.push({ domain: declaration.domain, action, types: declaration.types?.length ?? 0, ...done })
    }
    const invitations =
      accounts && first
        ? await invitationsTo(ask, first.domain, accounts, { isKnown: known.has(first.domain) })
        : undefined
    if (one.to !== undefined && invitations && !isDry) {
      await writeFile(one.to, invitations.invite.map((account) => `${account}\n`).join(''), { mode: 0o600 })
    }
    if (on.has('json')) return printJson({ dryRun: isDry, apps, ...(invitations && { invitations }) })
    show(apps, invitations, isDry)
  },
})

export const imports = defineGroup({ commands: [walletconnect] })
