/**
 * Topics as this process wrote them last, for a second: whoever publishes much to one topic does it through one process.
 * Whether a topic is so still is checked by the commit.
 */
import type { TopicSets, TopicState } from './rows.ts'

const RECENT_MS = 1_000
/** Beyond it those are forgotten that were noted first. */
const MAX_TOPICS = 5_000

interface RecentTopic {
  sets: TopicSets
  state: TopicState
}

export interface RecentTopics {
  of(topic: string, now: number): RecentTopic | undefined
  note(sets: TopicSets, state: TopicState, now: number): void
  forget(topic: string): void
}

export const createRecentTopics = (): RecentTopics => {
  const topics = new Map<string, RecentTopic & { notedAt: number }>()
  return {
    of(topic, now) {
      const noted = topics.get(topic)
      return noted && Math.abs(now - noted.notedAt) < RECENT_MS ? noted : undefined
    },
    note(sets, state, now) {
      const known = topics.get(sets.topic)
      if (known) {
        known.state = state
        known.notedAt = now
        return
      }
      topics.set(sets.topic, { sets, state, notedAt: now })
      if (topics.size <= MAX_TOPICS) return
      const [oldest] = topics.keys()
      if (oldest !== undefined) topics.delete(oldest)
    },
    forget: (topic) => void topics.delete(topic),
  }
}
