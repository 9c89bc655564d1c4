/**
 * Message queues over the port. The partition is the queue, `<domain>/<hashDID>`; all that changes it changes its state,
 * and checks that nobody else did: so it is one after the other whatever the number of processes.
 *
 * | table | key | value |
 * |---|---|---|
 * | mq.state | – | messages that are kept, the place of the last one, messages by payer |
 * | mq.messages | place | the message |
 * | mq.ids | message id | its place |
 * | mq.ends | expiresAt, place | – |
 * | mq.paid | payer, place | – |
 * | mq.attended | – | until when it is a queue that is read |
 * | mq.due | minute, queue | – (when to look for what has expired; in one of 16 partitions) |
 *
 * A queue is entered among the due ones before its message is written, so no message is forgotten. An empty queue keeps
 * no row, because any client can make one.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { invariant } from '../platform/invariant.ts'
import { MINUTE_MS } from '../platform/units.ts'
import { behind, endOf, key, name, nameOrNone, number } from '../storage/bytes.ts'
import { float, json, NOTHING } from '../storage/codec.ts'
import type { Check, Kv, Write } from '../storage/kv.ts'
import { defineTable, read } from '../storage/table.ts'
import type { MqMessage, QueueName } from './store.ts'

const stateSchema = z.object({
  kept: z.number().int().nonnegative(),
  last: z.number().int().nonnegative(),
  /** Messages of each payer that has any. */
  shares: z.record(z.string(), z.number().int().positive()),
})
type QueueState = z.output<typeof stateSchema>

const messageSchema: z.ZodType<MqMessage> = z.object({
  id: z.string(),
  message: z.string(),
  sender: z.string().exactOptional(),
  messageSigned: z.literal(true).exactOptional(),
  payer: z.string().exactOptional(),
  expiresAt: z.number(),
})

export const MQ_TABLES = {
  state: defineTable({ name: 'mq.state', shape: 'cell', codec: json(stateSchema) }),
  messages: defineTable({ name: 'mq.messages', shape: 'ordered', codec: json(messageSchema) }),
  ids: defineTable({ name: 'mq.ids', shape: 'map', codec: float }),
  ends: defineTable({ name: 'mq.ends', shape: 'index', codec: NOTHING }),
  paid: defineTable({ name: 'mq.paid', shape: 'index', codec: NOTHING }),
  attended: defineTable({ name: 'mq.attended', shape: 'cell', codec: float, ends: true }),
  due: defineTable({ name: 'mq.due', shape: 'index', codec: NOTHING }),
}

const EMPTY: QueueState = { kept: 0, last: 0, shares: {} }

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export const partitionOf = ({ domain, hashDID }: QueueName): string => `${domain}/${hashDID}`
/** No hash of a DID has a slash. */
export const queueOf = (partition: string): QueueName => {
  const at = partition.lastIndexOf('/')
  return { domain: partition.slice(0, at), hashDID: partition.slice(at + 1) }
}
export const placeOf = (at: Buffer): number => at.readDoubleBE()

const PAYER_BYTES = 16
/** All of one length, so that what follows in a key is found. */
const payerAt = (payer: string): Buffer => {
  if (Buffer.byteLength(payer) > PAYER_BYTES) throw new Error('Not a usable payer')
  const bytes = Buffer.alloc(PAYER_BYTES, ' ')
  bytes.write(payer)
  return bytes
}

const DUE_PARTITIONS = 16
export const DUE_NAMES = Array.from({ length: DUE_PARTITIONS }, (_, at) => `mq due ${at}`)
export const duePartition = (partition: string): string =>
  DUE_NAMES[(createHash('sha256').update(partition).digest()[0] ?? 0) % DUE_PARTITIONS] ?? ''
export const minuteOf = (instant: number): number => Math.ceil(instant / MINUTE_MS) * MINUTE_MS
export const dueKey = (partition: string, expiresAt: number): Buffer =>
  key(number(minuteOf(expiresAt)), name(partition))

const queueSets = (partition: string) => ({
  partition,
  state: MQ_TABLES.state.in(partition),
  messages: MQ_TABLES.messages.in(partition),
  ids: MQ_TABLES.ids.in(partition),
  ends: MQ_TABLES.ends.in(partition),
  paid: MQ_TABLES.paid.in(partition),
})
type QueueSets = ReturnType<typeof queueSets>

// ── changes of one queue ────────────────────────────────────────────────────────────────────────────────────────────

/** What one attempt changes: rows, and the state that follows. */
interface Change {
  sets: QueueSets
  state: QueueState
  /** That the state is the one that was read. */
  isUnchanged: Check
  writes: Write[]
}

export const beginChange = async (kv: Kv, partition: string): Promise<Change> => {
  const sets = queueSets(partition)
  const [{ value = EMPTY, isUnchanged }] = await read(kv, [sets.state.get()])
  return { sets, state: { ...value, shares: { ...value.shares } }, isUnchanged, writes: [] }
}

export const batchOf = ({ sets, state, isUnchanged, writes }: Change) => ({
  partition: sets.partition,
  checks: [isUnchanged],
  writes: [...writes, state.kept > 0 ? sets.state.put({ value: state }) : sets.state.remove()],
})

const share = ({ state }: Change, payer: string, change: 1 | -1): void => {
  const next = (state.shares[payer] ?? 0) + change
  invariant(next >= 0, 'a payer has no fewer than 0 messages of a queue')
  if (next > 0) state.shares[payer] = next
  else delete state.shares[payer]
}

export const addMessage = (change: Change, place: number, { payer, ...message }: MqMessage): void => {
  const { sets, state, writes } = change
  const at = number(place)
  writes.push(
    sets.messages.put({ key: at, value: { ...message, ...(payer !== undefined && { payer }) } }),
    sets.ids.put({ key: name(message.id), value: place }),
    sets.ends.put({ key: key(number(message.expiresAt), at), value: true }),
  )
  if (payer !== undefined) {
    writes.push(sets.paid.put({ key: key(payerAt(payer), at), value: true }))
    share(change, payer, 1)
  }
  state.kept += 1
  state.last = Math.max(state.last, place)
}

export const removeMessage = (change: Change, place: number, { id, payer, expiresAt }: MqMessage): void => {
  const { sets, state, writes } = change
  const at = number(place)
  writes.push(
    sets.messages.remove(at),
    sets.ids.remove(name(id)),
    sets.ends.remove(key(number(expiresAt), at)),
  )
  if (payer !== undefined) {
    writes.push(sets.paid.remove(key(payerAt(payer), at)))
    share(change, payer, -1)
  }
  state.kept -= 1
  invariant(state.kept >= 0, 'a queue counts each of its messages')
}

/** Removes up to `limit` messages that have expired; answers how many. */
export const removeExpired = async (kv: Kv, change: Change, now: number, limit: number): Promise<number> => {
  const { ends, messages } = change.sets
  const [over] = await read(kv, [ends.keys({ to: behind(endOf(number(now))), limit })])
  const places = over.map((at) => placeOf(at.subarray(8)))
  const found = await read(
    kv,
    places.map((place) => messages.get(number(place))),
  )
  for (const [at, place] of places.entries()) {
    const message = found[at]?.value
    if (message) removeMessage(change, place, message)
  }
  return places.length
}

/** Makes room for a payer with few messages at the cost of the one with most. */
export const pushOut = async (
  kv: Kv,
  change: Change,
  { payer, foothold }: { payer: string | undefined; foothold: number },
): Promise<void> => {
  const { shares } = change.state
  const own = payer === undefined ? foothold : (shares[payer] ?? 0)
  const [largest, most = 0] = Object.entries(shares).sort(([, a], [, b]) => b - a)[0] ?? []
  if (own >= foothold || largest === undefined || most <= own + 1) return
  const theirs = payerAt(largest)
  const [[oldest]] = await read(kv, [change.sets.paid.keys({ from: theirs, to: endOf(theirs), limit: 1 })])
  if (!oldest) return
  const at = oldest.subarray(PAYER_BYTES)
  const [{ value: message }] = await read(kv, [change.sets.messages.get(at)])
  if (message) removeMessage(change, placeOf(at), message)
}

/** Messages of one look for the first live one. */
const PAGE_SIZE = 16

/** The oldest message that is there, and its place. */
export const firstOf = async (kv: Kv, partition: string, now: number) => {
  const { messages } = queueSets(partition)
  for (let from = number(0); ; ) {
    const [rows] = await read(kv, [messages.range({ from, limit: PAGE_SIZE })])
    const live = rows.find(({ value }) => value.expiresAt > now)
    if (live) return { place: placeOf(live.key), message: live.value }
    const last = rows.at(-1)
    if (!last || rows.length < PAGE_SIZE) return undefined
    from = behind(last.key)
  }
}

export const messageOf = async (kv: Kv, partition: string, id: string) => {
  const { ids, messages } = queueSets(partition)
  const at = nameOrNone(id)
  if (!at) return undefined
  const [{ value: place }] = await read(kv, [ids.get(at)])
  if (place === undefined) return undefined
  const [{ value: message }] = await read(kv, [messages.get(number(place))])
  return message && { place, message }
}
