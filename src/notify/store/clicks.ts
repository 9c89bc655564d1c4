/** The store's counts of followed links; they last as long as their notification. */
import type { Notification } from './records.ts'

/** Times in ms. */
export interface Clicks {
  count: number
  firstAt: number
}

/** Clicks of one UTC day, `2026-01-31`. */
export interface ClickDay {
  day: string
  count: number
}

/** The names by which a backup knows a notification. `sentAt` tells it from one that has the same id later. */
export interface ClickedNotification {
  projectId: string
  domain: string
  notificationId: string
  sentAt: number
  expiresAt: number
}

export interface CopyClicks extends Clicks, ClickedNotification {
  copyId: string
}

export interface ClickedDay extends ClickDay, ClickedNotification {}

export interface ClickStore {
  /** Counts a click on the link of one copy, in constant time. Only the first click takes space. */
  click(notification: Notification, deliveredId: string, at: number): Promise<void>
  /**
   * Over all copies; `copies`: how many of them were clicked. `days`: the newest 90 UTC days with clicks, in their order;
   * clicks that a backup from before there were days brought are in none.
   */
  clicks(notification: Notification): Promise<(Clicks & { copies: number; days: ClickDay[] }) | undefined>
  /** Of one copy. */
  copyClicks(notification: Notification, deliveredId: string): Promise<Clicks | undefined>
  /** Puts clicks of another store there. Idempotent: a copy that has clicks stays as it is. */
  restoreClicks(records: readonly CopyClicks[], now: number): Promise<void>
  /** The same of days. */
  restoreClickDays(records: readonly ClickedDay[], now: number): Promise<void>
}
