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
 * | relay.clients | client id | how many current subscriptions |
 * | relay.counters | name | `floor`: no topic without a row may use a seq up to here |
 *
 * Every write is one LMDB transaction; LMDB runs them one after the other and makes those that wait durable together.
 * A transaction that throws is NOT rolled back by the engine, so each one checks first and writes after.
 *
 * A topic row goes when its last message goes; `floor` then takes over its last seq, so that no seq is used twice and
 * the cursors of the clients that stay subscribed remain behind everything that is to come.
 */

import { ProtocolError } from '../../protocol/errors.ts'
import type {
  MailboxLimits,
  NewMessage,
  Publication,
  RelayStore,
  StoredMessage,
  Subscriber,
} from '../../relay/store.ts'
import {
  BYTES,
  type Bytes,
  behind,
  endOf,
  hash,
  key,
  name,
  named,
  number,
  PRESENT,
  ROWS,
  type Rows,
} from './bytes.ts'
import type { Env } from './env.ts'
import { claimOf, createClaims } from './relay-claims.ts'
import {
  addToRanges,
  decodeMessage,
  encodeMessage,
  expiryOfRow,
  idOfRow,
  type Member,
  type MemberRow,
  memberOfRow,
  memberRow,
  publishedBy,
  rangeEnd,
  rangesAbove,
  sizeOfRow,
  type Topic,
  type TopicRow,
  topicOfRow,
  topicRow,
} from './relay-rows.ts'

const DEFAULT_LIMITS: MailboxLimits = { messages: 10_000, bytes: 64 * 1024 * 1024 }
const FLOOR = name('floor')
/** Topics that `waiting` looks at before it lets others run. */
const WAITING_BATCH = 1000

export const createLmdbRelay = (env: Env, limits: MailboxLimits = DEFAULT_LIMITS): RelayStore => {
  const messages: Bytes = env.openDB({ name: 'relay.messages', ...BYTES })
  const ids: Bytes = env.openDB({ name: 'relay.ids', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'relay.expiry', ...BYTES })
  const topics: Rows<TopicRow> = env.openDB({ name: 'relay.topics', ...ROWS })
  const members: Rows<MemberRow> = env.openDB({ name: 'relay.members', ...ROWS })
  const interests: Bytes = env.openDB({ name: 'relay.interests', ...BYTES })
  const clients: Rows<number> = env.openDB({ name: 'relay.clients', ...ROWS })
  const counters: Rows<number> = env.openDB({ name: 'relay.counters', ...ROWS })
  const claims = createClaims()

  const topicOf = (topic: Buffer): Topic | undefined => {
    const row = topics.get(topic)
    return row && topicOfRow(row)
  }
  const memberOf = (topic: Buffer, client: Buffer): Member | undefined => {
    const row = members.get(key(topic, client))
    return row && memberOfRow(row)
  }

  const firstSeq = (topic: Buffer, from: number): number | undefined => {
    for (const found of messages.getKeys({ start: key(topic, number(from)), end: endOf(topic), limit: 1 })) {
      return found.readDoubleBE(32)
    }
    return undefined
  }

  /** Moves the cursor over what is no longer due up to `last`: acknowledged, own, gone, and expired where `now` says. */
  const advance = (topic: Buffer, client: Buffer, member: Member, last: number, now?: number): Member => {
    let seq = member.cursor + 1
    while (seq <= last) {
      const end = rangeEnd(member.acked, seq)
      if (end !== undefined) {
        seq = end + 1
        continue
      }
      const row = messages.get(key(topic, number(seq)))
      if (!row) seq = firstSeq(topic, seq) ?? last + 1
      else if (publishedBy(row, client) || (now !== undefined && expiryOfRow(row) <= now)) seq++
      else break
    }
    const cursor = Math.max(member.cursor, Math.min(seq - 1, last))
    if (cursor === member.cursor) return member
    return { ...member, cursor, acked: rangesAbove(member.acked, cursor) }
  }

  /** Takes one message out; the caller writes the topic back. */
  const drop = (topic: Buffer, state: Topic, seq: number, row: Buffer): void => {
    messages.remove(key(topic, number(seq)))
    ids.remove(key(topic, idOfRow(row)))
    expiry.remove(key(number(expiryOfRow(row)), topic, number(seq)))
    state.count -= 1
    state.bytes -= sizeOfRow(row)
  }

  const writeTopic = (topic: Buffer, state: Topic): void => {
    if (state.count > 0) {
      topics.put(topic, topicRow(state))
      return
    }
    topics.remove(topic)
    if (state.lastSeq > (counters.get(FLOOR) ?? 0)) counters.put(FLOOR, state.lastSeq)
    // What a client that left had acknowledged matters only as long as there is a message.
    for (const { key: member, value } of [...members.getRange({ start: topic, end: endOfMembers(topic) })]) {
      if (!memberOfRow(value).subscribed) members.remove(member)
    }
  }

  const subscribersOf = (topic: Buffer): { client: Buffer; member: Member }[] => {
    const found: { client: Buffer; member: Member }[] = []
    for (const { key: member, value } of members.getRange({ start: topic, end: endOfMembers(topic) })) {
      if (value[0] === 1) found.push({ client: member.subarray(32), member: memberOfRow(value) })
    }
    return found
  }

  const isOver = (state: Topic, size: number): boolean =>
    state.count + 1 > limits.messages || state.bytes + size > limits.bytes

  /** Makes room in a topic that is over its limits: first what expired, then what everybody has. */
  const makeRoom = (topic: Buffer, state: Topic, size: number, now: number): boolean => {
    if (state.soonest <= now) {
      state.soonest = Number.POSITIVE_INFINITY
      for (const { key: at, value } of [...messages.getRange({ start: topic, end: endOf(topic) })]) {
        const expiresAt = expiryOfRow(value)
        if (expiresAt <= now) drop(topic, state, at.readDoubleBE(32), value)
        else state.soonest = Math.min(state.soonest, expiresAt)
      }
    }
    if (!isOver(state, size)) return true
    const subscribers = subscribersOf(topic)
    if (subscribers.length === 0 || size > limits.bytes) return false
    // The cursors are enough: what was acknowledged out of order behind a message that waits is not the oldest.
    const everybodyHas = Math.min(
      ...subscribers.map(({ client, member }) => advance(topic, client, member, state.lastSeq, now).cursor),
    )
    while (isOver(state, size)) {
      const seq = firstSeq(topic, 0)
      const row = seq === undefined || seq > everybodyHas ? undefined : messages.get(key(topic, number(seq)))
      if (seq === undefined || !row) return false
      drop(topic, state, seq, row)
    }
    return true
  }

  // Everything that can fail for a malformed message happens here, before the transaction.
  const prepare = (message: NewMessage) => ({
    topic: hash(message.topic),
    row: encodeMessage(message),
    publisher: name(message.publisher),
    now: message.publishedAt,
    expiresAt: message.expiresAt,
  })

  const publish = ({ topic, row, publisher, now, expiresAt }: ReturnType<typeof prepare>): Publication => {
    const state: Topic = topicOf(topic) ?? {
      lastSeq: 0,
      count: 0,
      bytes: 0,
      soonest: Number.POSITIVE_INFINITY,
    }
    const idKey = key(topic, idOfRow(row))
    const earlier = state.count > 0 ? ids.get(idKey)?.readDoubleBE() : undefined
    if (earlier !== undefined) {
      const kept = messages.get(key(topic, number(earlier)))
      if (kept && expiryOfRow(kept) > now) return { outcome: 'duplicate' }
      if (kept) drop(topic, state, earlier, kept)
    }
    const size = sizeOfRow(row)
    const fits = !isOver(state, size) || makeRoom(topic, state, size, now)
    if (!fits) {
      if (state.lastSeq > 0) writeTopic(topic, state)
      return { outcome: 'full' }
    }
    const previousSeq = state.lastSeq
    const seq = (previousSeq || (counters.get(FLOOR) ?? 0)) + 1
    messages.put(key(topic, number(seq)), row)
    ids.put(idKey, number(seq))
    expiry.put(key(number(expiresAt), topic, number(seq)), PRESENT)
    topics.put(
      topic,
      topicRow({
        lastSeq: seq,
        count: state.count + 1,
        bytes: state.bytes + size,
        soonest: Math.min(state.soonest, expiresAt),
      }),
    )
    const subscribers: Subscriber[] = []
    for (const { client, member } of subscribersOf(topic)) {
      const own = client.equals(publisher)
      const moved = advance(topic, client, member, own ? seq : seq - 1, now)
      if (moved !== member) members.put(key(topic, client), memberRow(moved))
      if (!own) subscribers.push({ clientId: client.toString(), caughtUp: moved.cursor >= seq - 1 })
    }
    return { outcome: 'stored', seq, previousSeq, subscribers }
  }

  const store: RelayStore = {
    async publish(batch) {
      const prepared = batch.map(prepare)
      return env.transaction(() => prepared.map(publish))
    },

    async subscribe(clientId, wanted, limit) {
      const client = name(clientId)
      const wantedKeys = [...new Set(wanted)].map(hash)
      const count = await env.transaction(() => {
        const added = wantedKeys.filter((topic) => !memberOf(topic, client)?.subscribed)
        const total = (clients.get(client) ?? 0) + added.length
        if (limit !== undefined && added.length > 0 && total > limit) return undefined
        for (const topic of added) {
          const member = memberOf(topic, client) ?? { cursor: 0, acked: [] }
          members.put(key(topic, client), memberRow({ ...member, subscribed: true }))
          interests.put(named(clientId, topic), PRESENT)
        }
        if (added.length > 0) clients.put(client, total)
        return total
      })
      if (count === undefined) throw new ProtocolError('rate_limited', `more than ${limit} topics`)
      return count
    },

    async unsubscribe(clientId, unwanted) {
      const client = name(clientId)
      const unwantedKeys = [...new Set(unwanted)].map(hash)
      await env.transaction(() => {
        let ended = 0
        for (const topic of unwantedKeys) {
          const member = memberOf(topic, client)
          if (!member?.subscribed) continue
          ended++
          interests.remove(named(clientId, topic))
          // An empty topic has no row, and then there is nothing to remember either.
          if (topics.get(topic)) members.put(key(topic, client), memberRow({ ...member, subscribed: false }))
          else members.remove(key(topic, client))
        }
        if (ended === 0) return
        const left = (clients.get(client) ?? 0) - ended
        if (left > 0) clients.put(client, left)
        else clients.remove(client)
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

    async isSubscribed(clientId, topic) {
      return memberOf(hash(topic), name(clientId))?.subscribed ?? false
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
        if (found.length > 0) yield found
        const last = batch.at(-1)
        if (last === undefined || batch.length < WAITING_BATCH) return
        start = behind(last)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },

    async pending(clientId, topicText, { after, limit, maxBytes, now }) {
      const topic = hash(topicText)
      const client = name(clientId)
      const member = memberOf(topic, client)
      const found: StoredMessage[] = []
      let bytes = 0
      const from = Math.max(after, member?.cursor ?? 0) + 1
      // The range is read lazily, row by row: leaving the loop early costs nothing.
      for (const { key: at, value } of messages.getRange({
        start: key(topic, number(from)),
        end: endOf(topic),
      })) {
        const seq = at.readDoubleBE(32)
        if (expiryOfRow(value) <= now || publishedBy(value, client)) continue
        if (member && rangeEnd(member.acked, seq) !== undefined) continue
        const size = sizeOfRow(value)
        if (found.length >= limit || (found.length > 0 && bytes + size > maxBytes)) {
          return { messages: found, hasMore: true }
        }
        bytes += size
        found.push(decodeMessage(value, topicText, seq))
      }
      return { messages: found, hasMore: false }
    },

    async acknowledge(clientId, receipts) {
      const client = name(clientId)
      const wanted = receipts.map(({ topic, id }) => ({ topic: hash(topic), text: topic, id: hash(id) }))
      await env.transaction(() => {
        const touched = new Map<string, { topic: Buffer; member: Member }>()
        for (const { topic, text, id } of wanted) {
          const seq = ids.get(key(topic, id))?.readDoubleBE()
          if (seq === undefined) continue
          const member = touched.get(text)?.member ??
            memberOf(topic, client) ?? { subscribed: false, cursor: 0, acked: [] }
          claims.end(claimOf(clientId, text, seq))
          if (seq <= member.cursor || rangeEnd(member.acked, seq) !== undefined) continue
          touched.set(text, { topic, member: { ...member, acked: addToRanges(member.acked, seq) } })
        }
        for (const { topic, member } of touched.values()) {
          members.put(
            key(topic, client),
            memberRow(advance(topic, client, member, topics.get(topic)?.[0] ?? 0)),
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

    async sweep(now, limit) {
      claims.sweep(now)
      const anything = [...expiry.getKeys({ limit: 1, end: endOf(number(now)) })]
      if (anything.length === 0) return 0
      return env.transaction(() => {
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
  return store
}

/** Client ids are text, so no byte of one is 0xff. */
const endOfMembers = (topic: Buffer): Buffer => endOf(topic)
