import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'

const ACCOUNT = {
  type: 'positional',
  required: true,
  description: 'CAIP-10; the same address on every chain is meant',
} as const

const pathOf = ({ rest }: Typed): string => {
  const [account] = rest
  if (account === undefined) throw new UsageError('Which account?')
  return `/admin/accounts/${encodeURIComponent(account)}`
}

const exportFlags = {
  account: ACCOUNT,
  to: { type: 'string', valueHint: 'FILE', description: 'Where to write it [stdout]' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const exportCommand = defineCommand({
  name: 'export',
  description: 'All that is kept about an account, as JSON without any secret',
  args: exportFlags,
  examples: ['account export eip155:1:0x… --to account.json'],
  async run(typed) {
    const { to } = typed.one
    const document = await createAsk(typed)(z.looseObject({ account: z.string() }), 'GET', pathOf(typed))
    if (to === undefined) return printJson(document)
    await writeFile(to, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600 })
    if (typed.on.has('json')) printJson({ account: document.account, file: to })
    else print(`${to} has what is kept about ${document.account}.`)
  },
})

const eraseFlags = {
  account: ACCOUNT,
  yes: { type: 'boolean', description: 'Do not ask' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const erased = z.object({
  identityKeys: z.number(),
  inviteKeys: z.number(),
  installations: z.number(),
  subscriptions: z.number(),
  watchers: z.number(),
  scheduled: z.number(),
  unsent: z.number(),
})

const erase = defineCommand({
  name: 'erase',
  description: 'Erase all that is kept about an account; that cannot be undone',
  args: eraseFlags,
  examples: ['account erase eip155:1:0x…'],
  async run(typed) {
    const path = pathOf(typed)
    if (!typed.on.has('yes')) {
      if (!process.stdin.isTTY) throw new UsageError('Nobody can be asked here: say --yes')
      const terminal = createInterface({ input: process.stdin, output: process.stderr })
      const said = await terminal.question(`Erase everything about ${typed.rest[0]}? Type yes: `)
      terminal.close()
      if (said.trim() !== 'yes') throw new CommandFailure('Nothing was erased.')
    }
    const counts = await createAsk(typed)(erased, 'DELETE', path)
    if (typed.on.has('json')) return printJson(counts)
    print(
      `identity keys        ${counts.identityKeys}`,
      `invite keys          ${counts.inviteKeys}`,
      `installations        ${counts.installations}`,
      `subscriptions        ${counts.subscriptions}`,
      `watchers             ${counts.watchers}`,
      `scheduled for later  ${counts.scheduled}`,
      `unsent messages      ${counts.unsent}`,
    )
  },
})

export const account = defineGroup({
  commands: [exportCommand, erase],
})
