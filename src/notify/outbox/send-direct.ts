/** Writes and publishes the batches that fan-outs hand over (`direct-sends`), and settles their entries. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Apps } from '../apps/apps.ts'
import type { RelayLink } from '../relay/link.ts'
import type { OutboxEntryOf } from '../store/store.ts'
import type { DirectBatch } from './direct-sends.ts'
import type { LeasedEntries } from './leased-entries.ts'
import type { NotificationMessages } from './notification-message.ts'
import { byResult, publishAll } from './publish-all.ts'
import type { SentMessages } from './sent-messages.ts'
import type { OutgoingMessage } from './wire.ts'

export interface SendDirectDeps {
  relay: Pick<RelayLink, 'publish'>
  apps: Pick<Apps, 'byDomain'>
  messageOf: NotificationMessages
  leased: Pick<LeasedEntries, 'settle'>
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
  async ({ entries, notification, targets }: DirectBatch): Promise<{ settled: Promise<void> }> => {
    const app = await apps.byDomain(notification.domain)
    const written: { entry: OutboxEntryOf<'notification'>; message: OutgoingMessage }[] = []
    const unwritten: OutboxEntryOf<'notification'>[] = []
    for (const { subscription, outbox: entry } of targets) {
      try {
        if (!app) throw new Error('The app is gone')
        const message = messageOf(app, notification, subscription, entry)
        const { accountKey, subscriptionId, domain } = entry.task
        const { account } = subscription
        sent.note(message, { accountKey, subscriptionId, domain, account, deliveredId: entry.id })
        written.push({ entry, message })
      } catch (err) {
        // Its own entry waits for the cause to end; the others need not.
        log.error({ err, entry: entry.id }, 'A notification could not be written')
        unwritten.push(entry)
      }
    }
    const publishing = publishAll(
      { relay, clock },
      written.map(({ message }) => message),
    )

    const settle = async () => {
      const { published, failed, refused, err } = byResult(written, await publishing)
      // First, so that others are not taken again before the pause. What was refused is found so again, and dropped.
      if (failed.length === 0) failures.reset()
      else {
        failures.add()
        log.warn({ err, entries: failed.length }, 'Messages did not reach the relay; trying again later')
      }
      const unsent = [...failed, ...refused].map(({ entry }) => entry)
      await leased.settle(entries, {
        published: published.map(({ entry }) => entry),
        others: [...unsent, ...unwritten],
      })
    }
    const settled = settle().catch((err: unknown) => {
      failures.add()
      log.warn(
        { err, entries: written.length },
        'Receipts of sent notifications could not be written; trying again later',
      )
    })
    return { settled }
  }
