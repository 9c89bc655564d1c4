/**
 * Message queues in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | mq.messages | domain, hashDID, place | the message |
 * | mq.ids | domain, hashDID, message id | place |
 * | mq.ends | domain, hashDID, expiresAt, place | – |
 * | mq.expiry | expiresAt, domain, hashDID, place | – |
 * | mq.counts | domain, hashDID | messages that are kept, and the place of the last one ever |
 *
 * One process: who puts tells who waits, and a call is never repeated, so a ticket means nothing here.
 */
import type { MqMessage, MqStore, PlacedMessage, QueueName } from '../../mq/store.ts'
import { BYTES, type Bytes, endOf, key, name, named, number, PRESENT, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'

interface Count {
  kept: number
  last: number
}

const queueAt = ({ domain, hashDID }: QueueName): Buffer => named(domain, named(hashDID))

/** The queue and the place that a row of `mq.messages` is named by. */
export const placeOf = (at: Buffer): QueueName & { place: number } => {
  const [domain = '', hashDID = ''] = at.subarray(0, -8).toString('utf8').split('\0')
  return { domain, hashDID, place: at.readDoubleBE(at.length - 8) }
}

export const createLmdbMq = (env: Env): MqStore => {
  const messages: Rows<MqMessage> = env.openDB({ name: 'mq.messages', ...ROWS })
  const ids: Rows<number> = env.openDB({ name: 'mq.ids', ...ROWS })
  const ends: Bytes = env.openDB({ name: 'mq.ends', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'mq.expiry', ...BYTES })
  const counts: Rows<Count> = env.openDB({ name: 'mq.counts', ...ROWS })
  const listeners = new Set<(queue: QueueName) => void>()

  const countOf = (queue: Buffer): Count => counts.get(queue) ?? { kept: 0, last: 0 }

  /** Within a transaction, all three. */
  const write = (
    queue: Buffer,
    place: number,
    { id, message, sender, messageSigned, expiresAt }: MqMessage,
  ) => {
    const { kept, last } = countOf(queue)
    const row = {
      ...{ id, message, expiresAt },
      ...(sender !== undefined && { sender }),
      ...(messageSigned && { messageSigned }),
    }
    messages.put(key(queue, number(place)), row)
    ids.put(key(queue, name(id)), place)
    ends.put(key(queue, number(expiresAt), number(place)), PRESENT)
    expiry.put(key(number(expiresAt), queue, number(place)), PRESENT)
    counts.put(queue, { kept: kept + 1, last: Math.max(last, place) })
  }
  const erase = (queue: Buffer, place: number): MqMessage | undefined => {
    const at = key(queue, number(place))
    const row = messages.get(at)
    if (!row) return undefined
    messages.remove(at)
    ids.remove(key(queue, name(row.id)))
    ends.remove(key(queue, number(row.expiresAt), number(place)))
    expiry.remove(key(number(row.expiresAt), queue, number(place)))
    const { kept, last } = countOf(queue)
    // Nothing is left of an empty queue: anybody can make one.
    if (kept > 1) counts.put(queue, { kept: kept - 1, last })
    else counts.remove(queue)
    return row
  }
  const eraseExpired = (queue: Buffer, now: number) => {
    const range = { start: queue, end: key(queue, number(now), Buffer.alloc(9, 0xff)) }
    for (const at of [...ends.getKeys(range)]) erase(queue, at.readDoubleBE(at.length - 8))
  }

  const first = (queue: Buffer, now: number): { place: number; row: MqMessage } | undefined => {
    for (const { key: at, value } of messages.getRange({ start: queue, end: endOf(queue) })) {
      if (value.expiresAt > now) return { place: at.readDoubleBE(at.length - 8), row: value }
    }
    return undefined
  }

  return {
    async put(name, message, { now, most }) {
      const queue = queueAt(name)
      const isKept = await env.transaction(() => {
        if (ids.get(key(queue, Buffer.from(message.id))) !== undefined) return true
        // The counter knows of expired ones too; they are looked for only when they could matter.
        if (countOf(queue).kept >= most) eraseExpired(queue, now)
        const { kept, last } = countOf(queue)
        if (kept >= most) return false
        write(queue, last + 1, message)
        return true
      })
      if (isKept) for (const listener of [...listeners]) listener(name)
      return isKept
    },

    async head(name, now) {
      return first(queueAt(name), now)?.row
    },

    async take(name, { now, id }) {
      const queue = queueAt(name)
      // Without one there is nothing to write: who waits for a message asks often.
      if (id === undefined && !first(queue, now)) return undefined
      return env.transaction(() => {
        const place = id === undefined ? first(queue, now)?.place : ids.get(key(queue, Buffer.from(id)))
        const row = place === undefined ? undefined : erase(queue, place)
        return row && row.expiresAt > now ? row : undefined
      })
    },

    async remove(name, id) {
      const queue = queueAt(name)
      return env.transaction(() => {
        const place = ids.get(key(queue, Buffer.from(id)))
        return place !== undefined && erase(queue, place) !== undefined
      })
    },

    async restore(placed: readonly PlacedMessage[]) {
      await env.transaction(() => {
        for (const { domain, hashDID, place, ...message } of placed) {
          const queue = queueAt({ domain, hashDID })
          if (messages.get(key(queue, number(place))) === undefined) write(queue, place, message)
        }
      })
    },

    async sweep(now, limit) {
      const range = { end: number(now + 1), limit }
      const due = [...expiry.getKeys(range)].filter((at) => at.readDoubleBE() <= now)
      if (due.length === 0) return 0
      return env.transaction(
        () =>
          due.filter((at) => erase(at.subarray(8, -8), at.readDoubleBE(at.length - 8)) !== undefined).length,
      )
    },

    onPut(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}
