/** The store's part for webhooks: a short list for each project, read often and changed rarely. */
import type { Sealed, WebhookEvent } from './records.ts'

export { WEBHOOK_EVENTS, type WebhookEvent } from './records.ts'

export interface Webhook {
  id: string
  url: string
  events: WebhookEvent[]
  /** Calls are signed with it. */
  secret: Sealed
  /** The secret before the last rotation: calls are signed with it too, until then. */
  previous?: { secret: Sealed; until: number }
  /** `pending`: its receiver has not agreed yet, and receives no event before. */
  state: 'pending' | 'enabled' | 'disabled'
  /** Why it is disabled; empty while it is not. */
  reason: string
  createdAt: number
}

export interface WebhookStore {
  /** All of a project's, in the order of their registration. */
  webhooks(projectId: string): Promise<{ version: number; webhooks: Webhook[] }>
  /**
   * Compare-and-swap of the whole list; `expectedVersion` is what `webhooks` returned. Returns whether it did. It may
   * return false although it did, when its first answer was lost, so changes must be idempotent.
   */
  commitWebhooks(commit: {
    projectId: string
    expectedVersion: number
    webhooks: readonly Webhook[]
  }): Promise<boolean>
}
