/** Which client is subscribed to which topic, which one owns a topic, and when a client was last seen. */
import { ProtocolError } from '../../../protocol/errors.ts'
import { dayOf, type RelayStore, SUBSCRIPTION_LEASE_MS } from '../../../relay/store.ts'
import { behind, endOf, hash, key, name, named, number } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import type { Mailboxes } from './mailboxes.ts'
import { memberRow } from './rows.ts'

type Verbs = Pick<
  RelayStore,
  'subscribe' | 'unsubscribedOf' | 'seen' | 'unsubscribe' | 'topicsOf' | 'isSubscribed'
>

/** Subscriptions of others that one transaction ends when a topic gets an owner. */
const MAX_EVICTED = 500

export const createSubscriptions = (
  env: Env,
  mailboxes: Mailboxes,
): { verbs: Verbs; lapse: (now: number, limit: number) => Promise<number> } => {
  const { memberOf, isForeign } = mailboxes
  const { interests, clients } = mailboxes.tables
  const rows = createSubscriptionRows(mailboxes)
  const add = createAdd(mailboxes, rows)
  const evict = createEvict(mailboxes, rows)

  const verbs: Verbs = {
    async subscribe(clientId, wanted, { now, limit, exclusive = false }) {
      const topics = [...new Set(wanted)].map(hash)
      const done = await env.transaction(() => add(clientId, topics, { now, limit, exclusive }))
      if (!done) throw new ProtocolError('rate_limited', `more than ${limit} topics`)
      if (exclusive) {
        while ((await env.transaction(() => evict(topics, name(clientId)))) === MAX_EVICTED);
      }
      const texts = (keys: readonly Buffer[]) => keys.map((topic) => topic.toString('hex'))
      return { total: done.total, owned: texts(done.owned), crowded: texts(done.crowded) }
    },

    async unsubscribedOf(clientId, wanted) {
      const client = name(clientId)
      return [...new Set(wanted)].filter((topic) => !memberOf(hash(topic), client)?.subscribed)
    },

    async seen(clientIds, now) {
      const day = dayOf(now)
      const isStale = (client: Buffer) => (clients.get(client)?.[1] ?? day) < day
      const stale = clientIds.map(name).filter(isStale)
      if (stale.length === 0) return
      await env.transaction(() => {
        for (const client of stale) {
          const row = clients.get(client)
          if (row) rows.writeClient(client, row[0], day)
        }
      })
    },

    async unsubscribe(clientId, unwanted) {
      const client = name(clientId)
      const topics = [...new Set(unwanted)].map(hash)
      await env.transaction(() => {
        rows.countDown(client, topics.filter((topic) => rows.end(topic, client)).length)
      })
    },

    async topicsOf(clientId, { after, limit }) {
      const start = after === undefined ? named(clientId) : behind(named(clientId, hash(after)))
      const found: string[] = []
      for (const at of interests.getKeys({ start, end: endOf(named(clientId)), limit })) {
        found.push(at.toString('hex', at.length - 32))
      }
      return found
    },

    async isSubscribed(clientId, topicText) {
      const [topic, client] = [hash(topicText), name(clientId)]
      return !isForeign(topic, client) && (memberOf(topic, client)?.subscribed ?? false)
    },
  }

  return { verbs, lapse: createLapse(env, mailboxes, rows) }
}

/** The rows of subscriptions and clients, within a transaction. */
interface SubscriptionRows {
  /** Writes how many subscriptions a client has, and when it was last seen; never an earlier day than before. */
  writeClient(client: Buffer, count: number, day: number): void
  /** Ends one subscription; the caller counts. False when there was none. */
  end(topic: Buffer, client: Buffer): boolean
  /** So many subscriptions of the client have ended. */
  countDown(client: Buffer, ended: number): void
}

const createSubscriptionRows = ({ memberOf, tables }: Mailboxes): SubscriptionRows => {
  const { topics, members, interests, owners, clients, seen } = tables

  const writeClient = (client: Buffer, count: number, day: number): void => {
    const before = clients.get(client)?.[1]
    const lastDay = Math.max(before ?? 0, day)
    if (before !== undefined && (before !== lastDay || count <= 0)) seen.remove(key(number(before), client))
    if (count <= 0) {
      clients.remove(client)
      return
    }
    if (before !== lastDay) seen.put(key(number(lastDay), client), PRESENT)
    clients.put(client, [count, lastDay])
  }

  return {
    writeClient,
    end(topic, client) {
      const member = memberOf(topic, client)
      if (owners.get(topic)?.equals(client)) owners.remove(topic)
      if (!member?.subscribed) return false
      interests.remove(key(named(client.toString()), topic))
      // An empty topic has no row, and then there is nothing to remember either.
      if (topics.get(topic)) members.put(key(topic, client), memberRow({ ...member, subscribed: false }))
      else members.remove(key(topic, client))
      return true
    },
    countDown(client, ended) {
      const row = clients.get(client)
      if (ended > 0 && row) writeClient(client, row[0] - ended, row[1])
    },
  }
}

/** Makes subscriptions within a transaction; undefined when the client would have more topics than `limit`. */
const createAdd = (
  { memberOf, isForeign, isCrowded, tables }: Mailboxes,
  { writeClient }: Pick<SubscriptionRows, 'writeClient'>,
) => {
  const { members, interests, owners, clients } = tables
  return (
    clientId: string,
    wanted: readonly Buffer[],
    { now, limit, exclusive }: { now: number; limit: number | undefined; exclusive: boolean },
  ): { total: number; owned: Buffer[]; crowded: Buffer[] } | undefined => {
    const client = name(clientId)
    const owned = exclusive ? [] : wanted.filter((topic) => isForeign(topic, client))
    const free = owned.length === 0 ? wanted : wanted.filter((topic) => !owned.includes(topic))
    const unsubscribed = free.filter((topic) => !memberOf(topic, client)?.subscribed)
    const crowded =
      limit === undefined ? [] : unsubscribed.filter((topic) => !memberOf(topic, client) && isCrowded(topic))
    const added =
      crowded.length === 0 ? unsubscribed : unsubscribed.filter((topic) => !crowded.includes(topic))
    const total = (clients.get(client)?.[0] ?? 0) + added.length
    if (limit !== undefined && added.length > 0 && total > limit) return undefined
    for (const topic of added) {
      const member = memberOf(topic, client) ?? { cursor: 0, acked: [] }
      members.put(key(topic, client), memberRow({ ...member, subscribed: true }))
      interests.put(named(clientId, topic), PRESENT)
    }
    if (exclusive) for (const topic of wanted) owners.put(topic, client)
    if (total > 0) writeClient(client, total, dayOf(now))
    return { total, owned, crowded }
  }
}

/** Ends what others have in topics of this owner, within a transaction; returns how many, at most `MAX_EVICTED`. */
const createEvict =
  ({ ownerOf, tables }: Mailboxes, { end, countDown }: SubscriptionRows) =>
  (topics: readonly Buffer[], owner: Buffer): number => {
    const { members } = tables
    let evicted = 0
    for (const topic of topics) {
      if (!ownerOf(topic)?.equals(owner)) continue
      const others = [...members.getRange({ start: topic, end: endOf(topic), limit: MAX_EVICTED + 1 })]
        .map(({ key: at, value }) => ({ client: Buffer.from(at.subarray(32)), isSubscribed: value[0] === 1 }))
        .filter(({ client }) => !client.equals(owner))
      for (const { client, isSubscribed } of others) {
        if (isSubscribed && end(topic, client)) countDown(client, 1)
        members.remove(key(topic, client))
        evicted += 1
        if (evicted === MAX_EVICTED) return evicted
      }
    }
    return evicted
  }

/** Ends at most `limit` subscriptions of clients that were not seen for too long; returns how many. */
const createLapse = (env: Env, { tables }: Mailboxes, { end, countDown }: SubscriptionRows) => {
  const { interests, clients, seen } = tables

  /** The subscriptions of one client, at most `limit`. */
  const lapseClient = (at: Buffer, limit: number): number => {
    const client = Buffer.from(at.subarray(8))
    const own = named(client.toString())
    const some = [...interests.getKeys({ start: own, end: endOf(own), limit })]
    for (const interest of some) end(Buffer.from(interest.subarray(interest.length - 32)), client)
    if (some.length === limit) countDown(client, some.length)
    else {
      seen.remove(at)
      clients.remove(client)
    }
    return some.length
  }

  return async (now: number, limit: number): Promise<number> => {
    // The last day of which every moment is too long ago.
    const due = { limit: 1, end: number(dayOf(now - SUBSCRIPTION_LEASE_MS)) }
    let ended = 0
    while (ended < limit && [...seen.getKeys(due)].length > 0) {
      ended += await env.transaction(() => {
        const [at] = [...seen.getKeys(due)]
        return at ? lapseClient(at, limit - ended) : 0
      })
    }
    return ended
  }
}
