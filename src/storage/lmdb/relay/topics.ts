/** One topic within a transaction: its row, its messages, its members and its owner. */
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../../relay/store.ts'
import { endOf, key, number } from '../../bytes.ts'
import type { TopicMember } from './cursors.ts'
import {
  expiryOfRow,
  idOfRow,
  type Member,
  memberOfRow,
  sizeOfRow,
  type Topic,
  topicOfRow,
  topicRow,
} from './rows.ts'
import { FLOOR, type RelayTables } from './tables.ts'

export interface Topics {
  topicOf(topic: Buffer): Topic | undefined
  /** Takes one message out; the caller writes the topic back. */
  drop(topic: Buffer, state: Topic, seq: number, row: Buffer): void
  writeTopic(topic: Buffer, state: Topic): void
}

export const createTopics = (tables: RelayTables): Topics => {
  const { messages, ids, expiry, topics, members, counters } = tables
  return {
    topicOf(topic) {
      const row = topics.get(topic)
      return row && topicOfRow(row)
    },
    drop(topic, state, seq, row) {
      messages.remove(key(topic, number(seq)))
      ids.remove(key(topic, idOfRow(row)))
      expiry.remove(key(number(expiryOfRow(row)), topic, number(seq)))
      state.count -= 1
      state.bytes -= sizeOfRow(row)
    },
    writeTopic(topic, state) {
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
    },
  }
}

export interface Members {
  memberOf(topic: Buffer, client: Buffer): Member | undefined
  ownerOf(topic: Buffer): Buffer | undefined
  /** Whether another client owns the topic. */
  isForeign(topic: Buffer, client: Buffer): boolean
  /** Whether the topic has no room for one more member. */
  isCrowded(topic: Buffer): boolean
  /** The clients that get what is published: the owner alone, where there is one. */
  subscribersOf(topic: Buffer, owner: Buffer | undefined): TopicMember[]
}

export const createMembers = ({ members, owners }: RelayTables, limits: MailboxLimits): Members => {
  const memberOf = (topic: Buffer, client: Buffer): Member | undefined => {
    const row = members.get(key(topic, client))
    return row && memberOfRow(row)
  }
  return {
    memberOf,
    ownerOf(topic) {
      const owner = owners.get(topic)
      return owner && Buffer.from(owner)
    },
    isForeign(topic, client) {
      const owner = owners.get(topic)
      return owner !== undefined && !owner.equals(client)
    },
    isCrowded(topic) {
      const { members: max = DEFAULT_MAILBOX_LIMITS.members } = limits
      let count = 0
      for (const _ of members.getKeys({ start: topic, end: endOf(topic), limit: max })) count += 1
      return count >= max
    },
    subscribersOf(topic, owner) {
      if (owner) {
        const member = memberOf(topic, owner)
        return member?.subscribed ? [{ client: owner, member }] : []
      }
      const found: TopicMember[] = []
      for (const { key: member, value } of members.getRange({ start: topic, end: endOf(topic) })) {
        if (value[0] === 1) found.push({ client: member.subarray(32), member: memberOfRow(value) })
      }
      return found
    },
  }
}
