/** Tools of a dapp that look: what became of notifications, who is subscribed. */
import * as z from 'zod'
import type { Dapp, SentNotification } from '../../sdk/dapp.ts'
import { notificationId, pageAfter, time } from './shapes.ts'
import { defineTool, READS, type Tool } from './tool.ts'

const MAX_SUBSCRIBERS = 1_000
const state = z.enum(['queued', 'published', 'delivered', 'read', 'failed'])
const next = z.string().nullable().describe('`after` of the next page; null on the last one')

const sent = z.object({
  id: z.string(),
  status: z.enum(['scheduled', 'queued', 'done', 'cancelled']),
  type: z.string(),
  title: z.string(),
  body: z.string(),
  created_at: time.nullable(),
  counts: z.record(z.string(), z.number()).describe('Accounts by state'),
  answers: z
    .record(z.string(), z.number())
    .optional()
    .describe('What the server counts; see the tool answers'),
})

const shownSent = ({ id, status, notification, createdAt, counts, answers }: SentNotification) => {
  const { type, title, body } = notification
  return { id, status, type, title, body, created_at: createdAt, counts, ...(answers && { answers }) }
}

const createReceipts = (dapp: Pick<Dapp, 'notification' | 'receipts'>): Tool =>
  defineTool({
    name: 'receipts',
    title: 'What became of a notification',
    description:
      'Tells what became of a notification, a question or a broadcast: counts, and a page of accounts with their state (queued, published, delivered, read, failed).',
    annotations: READS,
    input: z.strictObject({
      id: notificationId,
      state: state.optional().describe('Only accounts in this state'),
      after: pageAfter,
      limit: z.number().int().min(1).max(1_000).default(100),
    }),
    output: sent.extend({
      receipts: z.array(z.object({ account: z.string(), state, at: time, reason: z.string().optional() })),
      next,
    }),
    async run({ id, ...page }) {
      const { limit, after, state: wanted } = page
      const found = shownSent(await dapp.notification(id))
      const only = { ...(after !== undefined && { after }), ...(wanted !== undefined && { state: wanted }) }
      return { ...found, ...(await dapp.receipts(id, { limit, ...only })) }
    },
  })

const createSent = (dapp: Pick<Dapp, 'notifications'>): Tool =>
  defineTool({
    name: 'sent',
    title: 'What was sent',
    description: 'Lists what the app sent and asked, the newest first.',
    annotations: READS,
    input: z.strictObject({ after: pageAfter, limit: z.number().int().min(1).max(100).default(20) }),
    output: z.object({ notifications: z.array(sent), next }),
    async run({ limit, after }) {
      const page = await dapp.notifications({ limit, ...(after !== undefined && { after }) })
      return { notifications: page.notifications.map(shownSent), next: page.next }
    },
  })

const createSubscribers = (dapp: Pick<Dapp, 'subscribers'>): Tool =>
  defineTool({
    name: 'subscribers',
    title: 'Who is subscribed',
    description: 'Lists accounts that are subscribed to the app: those that can be notified and asked.',
    annotations: READS,
    input: z.strictObject({
      skip: z.number().int().min(0).default(0),
      limit: z.number().int().min(1).max(MAX_SUBSCRIBERS).default(100),
    }),
    output: z.object({ total: z.number(), accounts: z.array(z.string()) }),
    async run({ skip, limit }) {
      const all = await dapp.subscribers()
      return { total: all.length, accounts: all.slice(skip, skip + limit) }
    },
  })

export const createLookTools = (dapp: Dapp): Tool[] => [
  createReceipts(dapp),
  createSent(dapp),
  createSubscribers(dapp),
]
