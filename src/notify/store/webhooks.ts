/** What webhooks ask of storage: few and small for each project, read often, written by hand. */
import type { Sealed, WebhookEvent } from './records.ts'

export { WEBHOOK_EVENTS, type WebhookEvent } from './records.ts'

export interface Webhook {
  id: string
  url: string
  events: WebhookEvent[]
  /** What its calls are signed with. */
  secret: Sealed
  /** The secret before the last rotation: calls are signed with it too, until then. */
  previous?: { secret: Sealed; until: number }
  /** `pending`: its receiver has not agreed yet, and is told nothing before. */
  state: 'pending' | 'enabled' | 'disabled'
  /** Why it is disabled; empty while it is not. */
  reason: string
  createdAt: number
}

export interface WebhookStore {
  /** All of a project's, in the order of their registration. */
  webhooks(projectId: string): Promise<{ version: number; webhooks: Webhook[] }>
  /**
   * Compare and swap of the whole list; `expectedVersion` is what `webhooks` gave. Answers whether it did. It may answer
   * false although it did, when its first answer was lost: changes must bear repetition.
   */
  commitWebhooks(commit: {
    projectId: string
    expectedVersion: number
    webhooks: readonly Webhook[]
  }): Promise<boolean>
}
