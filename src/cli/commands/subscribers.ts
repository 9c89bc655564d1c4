import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, UsageError } from '../command.ts'

const flags = {
  domain: { type: 'positional', required: true, description: 'The app' },
  limit: { type: 'string', valueHint: 'N', description: 'How many, 1000 at most [100]' },
  after: {
    type: 'string',
    valueHint: 'TEXT',
    description: 'Where the page before says that the next one begins',
  },
  ...ACCESS_FLAGS,
} as const satisfies Args

const subscribersPage = z.object({
  subscribers: z.array(
    z.object({
      account: z.string(),
      types: z.array(z.string()),
      createdAt: z.string(),
      expiresAt: z.string(),
    }),
  ),
  next: z.string().nullable(),
})

export const subscribers = defineCommand({
  args: flags,
  examples: ['subscribers app.example.com', 'subscribers app.example.com --limit 1000 --json'],
  async run(typed) {
    const { one, on, rest } = typed
    const [domain = ''] = rest
    const { limit = '100', after } = one
    if (!/^(?:[1-9]\d{0,2}|1000)$/.test(limit))
      throw new UsageError('--limit must be a whole number from 1 to 1000')
    const query = new URLSearchParams({ limit, ...(after !== undefined && { after }) })
    const path = `/admin/apps/${encodeURIComponent(domain)}/subscribers?${query}`
    const page = await createAsk(typed)(subscribersPage, 'GET', path)
    if (on.has('json')) return printJson(page)
    for (const { account, types, expiresAt } of page.subscribers) {
      print(`${account}  until ${expiresAt.slice(0, 10)}  ${types.join(', ') || 'no types'}`)
    }
    if (page.next !== null) print(`There may be more: --after ${page.next}`)
    else if (page.subscribers.length === 0 && after === undefined) print('There are none yet.')
  },
})
