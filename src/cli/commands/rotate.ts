import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'

const OVERLAP = {
  overlap: {
    type: 'string',
    valueHint: 'TIME',
    description: 'How long the former keys still count, like 30d, 12h or 0 [30d]',
  },
} as const satisfies Args

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const
const isUnit = (text: string): text is keyof typeof SECONDS => text in SECONDS

const overlapOf = ({ one }: Typed): number => {
  const text = one.overlap ?? '30d'
  const [, number = '', unit = ''] = /^(\d{1,6})([smhd])?$/.exec(text) ?? []
  const seconds = Number(number) * (isUnit(unit) ? SECONDS[unit] : 1)
  if (number === '' || (unit === '' && seconds > 0)) {
    throw new UsageError(`--overlap must be a time like 30d, 12h or 0, not ${JSON.stringify(text)}`)
  }
  return seconds
}

const rotated = z.object({ authenticationKey: z.string(), subscribeKey: z.string(), until: z.string() })

const show = (typed: Typed, owner: string, keys: z.output<typeof rotated>, overlap: number): void => {
  if (typed.on.has('json')) {
    printJson(keys)
    return
  }
  print(
    `${owner} new keys.`,
    '',
    `  subscribe key        ${keys.subscribeKey}`,
    `  authentication key   ${keys.authenticationKey}`,
    overlap === 0 ? '  The former ones count no more.' : `  The former ones count until ${keys.until}.`,
  )
}

const serverFlags = { ...OVERLAP, ...ACCESS_FLAGS } as const satisfies Args
const server = defineCommand({
  name: 'server',
  description: 'New keys for the notify server',
  args: serverFlags,
  examples: ['rotate server --overlap 30d'],
  async run(typed) {
    const overlap = overlapOf(typed)
    const keys = await createAsk(typed)(rotated, 'POST', '/admin/rotate/server', { overlap })
    show(typed, 'The notify server has', keys, overlap)
  },
})

const appFlags = {
  domain: { type: 'positional', required: true, description: 'Domain of the app' },
  ...OVERLAP,
  ...ACCESS_FLAGS,
} as const satisfies Args
const app = defineCommand({
  name: 'app',
  description: 'New keys for an app; publish its did.json again',
  args: appFlags,
  examples: ['rotate app app.example.com'],
  async run(typed) {
    const [domain] = typed.rest
    if (domain === undefined) throw new UsageError('Which domain?')
    const overlap = overlapOf(typed)
    const keys = await createAsk(typed)(rotated, 'POST', '/admin/rotate/app', { domain, overlap })
    show(typed, `${domain} has`, keys, overlap)
    if (!typed.on.has('json')) print(`  Publish its did.json again, from /apps/${domain}/did.json.`)
  },
})

export const rotate = defineGroup({
  commands: [server, app],
})
