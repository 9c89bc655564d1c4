/**
 * The relay's mailboxes in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | relay.messages | topic, seq | the message (`relay-rows`) |
 * | relay.ids | topic, message id | seq |
 * | relay.expiry | expiresAt, topic, seq | – |
 * | relay.topics | topic | last seq, count, bytes, soonest expiry |
 * | relay.members | topic, client id | subscribed, cursor, acknowledged beyond it |
 * | relay.interests | client id, topic | – (only current subscriptions) |
 * | relay.owners | topic | client id: nobody else is subscribed, fetches or acknowledges there |
 * | relay.clients | client id | how many current subscriptions, day on which it was last seen |
 * | relay.seen | that day, client id | – |
 * | relay.watches | client id, SHA-256 of service and URL | the watch (`relay-watches`) |
 * | relay.counters | name | `floor`: no topic without a row may use a seq up to here |
 *
 * Every write is one LMDB transaction; LMDB runs them one after the other and makes those that wait durable together.
 * A transaction that throws is NOT rolled back by the engine, so each one checks first and writes after.
 *
 * A topic row goes when its last message goes; `floor` then takes over its last seq, so that no seq is used twice and
 * the cursors of the clients that stay subscribed remain behind everything that is to come.
 */

import {
  type Head,
  type MailboxLimits,
  type RelayStore,
  type StoredMessage,
  WAITING_BATCH,
} from '../../../relay/store.ts'
import { behind, endOf, hash, key, name, named, number } from '../bytes.ts'
import type { Env } from '../env.ts'
import { claimOf, createClaims } from './claims.ts'
import { createMailboxes, FLOOR } from './mailboxes.ts'
import {
  addToRanges,
  decodeMessage,
  expiryOfRow,
  type Member,
  memberRow,
  payerOfRow,
  publishedBy,
  publisherOfRow,
  rangeEnd,
  sizeOfRow,
  type Topic,
} from './rows.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createWatches } from './webhook-registrations.ts'

export const createLmdbRelay = (env: Env, limits?: MailboxLimits): RelayStore => {
  const mailboxes = createMailboxes(env, limits)
  const { topicOf, memberOf, isForeign, isCrowded, advance, lookInto } = mailboxes
  const { drop, writeTopic, prepare, publish } = mailboxes
  const { messages, ids, expiry, topics, members, interests, counters } = mailboxes.tables
  const claims = createClaims()
  const watches = createWatches(env)
  const subscriptions = createSubscriptions(env, mailboxes)

  const sweepMessages = (now: number, limit: number): Promise<number> =>
    env.transaction(() => {
      const due = [...expiry.getKeys({ limit, end: endOf(number(now)) })]
      const states = new Map<string, { topic: Buffer; state: Topic }>()
      for (const at of due) {
        const topic = Buffer.from(at.subarray(8, 40))
        const seq = at.readDoubleBE(40)
        const row = messages.get(key(topic, number(seq)))
        const text = topic.toString('hex')
        const state = states.get(text)?.state ?? topicOf(topic)
        if (!row || !state) {
          expiry.remove(at)
          continue
        }
        drop(topic, state, seq, row)
        states.set(text, { topic, state })
      }
      for (const { topic, state } of states.values()) writeTopic(topic, state)
      return due.length
    })

  /** Whether a message still waits for the client. */
  const isDue = (
    row: Buffer,
    seq: number,
    { client, member, now }: { client: Buffer; member: Member | undefined; now: number },
  ): boolean =>
    expiryOfRow(row) > now &&
    !publishedBy(row, client) &&
    !(member && (seq <= member.cursor || rangeEnd(member.acked, seq) !== undefined))

  /** What waits for the client behind `after`, in publish order; read lazily, row by row. */
  function* waitingRows(clientId: string, topicText: string, after: number, now: number) {
    const topic = hash(topicText)
    const client = name(clientId)
    if (isForeign(topic, client)) return
    const member = memberOf(topic, client)
    const start = key(topic, number(Math.max(after, member?.cursor ?? 0) + 1))
    for (const { key: at, value } of messages.getRange({ start, end: endOf(topic) })) {
      const seq = at.readDoubleBE(32)
      if (isDue(value, seq, { client, member, now })) yield { seq, value }
    }
  }

  return {
    ...watches.verbs,
    ...subscriptions.verbs,

    async publish(batch) {
      const prepared = batch.map(prepare)
      return env.transaction(() => prepared.map(publish))
    },

    async *waiting(clientId, _now) {
      const client = name(clientId)
      const end = endOf(named(clientId))
      let start = named(clientId)
      for (;;) {
        const batch = [...interests.getKeys({ start, end, limit: WAITING_BATCH })]
        const found: string[] = []
        for (const at of batch) {
          const topic = at.subarray(at.length - 32)
          const lastSeq = topics.get(topic)?.[0] ?? 0
          if (lastSeq > (members.get(key(topic, client))?.[1] ?? 0)) found.push(topic.toString('hex'))
        }
        if (batch.length > 0) yield found
        const last = batch.at(-1)
        if (last === undefined || batch.length < WAITING_BATCH) return
        start = behind(last)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },

    async pending(clientId, topicText, { after, limit, maxBytes, now }) {
      const found: StoredMessage[] = []
      let bytes = 0
      // Leaving the loop early costs nothing.
      for (const { seq, value } of waitingRows(clientId, topicText, after, now)) {
        const size = sizeOfRow(value)
        if (found.length >= limit || (found.length > 0 && bytes + size > maxBytes)) {
          return { messages: found, hasMore: true }
        }
        bytes += size
        found.push(decodeMessage(value, topicText, seq))
      }
      return { messages: found, hasMore: false }
    },

    async heads(clientId, topicText, { after, limit, now }) {
      const heads: Head[] = []
      for (const { seq, value } of waitingRows(clientId, topicText, after, now)) {
        if (heads.length === limit) return { heads, hasMore: true }
        heads.push({
          seq,
          payer: payerOfRow(value),
          publisher: publisherOfRow(value),
          size: sizeOfRow(value),
        })
      }
      return { heads, hasMore: false }
    },

    async pick(clientId, topicText, seqs, now) {
      const topic = hash(topicText)
      const client = name(clientId)
      if (isForeign(topic, client)) return []
      const member = memberOf(topic, client)
      return seqs.flatMap((seq) => {
        const row = messages.get(key(topic, number(seq)))
        return row && isDue(row, seq, { client, member, now }) ? [decodeMessage(row, topicText, seq)] : []
      })
    },

    async acknowledge(clientId, receipts) {
      const client = name(clientId)
      const wanted = receipts.map(({ topic, id }) => ({ topic: hash(topic), text: topic, id: hash(id) }))
      await env.transaction(() => {
        const touched = new Map<string, { topic: Buffer; member: Member }>()
        for (const { topic, text, id } of wanted) {
          const seq = ids.get(key(topic, id))?.readDoubleBE()
          if (seq === undefined || isForeign(topic, client)) continue
          const known = touched.get(text)?.member ?? memberOf(topic, client)
          if (!known && isCrowded(topic)) continue
          const member = known ?? { subscribed: false, cursor: 0, acked: [] }
          claims.end(claimOf(clientId, text, seq))
          if (seq <= member.cursor || rangeEnd(member.acked, seq) !== undefined) continue
          touched.set(text, { topic, member: { ...member, acked: addToRanges(member.acked, seq) } })
        }
        for (const { topic, member } of touched.values()) {
          members.put(
            key(topic, client),
            memberRow(advance(lookInto(topic), { client, member }, topics.get(topic)?.[0] ?? 0)),
          )
        }
      })
    },

    async claim(clientId, topic, seq, lease) {
      // A holder with an old page in hand must not deliver again what another one got acknowledged meanwhile.
      const member = memberOf(hash(topic), name(clientId))
      if (member && (seq <= member.cursor || rangeEnd(member.acked, seq) !== undefined)) return false
      return claims.take(claimOf(clientId, topic, seq), lease)
    },

    async release(holder) {
      claims.release(holder)
    },

    async message(topicText, id, now) {
      const topic = hash(topicText)
      const seq = ids.get(key(topic, hash(id)))?.readDoubleBE()
      const row = seq === undefined ? undefined : messages.get(key(topic, number(seq)))
      if (seq === undefined || !row || expiryOfRow(row) <= now) return undefined
      return decodeMessage(row, topicText, seq)
    },

    async sweep(now, limit) {
      claims.sweep(now)
      await watches.sweep(now, limit)
      const anything = [...expiry.getKeys({ limit: 1, end: endOf(number(now)) })]
      const swept = anything.length === 0 ? 0 : await sweepMessages(now, limit)
      return swept + (await subscriptions.lapse(now, limit - swept))
    },

    onWake() {
      // One process: every publish goes through this instance, and its caller learns the subscribers at once.
      return { [Symbol.dispose]: () => {} }
    },

    async ping() {
      // A transaction without a write asks the engine without asking the disk.
      await env.transaction(() => counters.get(FLOOR))
    },

    async [Symbol.asyncDispose]() {
      // The environment belongs to `openLmdb`, which closes it.
    },
  }
}
