/** Writes and publishes the batches that fan-outs hand over (`direct-sends`), and settles their entries. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Apps } from '../apps/apps.ts'
import type { RelayLink } from '../relay/link.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { DirectBatch } from './direct-sends.ts'
import { entriesOf, type LeasedEntries } from './leased-entries.ts'
import type { NotificationMessages } from './notification-message.ts'
import { byResult, publishAll } from './publish-all.ts'
import type { SentMessages } from './sent-messages.ts'
import type { OutgoingMessage } from './wire.ts'

export interface SendDirectDeps {
  relay: Pick<RelayLink, 'publish'>
  apps: Pick<Apps, 'byDomain'>
  messageOf: NotificationMessages
  leased: Pick<LeasedEntries, 'divide'>
  sent: Pick<SentMessages, 'note'>
  failures: { reset(): void; add(): void }
  clock: Clock
  log: Log
}

/**
 * Resolves when all publishes of the batch have begun, in order; the promise in its result when its entries are settled.
 * That one never rejects: what could not be settled is free again when its lease ends.
 */
export const createSendDirect =
  ({ relay, apps, messageOf, leased, sent, failures, clock, log }: SendDirectDeps) =>
  async ({ entries, notification, subscriptions }: DirectBatch): Promise<{ settled: Promise<void> }> => {
    const app = await apps.byDomain(notification.domain)
    const copies: { entry: OutboxEntry; message: OutgoingMessage }[] = []
    for (const entry of app ? entries.flatMap(entriesOf) : []) {
      const subscription = subscriptions.get(entry.task.subscriptionId)
      if (!app || !subscription) continue
      try {
        const message = messageOf(app, notification, subscription, entry)
        const { accountKey, subscriptionId, domain } = entry.task
        const { account } = subscription
        sent.note(message, { accountKey, subscriptionId, domain, account, deliveredId: entry.id })
        copies.push({ entry, message })
      } catch (err) {
        // An entry of its own waits for the cause to end; the others need not.
        log.error({ err, entry: entry.id }, 'A notification could not be written')
      }
    }
    const publishing = publishAll(
      { relay, clock },
      copies.map(({ message }) => message),
    )

    const settle = async () => {
      const { published, failed, err } = byResult(copies, await publishing)
      // First, so that others are not taken again before the pause. What was refused is found so again, and dropped.
      if (failed.length === 0) failures.reset()
      else {
        failures.add()
        log.warn({ err, entries: failed.length }, 'Messages did not reach the relay; trying again later')
      }
      const ids = new Set(published.map(({ entry }) => entry.id))
      for (const entry of entries) await leased.divide(entry, ids)
    }
    const settled = settle().catch((err: unknown) => {
      failures.add()
      log.warn(
        { err, entries: copies.length },
        'Receipts of sent notifications could not be written; trying again later',
      )
    })
    return { settled }
  }
