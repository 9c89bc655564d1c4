/** The queues' verbs over the port; what lies where: `./store-rows.ts`. */
import { createHash } from 'node:crypto'
import { createKeyedLock } from '../platform/concurrency/keyed-lock.ts'
import { MINUTE_MS } from '../platform/units.ts'
import { endOf, name, number } from '../storage/bytes.ts'
import type { Kv } from '../storage/kv.ts'
import { read, transact } from '../storage/table.ts'
import type { MqMessage, MqStore, PlacedMessage, PutLimits, QueueName } from './store.ts'
import {
  addMessage,
  batchOf,
  beginChange,
  DUE_NAMES,
  dueKey,
  duePartition,
  firstOf,
  MQ_TABLES,
  messageOf,
  minuteOf,
  partitionOf,
  pushOut,
  queueOf,
  removeExpired,
  removeMessage,
} from './store-rows.ts'

interface Queues {
  kv: Kv
  /** Changes of one queue, one after the other: those of this process need not find out that others were faster. */
  lock: ReturnType<typeof createKeyedLock>
}

/** Enters the queue among those that are looked at when the message has expired. */
const enterDue = (kv: Kv, partition: string, expiresAt: number, now: number) => {
  const due = MQ_TABLES.due.in(duePartition(partition))
  const writes = [due.put({ key: dueKey(partition, expiresAt), value: true })]
  return kv.commit([{ partition: due.name.partition, writes }], now)
}

const put = async (
  { kv, lock }: Queues,
  queue: QueueName,
  message: MqMessage,
  { now, most, foothold = 0 }: PutLimits,
): Promise<boolean> => {
  const partition = partitionOf(queue)
  const ids = MQ_TABLES.ids.in(partition)
  return lock(partition, () =>
    transact(kv, now, async () => {
      const [known] = await read(kv, [ids.get(name(message.id))])
      if (known.value !== undefined) return { answer: true }
      const change = await beginChange(kv, partition)
      // The count knows of expired ones too; they are looked for only when they could matter.
      if (change.state.kept >= most) await removeExpired(kv, change, now, most)
      if (change.state.kept >= most) await pushOut(kv, change, { payer: message.payer, foothold })
      if (change.state.kept >= most) return { answer: false }
      // Only for what is kept: whoever is refused leaves nothing.
      await enterDue(kv, partition, message.expiresAt, now)
      addMessage(change, change.state.last + 1, message)
      return { answer: true, batch: batchOf(change) }
    }),
  )
}

/** Removes what `find` finds, once; answers it. */
const removeOne = (
  { kv, lock }: Queues,
  partition: string,
  now: number,
  find: () => Promise<{ place: number; message: MqMessage } | undefined>,
): Promise<MqMessage | undefined> =>
  lock(partition, () =>
    transact(kv, now, async () => {
      // The state first: what is found then is no older.
      const change = await beginChange(kv, partition)
      const found = await find()
      if (!found) return { answer: undefined }
      removeMessage(change, found.place, found.message)
      return { answer: found.message, batch: batchOf(change) }
    }),
  )

const messageVerbs = (queues: Queues): Pick<MqStore, 'put' | 'head' | 'take' | 'remove' | 'restore'> => ({
  async put(queue, message, limits) {
    const isKept = await put(queues, queue, message, limits)
    if (isKept) queues.kv.publish(channelOf(queue), [partitionOf(queue)])
    return isKept
  },

  async head(queue, now) {
    return (await firstOf(queues.kv, partitionOf(queue), now))?.message
  },

  async take(queue, { now, id }) {
    const partition = partitionOf(queue)
    const { kv } = queues
    const find = () => (id === undefined ? firstOf(kv, partition, now) : messageOf(kv, partition, id))
    // An empty queue is not changed: clients that wait for a message ask often.
    if (!(await find())) return undefined
    const message = await removeOne(queues, partition, now, find)
    return message && message.expiresAt > now ? message : undefined
  },

  async remove(queue, id) {
    const partition = partitionOf(queue)
    const find = () => messageOf(queues.kv, partition, id)
    return (await removeOne(queues, partition, 0, find)) !== undefined
  },

  async restore(placed) {
    const byQueue = new Map<string, PlacedMessage[]>()
    for (const one of placed) {
      const known = byQueue.get(partitionOf(one))
      if (known) known.push(one)
      else byQueue.set(partitionOf(one), [one])
    }
    for (const [partition, messages] of byQueue) await restoreQueue(queues, partition, messages)
  },
})

const restoreQueue = async (
  { kv, lock }: Queues,
  partition: string,
  placed: readonly PlacedMessage[],
): Promise<void> => {
  for (const { expiresAt } of placed) await enterDue(kv, partition, expiresAt, 0)
  await lock(partition, () =>
    transact(kv, 0, async () => {
      const change = await beginChange(kv, partition)
      const { messages } = change.sets
      const there = await read(
        kv,
        placed.map(({ place }) => messages.get(number(place))),
      )
      for (const [at, { place, domain: _, hashDID: __, ...message }] of placed.entries()) {
        if (there[at]?.value === undefined) addMessage(change, place, message)
      }
      return { answer: undefined, batch: batchOf(change) }
    }),
  )
}

const attendanceVerbs = ({ kv }: Queues): Pick<MqStore, 'attend' | 'attendedUntil'> => ({
  attend(queue, until, now) {
    const attended = MQ_TABLES.attended.in(partitionOf(queue))
    return transact(kv, now, async () => {
      const [{ value = 0, isUnchanged }] = await read(kv, [attended.get()])
      if (value >= until) return { answer: undefined }
      const writes = [attended.put({ value: until, expiresAt: until })]
      const batch = { partition: attended.name.partition, checks: [isUnchanged], writes }
      return { answer: undefined, batch }
    })
  },

  async attendedUntil(queue, now) {
    const [{ value: until = 0 }] = await read(kv, [MQ_TABLES.attended.in(partitionOf(queue)).get()])
    return until > now ? until : 0
  },
})

/**
 * Removes expired messages of a queue; answers how many there were. The entry goes a minute late: a message that is being
 * put may have been entered, and not be there yet.
 */
const sweepEntry = async (
  { kv, lock }: Queues,
  entry: { partition: string; at: Buffer },
  now: number,
  limit: number,
): Promise<number> => {
  const partition = entry.at.toString('utf8', 8)
  const swept = await lock(partition, () =>
    transact(kv, now, async () => {
      const change = await beginChange(kv, partition)
      const answer = await removeExpired(kv, change, now, limit)
      return answer === 0 ? { answer } : { answer, batch: { ...batchOf(change), isRelief: true } }
    }),
  )
  if (swept < limit && entry.at.readDoubleBE() <= now - MINUTE_MS) {
    const due = MQ_TABLES.due.in(entry.partition)
    await kv.commit([{ partition: entry.partition, writes: [due.remove(entry.at)] }], now)
  }
  return swept
}

const CHANNELS = Array.from({ length: 16 }, (_, at) => `mq ${at}`)
const channelOf = (queue: QueueName): string =>
  CHANNELS[(createHash('sha256').update(partitionOf(queue)).digest()[1] ?? 0) % CHANNELS.length] ?? ''

export const createMqStore = (kv: Kv): MqStore => {
  const queues: Queues = { kv, lock: createKeyedLock() }
  return {
    ...messageVerbs(queues),
    ...attendanceVerbs(queues),

    async sweep(now, limit) {
      const found = await read(
        kv,
        DUE_NAMES.map((partition) =>
          MQ_TABLES.due.in(partition).keys({ to: endOf(number(minuteOf(now))), limit }),
        ),
      )
      let swept = 0
      for (const [nth, entries] of found.entries()) {
        for (const at of entries) {
          if (swept >= limit) return swept
          swept += await sweepEntry(queues, { partition: DUE_NAMES[nth] ?? '', at }, now, limit - swept)
        }
      }
      return swept
    },

    onPut: (listener) => kv.listen(CHANNELS, (partition) => listener(queueOf(partition))),
  }
}
