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
  /** Those who paid for most first, at most `MAX_REPORTED`: names of addresses that change with the secret; '' is the house. */
  payers: { payer: string; messages: number; bytes: number }[]
  /** Clients that are subscribed, or have acknowledged something here; those who are furthest behind first. */
  members: { clientId: string; isSubscribed: boolean; behind: number }[]
  /** How many of each there are in all. */
  publisherCount: number
  payerCount: number
  memberCount: number
}

export const MAX_REPORTED = 100

export interface RelayAdmin {
  /** Live messages and members of the topic; a topic that nobody knows is empty. */
  report(topic: string, now: number): Promise<TopicReport>
  /**
   * Removes messages of the topic, those of one publisher or of one payer where it is named ('' is the house), behind
   * `after`, oldest first. Looks at no more than `limit`. `next` is where to go on; undefined at the end. Subscriptions stay.
   */
  clear(
    topic: string,
    how: { after: number; limit: number; publisher?: string | undefined; payer?: string | undefined },
  ): Promise<{ removed: number; next: number | undefined }>
}

interface Held {
  messages: number
  bytes: number
}
const createHoldings = () => {
  const held = new Map<string, Held>()
  return {
    add(owner: string, size: number): void {
      const own = held.get(owner) ?? { messages: 0, bytes: 0 }
      own.messages += 1
      own.bytes += size
      held.set(owner, own)
    },
    count: () => held.size,
    largest: (): [owner: string, held: Held][] =>
      [...held].sort(([, a], [, b]) => b.bytes - a.bytes).slice(0, MAX_REPORTED),
  }
}

/** Counts a report together, message by message. */
export const createReporting = (topic: string) => {
  const [publishers, payers] = [createHoldings(), createHoldings()]
  const members: TopicReport['members'] = []
  let messages = 0
  let bytes = 0
  let oldestAt: number | undefined
  let newestAt: number | undefined
  return {
    message(
      { publisher, payer }: { publisher: string; payer: string },
      size: number,
      publishedAt: number,
    ): void {
      publishers.add(publisher, size)
      payers.add(payer, size)
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
      publishers: publishers.largest().map(([publisher, held]) => ({ publisher, ...held })),
      payers: payers.largest().map(([payer, held]) => ({ payer, ...held })),
      members: members.toSorted((a, b) => b.behind - a.behind).slice(0, MAX_REPORTED),
      publisherCount: publishers.count(),
      payerCount: payers.count(),
      memberCount: members.length,
    }),
  }
}
