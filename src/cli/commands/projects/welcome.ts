import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../../command.ts'

const DOMAIN = { type: 'positional', required: true, description: 'The app' } as const

const answer = z.object({
  welcome: z
    .object({
      enabled: z.boolean(),
      type: z.string(),
      title: z.string(),
      body: z.string(),
      url: z.string().nullable(),
    })
    .nullable(),
})
type Welcome = z.output<typeof answer>['welcome']

const pathOf = ({ rest: [domain = ''] }: Typed): string => `/admin/apps/${encodeURIComponent(domain)}/welcome`

const sentenceOf = (welcome: Welcome): string => {
  if (welcome === null) return 'New subscribers get none.'
  const { enabled, type, title, body, url } = welcome
  return `${enabled ? 'on' : 'off'}  ${type}  ${title}: ${body}${url === null ? '' : `  ${url}`}`
}
const printWelcome = (typed: Typed, welcome: Welcome): void =>
  typed.on.has('json') ? printJson(welcome) : print(sentenceOf(welcome))

const get = defineCommand({
  name: 'get',
  description: 'What every new subscriber of an app gets',
  args: { domain: DOMAIN, ...ACCESS_FLAGS },
  examples: ['welcome get app.example.com'],
  async run(typed) {
    printWelcome(typed, (await createAsk(typed)(answer, 'GET', pathOf(typed))).welcome)
  },
})

const setFlags = {
  domain: DOMAIN,
  type: { type: 'string', valueHint: 'TYPE', description: 'Id or name of the notification type' },
  title: { type: 'string', valueHint: 'TEXT', description: '1 to 64 characters' },
  body: { type: 'string', valueHint: 'TEXT', description: '1 to 255 characters' },
  url: { type: 'string', valueHint: 'URL', description: 'Where it leads; empty for nowhere' },
  on: { type: 'boolean', description: 'Send it from now on [as it is; on when it is new]' },
  off: { type: 'boolean', description: 'Send it no more' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const set = defineCommand({
  name: 'set',
  description: 'Change what every new subscriber gets; what is not named stays',
  args: setFlags,
  examples: [
    "welcome set app.example.com --type News --title Welcome --body 'It is good to have you'",
    'welcome set app.example.com --off',
  ],
  async run(typed) {
    const { one, on } = typed
    if (on.has('on') && on.has('off')) throw new UsageError('Say --on or --off, not both')
    const ask = createAsk(typed)
    const { welcome: before } = await ask(answer, 'GET', pathOf(typed))
    const { type = before?.type, title = before?.title, body = before?.body, url = before?.url } = one
    for (const [name, value] of Object.entries({ type, title, body })) {
      if (value === undefined) throw new UsageError(`--${name} is missing: there is no welcome yet`)
    }
    const enabled = on.has('on') || (!on.has('off') && (before?.enabled ?? true))
    const next = { enabled, type, title, body, ...(url && { url }) }
    printWelcome(typed, (await ask(answer, 'PUT', pathOf(typed), next)).welcome)
  },
})

export const welcome = defineGroup({ commands: [get, set] })
