/**
 * What waits to be pushed, over the port (`./rows.ts`): one row a device, a queue for each project and provider.
 *
 * A worker marks the rows that it took (`takenUntil`), so that who adds a message meanwhile leaves it due when the worker's
 * lease ends. So at most one push to a device is under way. Of a mark and an addition that meet one wins: a row that was
 * added to before it was marked is due again at once.
 */
import { createHash } from 'node:crypto'
import { DAY_MS, HOUR_MS } from '../../platform/units.ts'
import type { Kv } from '../../storage/kv.ts'
import { read, transact } from '../../storage/table.ts'
import {
  type Addition,
  PROVIDER_NAMES,
  type QueueName,
  type WaitingMessage,
  type WaitingPush,
  type WaitingStore,
} from '../store.ts'
import { CHANNELS, deviceKey, ofProject, PUSH_TABLES } from './rows.ts'

/** No message lives for longer than 30 days. */
const ROW_LIFE_MS = 31 * DAY_MS
/** A row to which something is added after so long begins its life anew. */
const RENEW_AFTER_MS = DAY_MS
const HANDED_LIFE_MS = HOUR_MS
/** Messages that were handed to a device lately, and are not handed to it again. */
const MAX_HANDED = 32
/** Characters of an id's hash that are remembered; ids of other relays are of any form and length. */
const HANDED_HASH_LENGTH = 16

const setOf = ({ projectId, provider }: QueueName) => PUSH_TABLES.waiting.in(ofProject(projectId), provider)
const handedOf = (projectId: string) => PUSH_TABLES.handed.in(ofProject(projectId))
const channelText = ({ projectId, provider }: QueueName) => `${projectId} ${provider}`

const messageKey = ({ topic, id }: Pick<WaitingMessage, 'topic' | 'id'>): string => `${topic}.${id}`
const handedHash = (id: string): string =>
  createHash('sha256').update(id).digest('base64url').slice(0, HANDED_HASH_LENGTH)

/** By rank, of one rank the newest: in the order in which they came. */
const strongest = (messages: readonly WaitingMessage[], limit: number): WaitingMessage[] => {
  if (messages.length <= limit) return [...messages]
  // The last of those that came within one millisecond is the newest.
  const byStrength = messages.toReversed().sort((a, b) => b.rank - a.rank || b.at - a.at)
  const kept = new Set(byStrength.slice(0, limit))
  return messages.filter((one) => kept.has(one))
}

const addOne = (kv: Kv, addition: Addition, limit: number, now: number): Promise<boolean> => {
  const { clientId, deviceId, projectId, provider, messages } = addition
  const set = setOf(addition)
  const key = deviceKey(addition)
  const partition = ofProject(projectId)
  return transact(kv, now, async () => {
    const [{ value: row, isUnchanged }] = await read(kv, [set.get(key)])
    const live = (row?.messages ?? []).filter(({ expiresAt }) => expiresAt > now)
    const known = new Set(live.map(messageKey))
    const fresh = messages.filter((one) => !known.has(messageKey(one)))
    if (fresh.length === 0) return { answer: false }
    const all = [...live, ...fresh]
    const kept = strongest(all, limit)
    const more = (row?.more ?? 0) + all.length - kept.length
    const isBusy = row !== undefined && (row.takenUntil > now || row.attempts > 0)
    const at = row === undefined ? addition.at : isBusy ? row.at : Math.min(row.at, addition.at)
    const isFresh = row === undefined || row.createdAt + RENEW_AFTER_MS < now
    const value: WaitingPush = {
      ...{ clientId, deviceId, projectId, provider, at, messages: kept, more },
      createdAt: isFresh ? now : row.createdAt,
      takenUntil: row?.takenUntil ?? 0,
      attempts: row?.attempts ?? 0,
    }
    const writes = isFresh
      ? [...(row ? [set.remove(key)] : []), set.enqueue({ key, at, value, expiresAt: now + ROW_LIFE_MS })]
      : [set.delay(key, at, value)]
    return { answer: true, batch: { partition, checks: [isUnchanged], writes, isOnce: false } }
  })
}

const createTake =
  (kv: Kv): WaitingStore['take'] =>
  async (queue, { limit, now, until }) => {
    const { table } = PUSH_TABLES.waiting
    const set = setOf(queue)
    const partition = ofProject(queue.projectId)
    const from = { table, partitions: [partition], subject: queue.provider }
    const taken = await kv.take(from, { limit, now, until })
    const marked = taken.map(({ id, value: raw }) => {
      const row = PUSH_TABLES.waiting.valueOf({ set: set.name, key: id, value: raw })
      const next: WaitingPush = { ...row, at: until, takenUntil: until }
      const check = { kind: 'is' as const, set: set.name, key: id, value: raw }
      return {
        next,
        batch: { partition, checks: [check], writes: [set.delay(id, until, next)], isRelief: true },
      }
    })
    if (marked.length === 0) return []
    const outcomes = await kv.commit(
      marked.map(({ batch }) => batch),
      now,
    )
    return marked.flatMap(({ next }, at) => (outcomes[at]?.isDone ? [next] : []))
  }

const createFinish =
  (kv: Kv): WaitingStore['finish'] =>
  async (push, { handed, dropped, now, again = { at: now, attempts: 0 } }) => {
    const set = setOf(push)
    const key = deviceKey(push)
    const partition = ofProject(push.projectId)
    const over = new Set([...handed, ...dropped])
    const isNews = await transact(kv, now, async () => {
      const [{ value: row, isUnchanged }, lately] = await read(kv, [
        set.get(key),
        handedOf(push.projectId).get(key),
      ])
      const remembered = [...(lately.value ?? []), ...handed.map(handedHash)].slice(-MAX_HANDED)
      const note =
        handed.length === 0
          ? []
          : [handedOf(push.projectId).put({ key, value: remembered, expiresAt: now + HANDED_LIFE_MS })]
      if (!row) {
        if (note.length === 0) return { answer: false }
        return { answer: false, batch: { partition, writes: note, isOnce: false } }
      }
      const rest = row.messages.filter(({ id, expiresAt }) => !over.has(id) && expiresAt > now)
      const isOurs = row.takenUntil === push.takenUntil
      // Those that gave way before the push are told of in it.
      const more = handed.length > 0 ? Math.max(0, row.more - push.more) : row.more
      const next = { ...row, messages: rest, more, ...(isOurs && { ...again, takenUntil: 0 }) }
      const change = rest.length === 0 ? set.remove(key) : set.delay(key, next.at, next)
      const writes = [change, ...note]
      const batch = { partition, checks: [isUnchanged], writes, isOnce: false, isRelief: true }
      return { answer: rest.length > 0 && isOurs && again.at <= now, batch }
    })
    if (isNews) kv.publish(CHANNELS.waiting, [channelText(push)])
  }

const isHeldBack = (row: WaitingPush, now: number): boolean => row.takenUntil <= now && row.at > now

/** Walks over all that waits: for an operator who set credentials anew. */
const createHurry =
  (kv: Kv): WaitingStore['hurry'] =>
  async (queue, now) => {
    const set = setOf(queue)
    const { partition, subject } = set.name
    for await (const { rows } of kv.rows(PUSH_TABLES.waiting.table)) {
      const own = rows.filter((row) => row.set.partition === partition && row.set.subject === subject)
      await kv.commit(
        own.flatMap(({ key, value: raw }) => {
          const row = PUSH_TABLES.waiting.valueOf({ set: set.name, key, value: raw })
          if (!isHeldBack(row, now)) return []
          const check = { kind: 'is' as const, set: set.name, key, value: raw }
          const next = { ...row, at: now, attempts: 0 }
          return [{ partition, checks: [check], writes: [set.delay(key, now, next)], isRelief: true }]
        }),
        now,
      )
    }
    kv.publish(CHANNELS.waiting, [channelText(queue)])
  }

const createHurryDevice =
  (kv: Kv): WaitingStore['hurryDevice'] =>
  async (name, now) => {
    const set = setOf(name)
    const key = deviceKey(name)
    const isNews = await transact(kv, now, async () => {
      const [{ value: row, isUnchanged }] = await read(kv, [set.get(key)])
      if (!row || !isHeldBack(row, now)) return { answer: false }
      const writes = [set.delay(key, now, { ...row, at: now, attempts: 0 })]
      const { partition } = set.name
      return {
        answer: true,
        batch: { partition, checks: [isUnchanged], writes, isOnce: false, isRelief: true },
      }
    })
    if (isNews) kv.publish(CHANNELS.waiting, [channelText(name)])
  }

const queueIn = (text: string): QueueName | undefined => {
  const [projectId = '', provider] = text.split(' ')
  const known = PROVIDER_NAMES.find((one) => one === provider)
  return known && { projectId, provider: known }
}

export const createWaitingStore = (kv: Kv): WaitingStore => ({
  async add(additions, { limit, now }) {
    const added = await Promise.all(additions.map((one) => addOne(kv, one, limit, now)))
    const news = new Set(additions.flatMap((one, at) => (added[at] ? [channelText(one)] : [])))
    if (news.size > 0) kv.publish(CHANNELS.waiting, [...news])
  },
  take: createTake(kv),
  finish: createFinish(kv),
  async handed(push, ids) {
    const [{ value = [] }] = await read(kv, [handedOf(push.projectId).get(deviceKey(push))])
    const known = new Set(value)
    return new Set(ids.filter((id) => known.has(handedHash(id))))
  },
  async waitingFor(name) {
    const [{ value }] = await read(kv, [setOf(name).get(deviceKey(name))])
    return value
  },
  async countWaiting(queue) {
    const [count] = await read(kv, [setOf(queue).count()])
    return count
  },
  hurry: createHurry(kv),
  hurryDevice: createHurryDevice(kv),
  onWaiting: (listener) =>
    kv.listen([CHANNELS.waiting], (text) => {
      const queue = queueIn(text)
      if (queue) listener(queue)
    }),
  async restoreWaiting(pushes, now) {
    await kv.commit(
      pushes.map((push) => {
        const value = { ...push, takenUntil: 0 }
        const row = { key: deviceKey(push), at: push.at, value, expiresAt: now + ROW_LIFE_MS }
        return { partition: ofProject(push.projectId), writes: [setOf(push).enqueue(row)] }
      }),
      now,
    )
  },
})
