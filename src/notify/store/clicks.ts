/** How often the link of a notification was followed: what is kept lives as long as the notification. */
import type { Notification } from './records.ts'

/** Times in ms. */
export interface Clicks {
  count: number
  firstAt: number
}

export interface ClickStore {
  /** Counts a click on the link of one copy: constant work and, from the second on, no more space. */
  click(notification: Notification, deliveredId: string, at: number): Promise<void>
  /** Over all copies; `copies`: how many of them were clicked. */
  clicks(notification: Notification): Promise<(Clicks & { copies: number }) | undefined>
  /** Of one copy. */
  copyClicks(notification: Notification, deliveredId: string): Promise<Clicks | undefined>
}
