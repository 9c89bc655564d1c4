import type { RelayStore } from '../../relay/store.ts'
import type { Records } from './transfer.ts'

/**
 * Makes the subscriptions of members that another store had, with what their clients own there. Clients of a backup that
 * does not say when they were seen count as seen now.
 */
export const resubscribe = async (
  relay: Pick<RelayStore, 'subscribe'>,
  members: readonly Records['member'][],
): Promise<void> => {
  const calls = new Map<string, { clientId: string; topics: string[]; now: number; exclusive: boolean }>()
  for (const { clientId, topic, isSubscribed, seenAt = Date.now(), owns = false } of members) {
    if (!isSubscribed) continue
    const name = `${owns} ${clientId}`
    const call = calls.get(name) ?? { clientId, topics: [], now: seenAt, exclusive: owns }
    calls.set(name, call)
    call.topics.push(topic)
    call.now = Math.max(call.now, seenAt)
  }
  await Promise.all(
    [...calls.values()].map(({ clientId, topics, now, exclusive }) =>
      relay.subscribe(clientId, topics, { now, exclusive }),
    ),
  )
}
