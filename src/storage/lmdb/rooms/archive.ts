/**
 * The archive in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | archive.messages | topic, seq | the message (`../archive-rows`) |
 * | archive.ids | topic, message id | seq |
 * | archive.expiry | expiry, topic, seq | – |
 * | archive.owned | topic, owner, seq | – |
 * | archive.topics | topic | last seq, count, bytes |
 * | archive.registrations | client id | tags, expiry |
 * | archive.tags | tag | until when there may be a registration of it |
 * | archive.ends | until, client id | – |
 * | archive.tagEnds | until, tag | – |
 */

import type {
  Archived,
  ArchiveLimits,
  ArchiveStore,
  NewArchived,
  Registration,
} from '../../../archive/store.ts'
import { invariant } from '../../../platform/invariant.ts'
import { endOf, hash, key, name, number } from '../../bytes.ts'
import { archivedOf, archivedText } from '../../rows/archived-message.ts'
import { BYTES, type Bytes, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

type TopicRow = [lastSeq: number, count: number, bytes: number]

/** Behind every tag and every client id of one moment. */
const LAST_OF_INSTANT = Buffer.alloc(9, 0xff)
/** Messages that one transaction drops. */
const MAX_TRANSACTION_MESSAGES = 2_000

export const archiveTables = (env: Env) => {
  const messages: Bytes = env.openDB({ name: 'archive.messages', ...BYTES })
  const ids: Bytes = env.openDB({ name: 'archive.ids', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'archive.expiry', ...BYTES })
  const owned: Bytes = env.openDB({ name: 'archive.owned', ...BYTES })
  const topics: Rows<TopicRow> = env.openDB({ name: 'archive.topics', ...ROWS })
  const registrations: Rows<Registration> = env.openDB({ name: 'archive.registrations', ...ROWS })
  const tags: Rows<number> = env.openDB({ name: 'archive.tags', ...ROWS })
  const ends: Bytes = env.openDB({ name: 'archive.ends', ...BYTES })
  const tagEnds: Bytes = env.openDB({ name: 'archive.tagEnds', ...BYTES })
  return { messages, ids, expiry, owned, topics, registrations, tags, ends, tagEnds }
}

export const archivedAt = (at: Buffer, row: Buffer): Archived =>
  archivedOf(row.toString(), at.toString('hex', 0, 32), at.readDoubleBE(32))

type ArchiveTables = ReturnType<typeof archiveTables> & { env: Env }

const put = (archive: ArchiveTables, message: Archived): void => {
  const topic = hash(message.topic)
  const idAt = key(topic, hash(message.id))
  if (archive.ids.get(idAt)) return
  const [last, count, bytes] = archive.topics.get(topic) ?? [0, 0, 0]
  const row = Buffer.from(archivedText(message))
  invariant(count >= 0 && bytes >= 0, 'counts of an archived topic are never below 0')
  archive.messages.put(key(topic, number(message.seq)), row)
  archive.ids.put(idAt, number(message.seq))
  archive.expiry.put(key(number(message.expiresAt), topic, number(message.seq)), PRESENT)
  if (message.owner !== undefined)
    archive.owned.put(key(topic, hash(message.owner), number(message.seq)), PRESENT)
  archive.topics.put(topic, [Math.max(last, message.seq), count + 1, bytes + row.length])
}

const add = (archive: ArchiveTables, message: NewArchived): void => {
  const [last] = archive.topics.get(hash(message.topic)) ?? [0]
  put(archive, { ...message, seq: last + 1 })
}

/** `at` may be gone by now. */
const remove = (archive: ArchiveTables, at: Buffer): void => {
  const row = archive.messages.get(at)
  if (!row) return
  const { id, owner, expiresAt } = archivedAt(at, row)
  const topic = at.subarray(0, 32)
  const [last, count, bytes] = archive.topics.get(topic) ?? [0, 0, 0]
  invariant(count > 0 && bytes >= row.length, 'a topic counts each of its archived messages')
  archive.messages.remove(at)
  archive.ids.remove(key(topic, hash(id)))
  archive.expiry.remove(key(number(expiresAt), at))
  if (owner !== undefined) archive.owned.remove(key(topic, hash(owner), at.subarray(32)))
  if (count > 1) archive.topics.put(topic, [last, count - 1, bytes - row.length])
  else archive.topics.remove(topic)
}

const trim = (archive: ArchiveTables, topic: Buffer, limits: ArchiveLimits, now: number): void => {
  const oldest = [
    ...archive.messages.getKeys({ start: topic, end: endOf(topic), limit: MAX_TRANSACTION_MESSAGES }),
  ]
  for (const at of oldest) {
    const [, count, bytes] = archive.topics.get(topic) ?? [0, 0, 0]
    const row = archive.messages.get(at)
    const isOver = count > limits.messages || bytes > limits.bytes
    if (!isOver && (!row || archivedAt(at, row).expiresAt > now)) return
    remove(archive, Buffer.from(at))
  }
}

const messageVerbs = (archive: ArchiveTables): Pick<ArchiveStore, 'keep' | 'page' | 'drop'> => ({
  async keep(wanted, limits, now) {
    for (const { topic, id } of wanted) hash(topic) && hash(id)
    const inTopics = new Set(wanted.map(({ topic }) => topic))
    await archive.env.transaction(() => {
      for (const message of wanted) add(archive, message)
      for (const topic of inTopics) trim(archive, hash(topic), limits, now)
    })
  },

  async page(text, { origin, direction, limit, maxBytes, now }) {
    const topic = hash(text)
    const found: Archived[] = []
    let start = direction === 'forward' ? topic : endOf(topic)
    if (origin !== undefined) {
      const seq = archive.ids.get(key(topic, hash(origin)))
      const row = seq && archive.messages.get(key(topic, seq))
      if (!seq || !row || archivedAt(key(topic, seq), row).expiresAt <= now) return undefined
      start = key(topic, seq)
    }
    const range =
      direction === 'forward' ? { start, end: endOf(topic) } : { start, end: topic, reverse: true }
    let bytes = 0
    for (const { key: at, value } of archive.messages.getRange(range)) {
      const message = archivedAt(Buffer.from(at), value)
      if (message.expiresAt <= now) continue
      if (found.length === limit || (found.length > 0 && bytes + value.length > maxBytes))
        return { messages: found, next: message.id }
      bytes += value.length
      found.push(message)
    }
    return { messages: found, next: undefined }
  },

  async drop(text, before, owner) {
    const topic = hash(text)
    const own = key(topic, hash(owner))
    for (;;) {
      const dropped = await archive.env.transaction(() => {
        const seq = archive.ids.get(key(topic, hash(before)))
        if (!seq) return undefined
        const earlier = [
          ...archive.owned.getKeys({ start: own, end: key(own, seq), limit: MAX_TRANSACTION_MESSAGES }),
        ]
        for (const at of earlier) remove(archive, key(topic, Buffer.from(at).subarray(64)))
        return earlier.length
      })
      if (dropped === undefined) return false
      if (dropped < MAX_TRANSACTION_MESSAGES) return true
    }
  },
})

const registrationVerbs = (
  archive: ArchiveTables,
): Pick<ArchiveStore, 'register' | 'registrations' | 'tags' | 'onRegister'> => ({
  async register(registration) {
    const where = name(registration.clientId)
    const { expiresAt } = registration
    await archive.env.transaction(() => {
      const before = archive.registrations.get(where)
      if (before) archive.ends.remove(key(number(before.expiresAt), where))
      archive.registrations.put(where, registration)
      archive.ends.put(key(number(expiresAt), where), PRESENT)
      for (const tag of registration.tags.map(number)) {
        const until = archive.tags.get(tag) ?? 0
        if (until >= expiresAt) continue
        archive.tagEnds.remove(key(number(until), tag))
        archive.tags.put(tag, expiresAt)
        archive.tagEnds.put(key(number(expiresAt), tag), PRESENT)
      }
    })
  },

  async registrations(clientIds, now) {
    return clientIds.flatMap((clientId) => {
      const registration = archive.registrations.get(name(clientId))
      return registration && registration.expiresAt > now ? [registration] : []
    })
  },

  async tags(now, limit) {
    const live = archive.tagEnds.getKeys({ start: key(number(now), LAST_OF_INSTANT), limit })
    return [...live].map((at) => Buffer.from(at).readDoubleBE(8))
  },

  onRegister() {
    // One process: it knows of its own registrations.
    return { [Symbol.dispose]: () => {} }
  },
})

const sweepVerbs = (archive: ArchiveTables): Pick<ArchiveStore, 'sweep'> => ({
  async sweep(now, limit) {
    const over = [...archive.expiry.getKeys({ end: number(now), limit })].map((at) => Buffer.from(at))
    const past = { end: key(number(now), LAST_OF_INSTANT), limit: limit - over.length }
    const ended = [...archive.ends.getKeys(past)].map((at) => Buffer.from(at))
    const unused = [...archive.tagEnds.getKeys({ end: key(number(now), LAST_OF_INSTANT), limit })].map((at) =>
      Buffer.from(at),
    )
    if (over.length + ended.length + unused.length === 0) return 0
    await archive.env.transaction(() => {
      for (const at of over) remove(archive, at.subarray(8))
      // What was renewed meanwhile has another end.
      for (const at of ended.filter((end) => archive.ends.get(end))) {
        archive.ends.remove(at)
        archive.registrations.remove(at.subarray(8))
      }
      for (const at of unused.filter((end) => archive.tagEnds.get(end))) {
        archive.tagEnds.remove(at)
        archive.tags.remove(at.subarray(8))
      }
    })
    return over.length + ended.length
  },
})

export const createLmdbArchive = (
  env: Env,
): ArchiveStore & { restore(messages: readonly Archived[]): Promise<void> } => {
  const archive: ArchiveTables = { env, ...archiveTables(env) }

  return {
    ...messageVerbs(archive),
    ...registrationVerbs(archive),
    ...sweepVerbs(archive),
    async restore(records) {
      for (const { topic, id } of records) hash(topic) && hash(id)
      await archive.env.transaction(() => {
        for (const message of records) put(archive, message)
      })
    },
  }
}
