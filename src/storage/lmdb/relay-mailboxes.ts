import type { MailboxLimits, NewMessage, Publication, Subscriber } from '../../relay/store.ts'
import { BYTES, type Bytes, endOf, hash, key, name, number, PRESENT, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'
import {
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
export const FLOOR = name('floor')

/** The tables of the relay, and what can be done to one topic within a transaction. */
export const createMailboxes = (env: Env, limits: MailboxLimits = DEFAULT_LIMITS) => {
  const messages: Bytes = env.openDB({ name: 'relay.messages', ...BYTES })
  const ids: Bytes = env.openDB({ name: 'relay.ids', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'relay.expiry', ...BYTES })
  const topics: Rows<TopicRow> = env.openDB({ name: 'relay.topics', ...ROWS })
  const members: Rows<MemberRow> = env.openDB({ name: 'relay.members', ...ROWS })
  const interests: Bytes = env.openDB({ name: 'relay.interests', ...BYTES })
  const clients: Rows<number> = env.openDB({ name: 'relay.clients', ...ROWS })
  const counters: Rows<number> = env.openDB({ name: 'relay.counters', ...ROWS })

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
    for (const { key: member, value } of [...members.getRange({ start: topic, end: endOf(topic) })]) {
      if (!memberOfRow(value).subscribed) members.remove(member)
    }
  }

  const subscribersOf = (topic: Buffer): { client: Buffer; member: Member }[] => {
    const found: { client: Buffer; member: Member }[] = []
    for (const { key: member, value } of members.getRange({ start: topic, end: endOf(topic) })) {
      if (value[0] === 1) found.push({ client: member.subarray(32), member: memberOfRow(value) })
    }
    return found
  }

  const isOver = (state: Topic, size: number): boolean =>
    state.count + 1 > limits.messages || state.bytes + size > limits.bytes

  /** Makes room in a topic that is over its limits: first what expired, then what everybody has. */
  const makeRoom = (topic: Buffer, state: Topic, size: number, now: number): boolean => {
    if (state.soonest <= now) {
      const expired: [seq: number, row: Buffer][] = []
      state.soonest = Number.POSITIVE_INFINITY
      for (const { key: at, value } of messages.getRange({ start: topic, end: endOf(topic) })) {
        const expiresAt = expiryOfRow(value)
        if (expiresAt <= now) expired.push([at.readDoubleBE(32), value])
        else state.soonest = Math.min(state.soonest, expiresAt)
      }
      for (const [seq, row] of expired) drop(topic, state, seq, row)
    }
    if (!isOver(state, size)) return true
    const subscribers = subscribersOf(topic)
    if (subscribers.length === 0 || size > limits.bytes) return false
    // The cursors are enough: what was acknowledged out of order behind a message that waits is not the oldest.
    const everybodyHas = subscribers.reduce(
      (least, { client, member }) =>
        Math.min(least, advance(topic, client, member, state.lastSeq, now).cursor),
      state.lastSeq,
    )
    while (isOver(state, size)) {
      const seq = firstSeq(topic, 0)
      const row = seq === undefined || seq > everybodyHas ? undefined : messages.get(key(topic, number(seq)))
      if (seq === undefined || !row) return false
      drop(topic, state, seq, row)
    }
    return true
  }

  /** Everything that can fail for a malformed message happens here, before the transaction. */
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

  return {
    tables: { messages, ids, expiry, topics, members, interests, clients, counters },
    topicOf,
    memberOf,
    advance,
    drop,
    writeTopic,
    prepare,
    publish,
  }
}
