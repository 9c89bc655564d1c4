/**
 * What became of a notification, for each subscriber: the receipts.
 *
 * A receipt belongs to one account and one notification. It begins when the notification is handed over (`queued`) or
 * refused (`failed`), and goes forward only:
 *
 *     queued → published → delivered → read
 *        └─────────┴────→ failed
 *
 * It may leave states out (a wallet can read in its history what the relay does not have yet). Only handing the
 * notification over to another subscription of the same account, or to one that was refused before, begins it anew.
 * `published` may be the end: the relay keeps what it has until the wallet comes or the TTL ends, and tells nobody.
 * Receipts end with their notification (`expiresAt`). What was handed over before there were receipts has none.
 */
import type { Notification, OutboxEntry } from './records.ts'

export const DELIVERY_STATES = ['queued', 'published', 'delivered', 'read', 'failed'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

export interface Receipt {
  accountKey: string
  /** CAIP-10: as the subscriber wrote it; for who was refused, as the dapp did. */
  account: string
  state: DeliveryState
  /** Why it failed; only then. */
  reason?: string
  /** When it came into this state. */
  at: number
}

export interface NotificationName {
  projectId: string
  domain: string
  id: string
}

export const REPLACED = 'Replaced by a newer notification'
export const CANCELLED = 'Cancelled'
export const EXPIRED = 'Expired before delivery'

/** What became of the notification of an outbox entry that is ticked off. */
export interface OutboxOutcome {
  of: NotificationName
  accountKey: string
  subscriptionId: string
  /** `failed`: the copy is withdrawn, too. */
  became: 'published' | 'failed'
  /** For `failed`. */
  reason?: string
}

/**
 * A copy that is *withdrawn* is in no history and no unread count any more, and its outbox entry is gone. Its id stays
 * a place in the history that a page may begin behind, and handing it over again is `repeated`: a dapp that repeats a
 * call does not bring back what was cancelled or replaced.
 */
export interface ReceiptsStore {
  /** Receipts `failed` of accounts that have none of this notification yet. Nothing if the notification is not kept. */
  refuse(
    of: NotificationName,
    failures: readonly { accountKey: string; account: string; reason: string }[],
    at: number,
  ): Promise<void>
  /**
   * Removes entries that were delivered or will not be; with `receipt`, in the same step, the receipt of that copy moves
   * on. Of an entry that is not there any more nothing moves: it was cancelled, or replaced, or ticked off before.
   */
  completeOutbox(done: readonly { id: string; receipt?: OutboxOutcome }[], at: number): Promise<void>
  /**
   * Wallets have these copies, each from `at` on. Answers, in order, the notification of each that became `delivered` by
   * this very call, undefined for others; with `outbox`, in the same step, that entry is added for one that did.
   */
  markDelivered(
    copies: readonly {
      accountKey: string
      subscriptionId: string
      deliveredId: string
      at: number
      outbox?: OutboxEntry
    }[],
  ): Promise<(NotificationName | undefined)[]>
  /**
   * A page, with `state` only those in that state now, in an order of account keys that never changes (but is another
   * one in another engine). Who has a receipt all the time while pages are read is on exactly one of them; with `state`,
   * who has been in it all the time.
   */
  receipts(
    of: NotificationName,
    page: { state?: DeliveryState; after?: string; limit: number },
  ): Promise<Receipt[]>
  receiptCounts(of: NotificationName): Promise<Record<DeliveryState, number>>
  /**
   * Removes every receipt of the account. It looks at all notifications that are kept: for an operator who erases an
   * account. Bears repetition.
   */
  forgetReceipts(accountKey: string): Promise<void>
  /**
   * Withdraws up to `limit` queued copies whose outbox entry nobody holds at `at`; their receipts fail with
   * `CANCELLED`. What a worker holds is on its way and stays. `more`: there may be more to withdraw.
   */
  cancelQueued(of: NotificationName, limit: number, at: number): Promise<{ cancelled: number; more: boolean }>
  /**
   * Notifications of a project, or of one of its apps, newest first (`createdAt`), expired ones that are not swept yet
   * included. `after` is the `next` of the page before (ProtocolError `bad_params` for anything else); what is
   * published meanwhile comes before the first page and moves nothing.
   */
  notifications(
    projectId: string,
    page: { domain?: string; after?: string; limit: number },
  ): Promise<{ notifications: Notification[]; next: string | null }>
}
