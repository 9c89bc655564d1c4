/** The limit of notifications to one subscriber (`apps/limits`), charged for whole pages of targets at once. */
import { invariant } from '../../platform/invariant.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import type { DirectTarget } from '../outbox/direct-sends.ts'
import type { EnqueueTarget, Notification, NotifyStore } from '../store/store.ts'

/** A subscriber that a notification is for. */
export type Target = EnqueueTarget & DirectTarget

/**
 * Charges each target and returns those whose limit is used up. A subscriber that has the notification already is none
 * of them, and a repeat costs it nothing.
 */
export type ChargeSubscribers = (
  notification: Notification,
  targets: readonly Target[],
  isRepeat: boolean,
) => Promise<Set<Target>>

export const createSubscriberLimit = ({
  store,
  apps,
  limits,
}: {
  store: Pick<NotifyStore, 'delivered'>
  apps: Pick<Apps, 'projects'>
  limits: Pick<Limits, 'takeEach'>
}): ChargeSubscribers => {
  const withoutCopy = async (targets: readonly Target[]): Promise<Target[]> => {
    const copies = await Promise.all(
      targets.map(({ subscriptionId, deliveredId }) => store.delivered(subscriptionId, deliveredId)),
    )
    return targets.filter((_, at) => !copies[at])
  }

  return async ({ projectId }, targets, isRepeat) => {
    const charged = isRepeat ? await withoutCopy(targets) : targets
    const keys = charged.map((target) => `${projectId}:${target.accountKey}`)
    const rules = (await apps.projects.settings(projectId)).limits
    const isWithin = await limits.takeEach('subscriber', keys, rules)
    invariant(isWithin.length === charged.length, 'Each charged subscriber has one answer of its limit')
    const refused = charged.filter((_, at) => !isWithin[at])
    // A repeat within the same millisecond did not look like one.
    return new Set(isRepeat ? refused : await withoutCopy(refused))
  }
}
