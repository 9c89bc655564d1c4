/** How long things last in the notify room, each defined once. */

import { DAY_MS, HOUR_MS } from '../platform/units.ts'
import { LIMITS } from '../protocol/relay-methods.ts'

/** A relay keeps a message for at most 30 days, so nothing that is sent over it need wait longer. */
export const MAX_MESSAGE_TTL_S = LIMITS.ttl.max
/** A notification is delivered, and stays in histories, for as long unless the project says otherwise. */
export const NOTIFICATION_TTL_MS = MAX_MESSAGE_TTL_S * 1000
/** How far ahead a notification or a broadcast may be scheduled. */
export const MAX_SCHEDULE_AHEAD_MS = 30 * DAY_MS
/** A subscription lasts this long after it was made or updated. */
export const SUBSCRIPTION_LIFETIME_MS = 30 * DAY_MS
/** A watcher lasts this long after its last watch request. */
export const WATCHER_LIFETIME_MS = 24 * HOUR_MS
