/**
 * Receipts: what became of a notification, for each account.
 *
 * A receipt belongs to one account and one notification. It begins when the notification is enqueued (`queued`) or refused
 * (`failed`), and moves forward only:
 *
 *     queued → published → delivered → read
 *        └─────────┴────→ failed
 *
 * It may skip states (a wallet can read in its history what the relay does not have yet). It begins anew only when the
 * notification is enqueued for another subscription of the same account, or for one that was refused before.
 * `published` may be the last state: the relay keeps the message until the wallet connects or the TTL ends.
 * Receipts last as long as their notification (`expiresAt`).
 */
import type { Notification, OutboxEntry } from './records.ts'

export const DELIVERY_STATES = ['queued', 'published', 'delivered', 'read', 'failed'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

export interface Receipt {
  accountKey: string
  /** CAIP-10 as the subscriber wrote it; for a refused account, as the dapp wrote it. */
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

/** What became of the notification of a completed outbox entry. */
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
 * A *withdrawn* copy is in no history and no unread count, and has no outbox entry. Its id stays a position in the history
 * that a page may begin behind. Enqueuing it again is `repeated`: a dapp that repeats a call does not bring back a
 * cancelled or replaced notification.
 */
export interface ReceiptsStore {
  /** Writes `failed` receipts for accounts without a receipt of this notification. No effect if it is not stored. */
  refuse(
    of: NotificationName,
    failures: readonly { accountKey: string; account: string; reason: string }[],
    at: number,
  ): Promise<void>
  /**
   * Removes entries that were delivered or will not be; with `receipt` the receipt of that copy moves on in the same step.
   * An entry that is not stored any more moves nothing: it was cancelled, replaced or completed before.
   */
  completeOutbox(done: readonly { id: string; receipt?: OutboxOutcome }[], at: number): Promise<void>
  /**
   * Marks copies as delivered, each from `at` on. Returns, in order, the notification of each copy that became `delivered`
   * by this very call, undefined for others. With `outbox` the entry of such a copy is added in the same step.
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
   * A page, with `state` only receipts in that state now, in a stable order of account keys that depends on the engine. A
   * receipt that exists while all pages are read is on exactly one of them; with `state`, one that keeps its state.
   */
  receipts(
    of: NotificationName,
    page: { state?: DeliveryState; after?: string; limit: number },
  ): Promise<Receipt[]>
  receiptCounts(of: NotificationName): Promise<Record<DeliveryState, number>>
  /**
   * Removes every receipt of the account, and of one that has nothing any more what else names it. It reads all stored
   * notifications, for an operator who erases an account. Idempotent.
   */
  forgetReceipts(accountKey: string): Promise<void>
  /**
   * Withdraws up to `limit` queued copies whose outbox entry is not leased at `at`; their receipts fail with `CANCELLED`.
   * A leased copy is on its way and stays. `more`: there may be more to withdraw.
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
