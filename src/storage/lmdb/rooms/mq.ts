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
 * | mq.shares | domain, hashDID, payer | messages of that payer |
 * | mq.largest | domain, hashDID, messages of a payer, payer | – |
 * | mq.paid | domain, hashDID, payer, place | – |
 * | mq.attended | domain, hashDID | until when it is a queue that is read |
 * | mq.attendedEnds | until, domain, hashDID | – |
 *
 * One process: a put notifies the listeners itself, and a call is never repeated, so tickets are ignored.
 */

import type { MqMessage, MqStore, PlacedMessage, QueueName } from '../../../mq/store.ts'
import { invariant } from '../../../platform/invariant.ts'
import { endOf, key, name, named, number } from '../../bytes.ts'
import { BYTES, type Bytes, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

interface Count {
  kept: number
  last: number
}

const queueAt = ({ domain, hashDID }: QueueName): Buffer => named(domain, named(hashDID))

const PAYER_BYTES = 16
/** All of one length, so that what follows in a key is found. */
const payerAt = (payer: string): Buffer => {
  if (Buffer.byteLength(payer) > PAYER_BYTES) throw new Error('Not a usable payer')
  const bytes = Buffer.alloc(PAYER_BYTES, ' ')
  bytes.write(payer)
  return bytes
}

/** What a key of `mq.attended` names. */
export const queueOf = (at: Buffer): QueueName => {
  const [domain = '', hashDID = ''] = at.toString('utf8').split('\0')
  return { domain, hashDID }
}
/** The queue and the place that a row of `mq.messages` is named by. */
export const placeOf = (at: Buffer): QueueName & { place: number } => ({
  ...queueOf(at.subarray(0, -8)),
  place: at.readDoubleBE(at.length - 8),
})

const openMqTables = (env: Env) => {
  const messages: Rows<MqMessage> = env.openDB({ name: 'mq.messages', ...ROWS })
  const ids: Rows<number> = env.openDB({ name: 'mq.ids', ...ROWS })
  const ends: Bytes = env.openDB({ name: 'mq.ends', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'mq.expiry', ...BYTES })
  const counts: Rows<Count> = env.openDB({ name: 'mq.counts', ...ROWS })
  const shares: Rows<number> = env.openDB({ name: 'mq.shares', ...ROWS })
  const largest: Bytes = env.openDB({ name: 'mq.largest', ...BYTES })
  const paid: Bytes = env.openDB({ name: 'mq.paid', ...BYTES })
  const attended: Rows<number> = env.openDB({ name: 'mq.attended', ...ROWS })
  const attendedEnds: Bytes = env.openDB({ name: 'mq.attendedEnds', ...BYTES })
  const listeners = new Set<(queue: QueueName) => void>()
  return {
    env,
    messages,
    ids,
    ends,
    expiry,
    counts,
    shares,
    largest,
    paid,
    attended,
    attendedEnds,
    listeners,
  }
}
type MqTables = ReturnType<typeof openMqTables>

const countOf = (mq: MqTables, queue: Buffer): Count => mq.counts.get(queue) ?? { kept: 0, last: 0 }

const shareOf = (mq: MqTables, queue: Buffer, payer: Buffer): number => mq.shares.get(key(queue, payer)) ?? 0

const changeShare = (mq: MqTables, queue: Buffer, payer: Buffer, change: 1 | -1) => {
  const before = shareOf(mq, queue, payer)
  const share = before + change
  if (before > 0) mq.largest.remove(key(queue, number(before), payer))
  if (share > 0) {
    mq.shares.put(key(queue, payer), share)
    mq.largest.put(key(queue, number(share), payer), PRESENT)
  } else mq.shares.remove(key(queue, payer))
}

/** Within a transaction, as all that writes. */
const write = (mq: MqTables, queue: Buffer, place: number, message: MqMessage) => {
  const { id, sender, messageSigned, payer, expiresAt } = message
  const { kept, last } = countOf(mq, queue)
  invariant(kept >= 0 && place >= 0, 'positions and counts of a queue are never below 0')
  const row = {
    ...{ id, message: message.message, expiresAt },
    ...(sender !== undefined && { sender }),
    ...(messageSigned && { messageSigned }),
    ...(payer !== undefined && { payer }),
  }
  if (payer !== undefined) {
    changeShare(mq, queue, payerAt(payer), 1)
    mq.paid.put(key(queue, payerAt(payer), number(place)), PRESENT)
  }
  mq.messages.put(key(queue, number(place)), row)
  mq.ids.put(key(queue, name(id)), place)
  mq.ends.put(key(queue, number(expiresAt), number(place)), PRESENT)
  mq.expiry.put(key(number(expiresAt), queue, number(place)), PRESENT)
  mq.counts.put(queue, { kept: kept + 1, last: Math.max(last, place) })
}

const erase = (mq: MqTables, queue: Buffer, place: number): MqMessage | undefined => {
  const at = key(queue, number(place))
  const row = mq.messages.get(at)
  if (!row) return undefined
  const { kept, last } = countOf(mq, queue)
  invariant(kept > 0, 'a queue counts each of its messages')
  mq.messages.remove(at)
  mq.ids.remove(key(queue, name(row.id)))
  mq.ends.remove(key(queue, number(row.expiresAt), number(place)))
  mq.expiry.remove(key(number(row.expiresAt), queue, number(place)))
  if (row.payer !== undefined) {
    changeShare(mq, queue, payerAt(row.payer), -1)
    mq.paid.remove(key(queue, payerAt(row.payer), number(place)))
  }
  // An empty queue keeps no row, because any client can make one.
  if (kept > 1) mq.counts.put(queue, { kept: kept - 1, last })
  else mq.counts.remove(queue)
  return row
}

const eraseExpired = (mq: MqTables, queue: Buffer, now: number) => {
  const range = { start: queue, end: key(queue, number(now), Buffer.alloc(9, 0xff)) }
  for (const at of [...mq.ends.getKeys(range)]) erase(mq, queue, at.readDoubleBE(at.length - 8))
}

/** Makes room for a payer with few messages at the cost of the one with most. */
const pushOut = (mq: MqTables, queue: Buffer, payer: string | undefined, foothold: number) => {
  const own = payer === undefined ? foothold : shareOf(mq, queue, payerAt(payer))
  const [top] = mq.largest.getKeys({ start: endOf(queue), end: queue, reverse: true, limit: 1 })
  if (own >= foothold || !top) return
  const at = Buffer.from(top).subarray(queue.length)
  if (at.readDoubleBE() <= own + 1) return
  const theirs = key(queue, at.subarray(8))
  const [oldest] = mq.paid.getKeys({ start: theirs, end: endOf(theirs), limit: 1 })
  if (oldest) erase(mq, queue, Buffer.from(oldest).readDoubleBE(oldest.length - 8))
}

const first = (mq: MqTables, queue: Buffer, now: number): { place: number; row: MqMessage } | undefined => {
  for (const { key: at, value } of mq.messages.getRange({ start: queue, end: endOf(queue) })) {
    if (value.expiresAt > now) return { place: at.readDoubleBE(at.length - 8), row: value }
  }
  return undefined
}

const messageVerbs = (mq: MqTables): Pick<MqStore, 'put' | 'head' | 'take' | 'remove' | 'restore'> => ({
  async put(name, message, { now, most, foothold = 0 }) {
    const queue = queueAt(name)
    const isKept = await mq.env.transaction(() => {
      if (mq.ids.get(key(queue, Buffer.from(message.id))) !== undefined) return true
      // The counter knows of expired ones too; they are looked for only when they could matter.
      if (countOf(mq, queue).kept >= most) eraseExpired(mq, queue, now)
      if (countOf(mq, queue).kept >= most) pushOut(mq, queue, message.payer, foothold)
      const { kept, last } = countOf(mq, queue)
      if (kept >= most) return false
      write(mq, queue, last + 1, message)
      return true
    })
    if (isKept) for (const listener of [...mq.listeners]) listener(name)
    return isKept
  },

  async head(name, now) {
    return first(mq, queueAt(name), now)?.row
  },

  async take(name, { now, id }) {
    const queue = queueAt(name)
    // An empty queue needs no transaction: clients that wait for a message ask often.
    if (id === undefined && !first(mq, queue, now)) return undefined
    return mq.env.transaction(() => {
      const place = id === undefined ? first(mq, queue, now)?.place : mq.ids.get(key(queue, Buffer.from(id)))
      const row = place === undefined ? undefined : erase(mq, queue, place)
      return row && row.expiresAt > now ? row : undefined
    })
  },

  async remove(name, id) {
    const queue = queueAt(name)
    return mq.env.transaction(() => {
      const place = mq.ids.get(key(queue, Buffer.from(id)))
      return place !== undefined && erase(mq, queue, place) !== undefined
    })
  },

  async restore(placed: readonly PlacedMessage[]) {
    await mq.env.transaction(() => {
      for (const { domain, hashDID, place, ...message } of placed) {
        const queue = queueAt({ domain, hashDID })
        if (mq.messages.get(key(queue, number(place))) === undefined) write(mq, queue, place, message)
      }
    })
  },
})

const attendanceVerbs = (mq: MqTables): Pick<MqStore, 'attend' | 'attendedUntil'> => ({
  async attend(name, until) {
    const queue = queueAt(name)
    await mq.env.transaction(() => {
      const before = mq.attended.get(queue) ?? 0
      if (before >= until) return
      mq.attendedEnds.remove(key(number(before), queue))
      mq.attended.put(queue, until)
      mq.attendedEnds.put(key(number(until), queue), PRESENT)
    })
  },

  async attendedUntil(name, now) {
    const until = mq.attended.get(queueAt(name)) ?? 0
    return until > now ? until : 0
  },
})

const sweepVerbs = (mq: MqTables): Pick<MqStore, 'sweep'> => ({
  async sweep(now, limit) {
    const range = { end: number(now + 1), limit }
    const due = [...mq.expiry.getKeys(range)].filter((at) => at.readDoubleBE() <= now)
    const left = [...mq.attendedEnds.getKeys(range)].filter((at) => at.readDoubleBE() <= now)
    if (due.length + left.length === 0) return 0
    return mq.env.transaction(() => {
      // What was renewed meanwhile has another end.
      for (const at of left.filter((end) => mq.attendedEnds.get(end))) {
        mq.attendedEnds.remove(at)
        mq.attended.remove(at.subarray(8))
      }
      const swept = due.filter((at) => erase(mq, at.subarray(8, -8), at.readDoubleBE(at.length - 8)))
      return swept.length + left.length
    })
  },
})

export const createLmdbMq = (env: Env): MqStore => {
  const mq = openMqTables(env)

  return {
    ...messageVerbs(mq),
    ...attendanceVerbs(mq),
    ...sweepVerbs(mq),
    onPut(listener) {
      mq.listeners.add(listener)
      return { [Symbol.dispose]: () => void mq.listeners.delete(listener) }
    },
  }
}
