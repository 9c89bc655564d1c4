/**
 * The relay's mailboxes in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | relay.messages | topic, seq | the message (`rows`) |
 * | relay.ids | topic, message id | seq |
 * | relay.expiry | expiresAt, topic, seq | – |
 * | relay.topics | topic | last seq, count, bytes, soonest expiry |
 * | relay.members | topic, client id | subscribed, cursor, acknowledged beyond it |
 * | relay.interests | client id, topic | – (only current subscriptions) |
 * | relay.owners | topic | client id: nobody else is subscribed, fetches or acknowledges there |
 * | relay.clients | client id | how many current subscriptions, day on which it was last seen |
 * | relay.seen | that day, client id | – |
 * | relay.counters | name | `floor`: no topic without a row may use a seq up to here |
 *
 * Every write is one LMDB transaction; LMDB runs them one after the other and makes those that wait durable together.
 * A transaction that throws is NOT rolled back by the engine, so each one checks first and writes after.
 *
 * A topic row goes when its last message goes; `floor` then takes over its last seq, so that no seq is used twice and
 * the cursors of the clients that stay subscribed remain behind everything that is to come.
 */

import type { MailboxLimits, MailboxStore } from '../../../relay/store.ts'
import { endOf, hash, key, name, number } from '../../bytes.ts'
import { ifWhole } from '../../damaged-row.ts'
import type { Env } from '../env.ts'
import { type Claims, claimOf, createClaims } from './claims.ts'
import { advance, findIn, isDone } from './cursors.ts'
import { createMailboxes, FLOOR, type Mailboxes } from './mailboxes.ts'
import { createPages } from './pages.ts'
import { prepare } from './publish.ts'
import { addToRanges, type Member, memberRow, type Topic } from './rows.ts'
import { createSubscriptions } from './subscriptions.ts'

export const createLmdbRelay = (env: Env, limits?: MailboxLimits): MailboxStore => {
  const mailboxes = createMailboxes(env, limits)
  const claims = createClaims()
  const subscriptions = createSubscriptions(env, mailboxes)
  const acknowledge = createAcknowledge(mailboxes, claims)
  const sweepMessages = createSweep(mailboxes)
  const { expiry, counters } = mailboxes.tables

  return {
    ...subscriptions.verbs,
    ...createPages(mailboxes),

    async publish(batch) {
      const prepared = batch.map(prepare)
      return env.transaction(() => prepared.map(mailboxes.publish))
    },

    async acknowledge(clientId, receipts) {
      const client = name(clientId)
      const wanted = receipts.map(({ topic, id }) => ({ topic: hash(topic), text: topic, id: hash(id) }))
      await env.transaction(() => acknowledge(clientId, client, wanted))
    },

    async claim(clientId, topic, seq, lease) {
      // A holder with an old page must not deliver again what was acknowledged to another one meanwhile.
      const member = mailboxes.memberOf(hash(topic), name(clientId))
      if (member && isDone(member, seq)) return false
      return claims.take(claimOf(clientId, topic, seq), lease)
    },

    async release(holder) {
      claims.release(holder)
    },

    async sweep(now, limit) {
      claims.sweep(now)
      const expired = [...expiry.getKeys({ limit: 1, end: endOf(number(now)) })]
      const swept = expired.length === 0 ? 0 : await env.transaction(() => sweepMessages(now, limit))
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

/** Acknowledges messages within a transaction. */
const createAcknowledge = (mailboxes: Mailboxes, claims: Claims) => {
  const { memberOf, isForeign, isCrowded, tables } = mailboxes
  const { ids, topics, members } = tables
  return (
    clientId: string,
    client: Buffer,
    receipts: readonly { topic: Buffer; text: string; id: Buffer }[],
  ): void => {
    const changed = new Map<string, { topic: Buffer; member: Member }>()
    for (const { topic, text, id } of receipts) {
      const seq = ids.get(key(topic, id))?.readDoubleBE()
      if (seq === undefined || isForeign(topic, client)) continue
      const known = changed.get(text)?.member ?? memberOf(topic, client)
      if (!known && isCrowded(topic)) continue
      const member = known ?? { subscribed: false, cursor: 0, acked: [] }
      claims.end(claimOf(clientId, text, seq))
      if (isDone(member, seq)) continue
      changed.set(text, { topic, member: { ...member, acked: addToRanges(member.acked, seq) } })
    }
    for (const { topic, member } of changed.values()) {
      const lastSeq = topics.get(topic)?.[0] ?? 0
      members.put(key(topic, client), memberRow(advance(findIn(tables, topic), { client, member }, lastSeq)))
    }
  }
}

/**
 * Removes at most `limit` expired messages within a transaction; returns how many rows it looked at. Passes over those that
 * are damaged.
 */
const createSweep = ({ topicOf, drop, writeTopic, tables }: Mailboxes) => {
  const { expiry, messages } = tables
  return (now: number, limit: number): number => {
    const due = [...expiry.getKeys({ limit, end: endOf(number(now)) })]
    const states = new Map<string, { topic: Buffer; state: Topic }>()
    for (const at of due) {
      const topic = Buffer.from(at.subarray(8, 40))
      const seq = at.readDoubleBE(40)
      const row = ifWhole(() => messages.get(key(topic, number(seq))))
      const text = topic.toString('hex')
      const state = states.get(text)?.state ?? ifWhole(() => topicOf(topic))
      if (!row || !state) {
        expiry.remove(at)
        continue
      }
      drop(topic, state, seq, row)
      states.set(text, { topic, state })
    }
    for (const { topic, state } of states.values()) writeTopic(topic, state)
    return due.length
  }
}
