/** The outbox entry that several subscribers of a notification have together (`enqueueLeased`). */
import type { Notification, OutboxEntryOf } from './records.ts'
import type { EnqueueTarget } from './store.ts'

/** An engine gives it its id. All targets have the same times, so those of the first count. */
export const sharedEntry = (
  { projectId, domain, id: notificationId }: Pick<Notification, 'projectId' | 'domain' | 'id'>,
  targets: readonly [EnqueueTarget, ...EnqueueTarget[]],
): Omit<OutboxEntryOf<'notifications'>, 'id'> => {
  const { createdAt, expiresAt } = targets[0].outbox
  const named = targets.map(({ accountKey, subscriptionId }) => ({ accountKey, subscriptionId }))
  return {
    task: { kind: 'notifications', projectId, domain, notificationId, targets: named },
    createdAt,
    expiresAt,
  }
}
