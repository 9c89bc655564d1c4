/** The relay's tables as records, and back. */
import { DAY_MS } from '../../../platform/units.ts'
import type { RelayStore, StoredMessage } from '../../../relay/store.ts'
import { endOf, hash, key, name, number } from '../../bytes.ts'
import { resubscribe } from '../../transfer/members.ts'
import type { Readers, Records, Writers } from '../../transfer/transfer.ts'
import { PRESENT } from '../bytes.ts'
import type { ReadView } from '../checked-rows.ts'
import type { Env } from '../env.ts'
import { createMailboxes, FLOOR } from '../relay/mailboxes.ts'
import {
  decodeMessage,
  encodeMessage,
  expiryOfRow,
  memberOfRow,
  memberRow,
  sizeOfRow,
  topicRow,
} from '../relay/rows.ts'
import { walk } from './walk.ts'

type RelayTables = 'message' | 'member'

type Mailboxes = ReturnType<typeof createMailboxes>

const read = (mailboxes: Mailboxes, view: ReadView): Pick<Readers, RelayTables> => {
  const isAnythingLive = (topic: Buffer, now: number): boolean => {
    for (const { value } of mailboxes.tables.messages.getRange({
      ...view,
      start: topic,
      end: endOf(topic),
    })) {
      if (expiryOfRow(value) > now) return true
    }
    return false
  }
  return {
    message: walk(mailboxes.tables.messages, view, (at, row, now) =>
      expiryOfRow(row) > now ? decodeMessage(row, at.toString('hex', 0, 32), at.readDoubleBE(32)) : undefined,
    ),
    member: walk(mailboxes.tables.members, view, (at, row, now) => {
      const { subscribed, cursor, acked } = memberOfRow(row)
      const topic = at.subarray(0, 32)
      // What a client that left has acknowledged matters only as long as there is a message.
      if (!subscribed && !isAnythingLive(topic, now)) return undefined
      const clientId = at.toString('utf8', 32)
      const day = subscribed ? mailboxes.tables.clients.get(name(clientId), view)?.[1] : undefined
      return {
        ...{ topic: topic.toString('hex'), clientId, isSubscribed: subscribed, cursor, acked },
        ...(day !== undefined && { seenAt: day * DAY_MS }),
        ...(mailboxes.tables.owners.get(topic, view)?.toString() === clientId && { owns: true as const }),
      }
    }),
  }
}

const putMessage = (mailboxes: Mailboxes, message: StoredMessage): void => {
  const topic = hash(message.topic)
  const at = key(topic, number(message.seq))
  if (mailboxes.tables.messages.get(at)) return
  const row = encodeMessage(message)
  const state = mailboxes.topicOf(topic)
  mailboxes.tables.messages.put(at, row)
  mailboxes.tables.ids.put(key(topic, hash(message.id)), number(message.seq))
  mailboxes.tables.expiry.put(key(number(message.expiresAt), topic, number(message.seq)), PRESENT)
  mailboxes.tables.topics.put(
    topic,
    topicRow({
      lastSeq: Math.max(state?.lastSeq ?? 0, message.seq),
      count: (state?.count ?? 0) + 1,
      bytes: (state?.bytes ?? 0) + sizeOfRow(row),
      soonest: Math.min(state?.soonest ?? Number.POSITIVE_INFINITY, message.expiresAt),
    }),
  )
}

/** What the client is done with; that it is subscribed is for `subscribe`. */
const putMember = (
  mailboxes: Mailboxes,
  { topic: text, clientId, cursor, acked }: Records['member'],
): void => {
  const topic = hash(text)
  const at = key(topic, name(clientId))
  const subscribed = mailboxes.tables.members.get(at)?.[0] === 1
  mailboxes.tables.members.put(at, memberRow({ subscribed, cursor, acked }))
  // New messages must lie beyond everything that any client has acknowledged.
  const last = Math.max(cursor, acked.at(-1) ?? 0)
  const state = mailboxes.topicOf(topic)
  if (state)
    mailboxes.tables.topics.put(topic, topicRow({ ...state, lastSeq: Math.max(state.lastSeq, last) }))
  else if (last > (mailboxes.tables.counters.get(FLOOR) ?? 0)) mailboxes.tables.counters.put(FLOOR, last)
}

export const createRelayTransfer = (env: Env, relay: Pick<RelayStore, 'subscribe'>) => {
  const mailboxes: Mailboxes = createMailboxes(env)
  const write: Pick<Writers, RelayTables> = {
    message: {
      async write(records) {
        for (const record of records) hash(record.topic) && hash(record.id) && name(record.publisher)
        await env.transaction(() => {
          for (const record of records) putMessage(mailboxes, record)
        })
        return []
      },
    },
    member: {
      async write(records) {
        for (const record of records) hash(record.topic) && name(record.clientId)
        await env.transaction(() => {
          for (const record of records) putMember(mailboxes, record)
        })
        await resubscribe(relay, records)
        return []
      },
    },
  }
  return {
    read: (view: ReadView) => read(mailboxes, view),
    write,
  }
}
