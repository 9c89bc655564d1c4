/** The store's counts of followed links; they last as long as their notification. */
import type { Notification } from './records.ts'

/** Times in ms. */
export interface Clicks {
  count: number
  firstAt: number
}

export interface ClickStore {
  /** Counts a click on the link of one copy, in constant time. Only the first click takes space. */
  click(notification: Notification, deliveredId: string, at: number): Promise<void>
  /** Over all copies; `copies`: how many of them were clicked. */
  clicks(notification: Notification): Promise<(Clicks & { copies: number }) | undefined>
  /** Of one copy. */
  copyClicks(notification: Notification, deliveredId: string): Promise<Clicks | undefined>
}
