/** What an operator asks of one topic of the relay: who fills it, who waits there, and to make room. */

export interface TopicReport {
  topic: string
  messages: number
  bytes: number
  /** When the oldest and the newest message came, unix ms; undefined without one. */
  oldestAt: number | undefined
  newestAt: number | undefined
  /** Those who hold most first, at most `MAX_REPORTED`. */
  publishers: { publisher: string; messages: number; bytes: number }[]
  /** Clients that are subscribed, or have acknowledged something here; those who are furthest behind first. */
  members: { clientId: string; isSubscribed: boolean; behind: number }[]
  /** How many of each there are in all. */
  publisherCount: number
  memberCount: number
}

export const MAX_REPORTED = 100

export interface RelayAdmin {
  /** Live messages and members of the topic; a topic that nobody knows is empty. */
  report(topic: string, now: number): Promise<TopicReport>
  /**
   * Removes messages of the topic, those of one publisher where it is named, behind `after`, oldest first. Looks at no
   * more than `limit`. `next` is where to go on; undefined at the end. Subscriptions stay.
   */
  clear(
    topic: string,
    how: { after: number; limit: number; publisher?: string | undefined },
  ): Promise<{ removed: number; next: number | undefined }>
}

/** Counts a report together, message by message. */
export const createReporting = (topic: string) => {
  const held = new Map<string, { publisher: string; messages: number; bytes: number }>()
  const members: TopicReport['members'] = []
  let messages = 0
  let bytes = 0
  let oldestAt: number | undefined
  let newestAt: number | undefined
  return {
    message(publisher: string, size: number, publishedAt: number): void {
      const own = held.get(publisher) ?? { publisher, messages: 0, bytes: 0 }
      own.messages += 1
      own.bytes += size
      held.set(publisher, own)
      messages += 1
      bytes += size
      oldestAt = Math.min(oldestAt ?? publishedAt, publishedAt)
      newestAt = Math.max(newestAt ?? publishedAt, publishedAt)
    },
    member(clientId: string, isSubscribed: boolean, behind: number): void {
      members.push({ clientId, isSubscribed, behind })
    },
    report: (): TopicReport => ({
      ...{ topic, messages, bytes, oldestAt, newestAt },
      publishers: [...held.values()].sort((a, b) => b.bytes - a.bytes).slice(0, MAX_REPORTED),
      members: members.toSorted((a, b) => b.behind - a.behind).slice(0, MAX_REPORTED),
      publisherCount: held.size,
      memberCount: members.length,
    }),
  }
}
