import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../../admin-client.ts'
import { type Args, defineCommand, UsageError } from '../../command.ts'

const flags = {
  limit: { type: 'string', valueHint: 'N', description: 'How many, 1000 at most [20]' },
  after: {
    type: 'string',
    valueHint: 'TEXT',
    description: 'Where the page before says that the next one begins',
  },
  ...ACCESS_FLAGS,
} as const satisfies Args

const auditPage = z.object({
  rows: z.array(
    z.object({
      at: z.string(),
      by: z.string(),
      session: z.string(),
      passkey: z.string(),
      address: z.string(),
      action: z.string(),
      subject: z.record(z.string(), z.string()),
      status: z.number(),
      failure: z.string(),
    }),
  ),
  next: z.string().nullable(),
})
type Row = z.output<typeof auditPage>['rows'][number]

const whoOf = ({ by, session, passkey }: Row): string =>
  by === 'token' ? 'token' : passkey === '' ? `session ${session}` : `passkey ${passkey}`

const subjectOf = ({ subject }: Row): string =>
  Object.entries(subject)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')

export const audit = defineCommand({
  args: flags,
  examples: ['audit', 'audit --limit 1000 --json'],
  async run(typed) {
    const { one, on } = typed
    const { limit = '20', after } = one
    if (!/^(?:[1-9]\d{0,2}|1000)$/.test(limit))
      throw new UsageError('--limit must be a whole number from 1 to 1000')
    const query = new URLSearchParams({ limit, ...(after !== undefined && { after }) })
    const page = await createAsk(typed)(auditPage, 'GET', `/admin/audit?${query}`)
    if (on.has('json')) return printJson(page)
    for (const row of page.rows) {
      const outcome = row.status < 400 ? 'done' : `${row.status} ${row.failure}`
      print(
        `${row.at}  ${whoOf(row)} (${row.address})  ${row.action}  ${subjectOf(row)}  ${outcome}`.replace(
          / {3,}/g,
          '  ',
        ),
      )
    }
    if (page.next !== null) print(`There may be more: --after ${page.next}`)
    else if (page.rows.length === 0 && after === undefined) print('Nothing yet.')
  },
})
