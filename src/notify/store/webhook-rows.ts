/** Webhooks over the port: all of a project's are one cell, whose version tells whether it is still the one that was read. */
import * as z from 'zod'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
import { WEBHOOK_EVENTS, type Webhook, type WebhookStore } from './webhooks.ts'

export const webhookSchema: z.ZodType<Webhook> = z.object({
  id: z.string(),
  url: z.string(),
  events: z.array(z.enum(WEBHOOK_EVENTS)),
  secret: z.string(),
  previous: z.object({ secret: z.string(), until: z.number() }).exactOptional(),
  state: z.enum(['pending', 'enabled', 'disabled']),
  reason: z.string(),
  createdAt: z.number(),
})

/** The subject is the project. */
export const WEBHOOKS = defineTable({
  name: 'notify.webhooks',
  shape: 'cell',
  codec: json(z.object({ version: z.number(), webhooks: z.array(webhookSchema) })),
})

const PARTITION = 'projects'
const webhooksOf = (projectId: string) => WEBHOOKS.in(PARTITION, projectId)

export const createWebhookStore = (kv: Kv): WebhookStore => ({
  async webhooks(projectId) {
    const [{ value = { version: 0, webhooks: [] } }] = await read(kv, [webhooksOf(projectId).get()])
    return value
  },

  commitWebhooks({ projectId, expectedVersion, webhooks }) {
    const cell = webhooksOf(projectId)
    return transact(kv, 0, async () => {
      const [{ value, isUnchanged }] = await read(kv, [cell.get()])
      if ((value?.version ?? 0) !== expectedVersion) return { answer: false }
      const writes = [cell.put({ value: { version: expectedVersion + 1, webhooks: [...webhooks] } })]
      return { answer: true, batch: { partition: PARTITION, checks: [isUnchanged], writes } }
    })
  },
})
