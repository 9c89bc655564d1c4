/** The store's part for the operator's questions about one account. */
import type { OutboxEntry } from './records.ts'

export interface AccountStore {
  /**
   * Entries of the outbox, leased ones included, among them all that came with a commit of this account. Others may be
   * among them: the caller checks which account an entry is about.
   */
  outboxOf(accountKey: string): AsyncIterable<OutboxEntry>
}
