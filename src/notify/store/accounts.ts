/** The store's part for the operator's questions about one account. */
import type { OutboxEntry } from './records.ts'

export interface AccountStore {
  /** All entries of the outbox, leased ones included. There is no index by account: an operator asks, and rarely. */
  outboxEntries(): AsyncIterable<OutboxEntry>
}
