import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { abbreviate } from './delivery/outgoing.ts'

/** Between two lines in the log about the same reason: somebody may cause a thousand a second. */
const LOG_EVERY_MS = 60_000

const TEXTS = {
  full: 'Messages were dropped: a topic is full',
  budget: 'Messages were dropped: their publisher keeps too much here',
  owned: 'Subscriptions were ignored: the topic belongs to another client',
  crowded: 'Subscriptions were ignored: the topic has as many subscribers as it may have',
} as const
export type DropReason = keyof typeof TEXTS

/** Counts what was not done although it was answered, and says so once in a while. */
export const createDrops = ({ clock, log, meter }: { clock: Clock; log: Log; meter: Meter }) => {
  const unsaid = new Map<DropReason, { count: number; saidAt: number }>()

  return (reason: DropReason, topic: string, count = 1): void => {
    const isMessage = reason === 'full' || reason === 'budget'
    if (isMessage) meter.count('relay_messages_dropped_total', { reason }, count)
    else meter.count('relay_subscriptions_ignored_total', { reason }, count)
    const now = clock.now()
    const known = unsaid.get(reason) ?? { count: 0, saidAt: Number.NEGATIVE_INFINITY }
    known.count += count
    unsaid.set(reason, known)
    if (now - known.saidAt < LOG_EVERY_MS) return
    log.warn({ topic: abbreviate(topic), reason, count: known.count }, TEXTS[reason])
    unsaid.set(reason, { count: 0, saidAt: now })
  }
}
export type Drops = ReturnType<typeof createDrops>
