import {
  DEFAULT_MAILBOX_LIMITS,
  KEPT_PART,
  type MailboxLimits,
  type NewMessage,
  OWNED_FACTOR,
  type Publication,
  type Subscriber,
} from '../../../relay/store.ts'
import { BYTES, type Bytes, endOf, hash, key, name, number, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'
import { displacedOf } from './eviction.ts'
import {
  type ClientRow,
  encodeMessage,
  expiryOfRow,
  idOfRow,
  type Member,
  type MemberRow,
  memberOfRow,
  memberRow,
  payerOfRow,
  publishedBy,
  rangeEnd,
  rangesAbove,
  setExpiryOfRow,
  sizeOfRow,
  type Topic,
  type TopicRow,
  topicOfRow,
  topicRow,
} from './rows.ts'

export const FLOOR = name('floor')

interface Attendee {
  client: Buffer
  member: Member
}
/** Finds the first message of a topic at `seq` or behind it. */
type Look = (seq: number) => { seq: number; row: Buffer } | undefined

/** The tables of the relay, and what can be done to one topic within a transaction. */
export const createMailboxes = (env: Env, limits: MailboxLimits = DEFAULT_MAILBOX_LIMITS) => {
  const messages: Bytes = env.openDB({ name: 'relay.messages', ...BYTES })
  const ids: Bytes = env.openDB({ name: 'relay.ids', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'relay.expiry', ...BYTES })
  const topics: Rows<TopicRow> = env.openDB({ name: 'relay.topics', ...ROWS })
  const members: Rows<MemberRow> = env.openDB({ name: 'relay.members', ...ROWS })
  const interests: Bytes = env.openDB({ name: 'relay.interests', ...BYTES })
  const owners: Bytes = env.openDB({ name: 'relay.owners', ...BYTES })
  const clients: Rows<ClientRow> = env.openDB({ name: 'relay.clients', ...ROWS })
  const seen: Bytes = env.openDB({ name: 'relay.seen', ...BYTES })
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

  const lookInto =
    (topic: Buffer): Look =>
    (seq) => {
      const row = messages.get(key(topic, number(seq)))
      if (row) return { seq, row }
      const next = firstSeq(topic, seq)
      const nextRow = next === undefined ? undefined : messages.get(key(topic, number(next)))
      return next === undefined || !nextRow ? undefined : { seq: next, row: nextRow }
    }
  /** The same for many members, who often stand at the same place. */
  const lookOnce = (look: Look): Look => {
    const known = new Map<number, ReturnType<Look>>()
    return (seq) => {
      if (!known.has(seq)) known.set(seq, look(seq))
      return known.get(seq)
    }
  }

  /** Moves the cursor over what is no longer due up to `last`: acknowledged, own, gone, and expired where `now` says. */
  const advance = (look: Look, { client, member }: Attendee, last: number, now?: number): Member => {
    let seq = member.cursor + 1
    while (seq <= last) {
      const end = rangeEnd(member.acked, seq)
      if (end !== undefined) {
        seq = end + 1
        continue
      }
      const found = look(seq)
      if (!found) seq = last + 1
      else if (found.seq > seq) seq = found.seq
      else if (publishedBy(found.row, client) || (now !== undefined && expiryOfRow(found.row) <= now)) seq++
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

  /** Who gets what is published: the owner alone, where there is one. */
  const subscribersOf = (topic: Buffer, owner: Buffer | undefined): Attendee[] => {
    if (owner) {
      const member = memberOf(topic, owner)
      return member?.subscribed ? [{ client: owner, member }] : []
    }
    const found: Attendee[] = []
    for (const { key: member, value } of members.getRange({ start: topic, end: endOf(topic) })) {
      if (value[0] === 1) found.push({ client: member.subarray(32), member: memberOfRow(value) })
    }
    return found
  }

  const ownerOf = (topic: Buffer): Buffer | undefined => {
    const owner = owners.get(topic)
    return owner && Buffer.from(owner)
  }
  const isForeign = (topic: Buffer, client: Buffer): boolean => {
    const owner = owners.get(topic)
    return owner !== undefined && !owner.equals(client)
  }
  /** Whether the topic has no room for one more member. */
  const isCrowded = (topic: Buffer): boolean => {
    const { members: most = DEFAULT_MAILBOX_LIMITS.members } = limits
    let count = 0
    for (const _ of members.getKeys({ start: topic, end: endOf(topic), limit: most })) count += 1
    return count >= most
  }

  const boundsOf = (owner: Buffer | undefined): { messages: number; bytes: number } =>
    owner ? { messages: limits.messages * OWNED_FACTOR, bytes: limits.bytes * OWNED_FACTOR } : limits

  const dropExpired = (topic: Buffer, state: Topic, now: number): void => {
    const expired: [seq: number, row: Buffer][] = []
    state.soonest = Number.POSITIVE_INFINITY
    for (const { key: at, value } of messages.getRange({ start: topic, end: endOf(topic) })) {
      const expiresAt = expiryOfRow(value)
      if (expiresAt <= now) expired.push([at.readDoubleBE(32), value])
      else state.soonest = Math.min(state.soonest, expiresAt)
    }
    for (const [seq, row] of expired) drop(topic, state, seq, row)
  }

  /** Drops what every subscriber has, oldest first, while there is too much. */
  const dropFinished = (
    topic: Buffer,
    state: Topic,
    subscribers: readonly Attendee[],
    now: number,
    isTooMuch: () => boolean,
  ): void => {
    if (subscribers.length === 0) return
    const look = lookOnce(lookInto(topic))
    // The cursors are enough: what was acknowledged out of order behind a message that waits is not the oldest.
    let everybodyHas = state.lastSeq
    for (const one of subscribers) {
      everybodyHas = Math.min(everybodyHas, advance(look, one, state.lastSeq, now).cursor)
    }
    while (isTooMuch()) {
      const seq = firstSeq(topic, 0)
      const row = seq === undefined || seq > everybodyHas ? undefined : messages.get(key(topic, number(seq)))
      if (seq === undefined || !row) return
      drop(topic, state, seq, row)
    }
  }

  /** Drops the oldest of the largest payers until `target` is left of messages, or of bytes. */
  const displace = (topic: Buffer, state: Topic, by: 'count' | 'bytes', target: number): number => {
    if (state[by] <= target) return 0
    const held = [...messages.getRange({ start: topic, end: endOf(topic) })].map(({ key: at, value }) => ({
      seq: at.readDoubleBE(32),
      payer: payerOfRow(value),
      amount: by === 'count' ? 1 : sizeOfRow(value),
    }))
    const gone = displacedOf(held, target)
    for (const seq of gone) {
      const row = messages.get(key(topic, number(seq)))
      if (row) drop(topic, state, seq, row)
    }
    return gone.length
  }

  /**
   * Makes room in a topic that is over its bounds, for many messages at a time, so that the walk over the topic is made
   * once in a while. Answers how many messages went that somebody still waited for.
   */
  const makeRoom = (
    topic: Buffer,
    state: Topic,
    size: number,
    now: number,
    bounds: { messages: number; bytes: number },
    subscribers: readonly Attendee[],
  ): number => {
    const mostMessages = Math.min(bounds.messages - 1, Math.floor(bounds.messages * KEPT_PART))
    const mostBytes = Math.min(bounds.bytes - size, Math.floor(bounds.bytes * KEPT_PART))
    if (state.soonest <= now) dropExpired(topic, state, now)
    dropFinished(topic, state, subscribers, now, () => state.count > mostMessages || state.bytes > mostBytes)
    return displace(topic, state, 'count', mostMessages) + displace(topic, state, 'bytes', mostBytes)
  }

  /** Everything that can fail for a malformed message happens here, before the transaction. */
  const prepare = (message: NewMessage) => ({
    topic: hash(message.topic),
    row: encodeMessage(message),
    publisher: name(message.publisher),
    now: message.publishedAt,
    expiresAt: message.expiresAt,
    unattendedUntil: message.unattendedUntil ?? message.expiresAt,
  })

  const publish = (message: ReturnType<typeof prepare>): Publication => {
    const { topic, row, publisher, now } = message
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
    const owner = ownerOf(topic)
    const bounds = boundsOf(owner)
    const size = sizeOfRow(row)
    if (size > bounds.bytes) {
      if (state.lastSeq > 0) writeTopic(topic, state)
      return { outcome: 'full' }
    }
    const attendees = subscribersOf(topic, owner)
    const isOver = state.count + 1 > bounds.messages || state.bytes + size > bounds.bytes
    const displaced = isOver ? makeRoom(topic, state, size, now, bounds, attendees) : 0
    const isAttended = attendees.some(({ client }) => !client.equals(publisher))
    const expiresAt = isAttended ? message.expiresAt : Math.min(message.expiresAt, message.unattendedUntil)
    setExpiryOfRow(row, expiresAt)
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
    const look = attendees.length > 1 ? lookOnce(lookInto(topic)) : lookInto(topic)
    const subscribers: Subscriber[] = []
    for (const one of attendees) {
      const { client, member } = one
      const own = client.equals(publisher)
      const moved = advance(look, one, own ? seq : seq - 1, now)
      if (moved !== member) members.put(key(topic, client), memberRow(moved))
      if (!own) subscribers.push({ clientId: client.toString(), caughtUp: moved.cursor >= seq - 1 })
    }
    return { outcome: 'stored', seq, previousSeq, subscribers, ...(displaced > 0 && { displaced }) }
  }

  return {
    tables: { messages, ids, expiry, topics, members, interests, owners, clients, seen, counters },
    topicOf,
    memberOf,
    ownerOf,
    isForeign,
    isCrowded,
    lookInto,
    advance,
    drop,
    writeTopic,
    prepare,
    publish,
  }
}
