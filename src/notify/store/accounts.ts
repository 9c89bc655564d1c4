/** What the operator asks of storage about one account; a part of `NotifyStore`. */
import type { OutboxEntry } from './records.ts'

export interface AccountStore {
  /**
   * Entries of the outbox, held ones included, among them all that came with a commit of this account. Others may be
   * there, too: who asks looks whom an entry is about.
   */
  outboxOf(accountKey: string): AsyncIterable<OutboxEntry>
}
