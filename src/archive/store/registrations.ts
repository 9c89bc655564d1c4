/**
 * Registrations over the port. Each lies with its client and ends by itself. Of every tag it is known until when there may be
 * a registration of it, in one partition for all of them.
 */
import * as z from 'zod'
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { HOUR_MS } from '../../platform/units.ts'
import { key, number } from '../../storage/bytes.ts'
import { float, json, NOTHING } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
import type { ArchiveStore, Registration } from '../store.ts'

const registrationSchema: z.ZodType<Omit<Registration, 'clientId'>> = z.object({
  tags: z.array(z.number()),
  owners: z.record(z.string(), z.string()),
  expiresAt: z.number(),
})

export const REGISTRATION_TABLES = {
  /** The partition is the client. */
  registrations: defineTable({
    name: 'archive.registrations',
    shape: 'cell',
    ends: true,
    codec: json(registrationSchema),
  }),
  /** By tag: until when there may be a registration of it. */
  tags: defineTable({ name: 'archive.tags', shape: 'map', codec: float }),
  /** Until when, tag. */
  tagEnds: defineTable({ name: 'archive.tagEnds', shape: 'index', codec: NOTHING }),
}
const { registrations } = REGISTRATION_TABLES
const TAGS_PARTITION = 'archive.tags'
const tags = REGISTRATION_TABLES.tags.in(TAGS_PARTITION)
const tagEnds = REGISTRATION_TABLES.tagEnds.in(TAGS_PARTITION)

const CHANNEL = 'archive'
/** Tags of one commit. */
const MAX_PIECE_TAGS = 200
/** Clocks differ: what has ended by ours need not have by another one. */
const SWEEP_DELAY_MS = HOUR_MS
/** Behind every tag of one instant. */
const LAST_OF_INSTANT = Buffer.alloc(9, 0xff)
const tagIn = (entry: Buffer): number => entry.readDoubleBE(8)

/** Notes of each tag until when there may be a registration, where that is later than it was. */
const noteTags = (kv: Kv, wanted: readonly (readonly [tag: number, until: number])[], now: number) =>
  transact<void>(kv, now, async () => {
    const found = await read(
      kv,
      wanted.map(([tag]) => tags.get(number(tag))),
    )
    const later = wanted.flatMap(([tag, until], at) => {
      const former = found[at]
      return former && (former.value ?? 0) < until ? [{ tag: number(tag), until, former }] : []
    })
    if (later.length === 0) return { answer: undefined }
    const checks = later.map(({ former }) => former.isUnchanged)
    const writes = later.flatMap(({ tag, until, former: { value } }) => [
      ...(value === undefined ? [] : [tagEnds.remove(key(number(value), tag))]),
      tags.put({ key: tag, value: until }),
      tagEnds.put({ key: key(number(until), tag), value: true }),
    ])
    return { answer: undefined, batch: { partition: TAGS_PARTITION, checks, writes } }
  })

/** What many callers of this process want noted at once is noted together: they all change the same rows. */
const createTagNotes = (kv: Kv) => {
  const inTurn = createKeyedLock()
  let waiting = new Map<number, number>()
  let pending: Promise<void> | undefined
  return (registration: Pick<Registration, 'tags' | 'expiresAt'>, now: number): Promise<void> => {
    for (const tag of registration.tags)
      waiting.set(tag, Math.max(waiting.get(tag) ?? 0, registration.expiresAt))
    pending ??= inTurn(TAGS_PARTITION, async () => {
      // After the assignment: a free lock begins at once.
      await undefined
      const wanted = [...waiting]
      waiting = new Map()
      pending = undefined
      for (let at = 0; at < wanted.length; at += MAX_PIECE_TAGS)
        await noteTags(kv, wanted.slice(at, at + MAX_PIECE_TAGS), now)
    })
    return pending
  }
}

export const registrationVerbs = (
  kv: Kv,
  /** This store, in wake-ups. */
  instance: string,
): Pick<ArchiveStore, 'register' | 'registrations' | 'tags' | 'onRegister'> => {
  const note = createTagNotes(kv)
  return {
    async register({ clientId, tags, owners, expiresAt }, now) {
      // Tags first: a reader without the tag does not look for the registration.
      if (tags.length > 0) await note({ tags, expiresAt }, now)
      const row = registrations.in(clientId).put({ value: { tags, owners, expiresAt }, expiresAt })
      await kv.commit([{ partition: clientId, writes: [row] }], now)
      kv.publish(CHANNEL, [`${instance} ${clientId} ${tags.join(',')}`])
    },

    async registrations(clientIds, now) {
      const found = await read(
        kv,
        clientIds.map((clientId) => registrations.in(clientId).get()),
      )
      return clientIds.flatMap((clientId, at) => {
        const value = found[at]?.value
        return value && value.expiresAt > now ? [{ clientId, ...value }] : []
      })
    },

    async tags(now, limit) {
      const [live] = await read(kv, [tagEnds.keys({ from: key(number(now), LAST_OF_INSTANT), limit })])
      return live.map(tagIn)
    },

    onRegister: (listener) =>
      kv.listen([CHANNEL], (said) => {
        const [from, clientId, tags = ''] = said.split(' ')
        if (from === instance || clientId === undefined) return
        listener({ clientId, tags: tags === '' ? [] : tags.split(',').map(Number) })
      }),
  }
}

/** Removes some tags of which there is no registration any more; answers how many. */
export const sweepTags = (kv: Kv, now: number, limit: number): Promise<number> =>
  transact(kv, now, async () => {
    const to = number(Math.max(0, now - SWEEP_DELAY_MS))
    const [over] = await read(kv, [tagEnds.keys({ to, limit: Math.min(limit, MAX_PIECE_TAGS) })])
    if (over.length === 0) return { answer: 0 }
    const keys = over.map((entry) => number(tagIn(entry)))
    const found = await read(
      kv,
      keys.map((tag) => tags.get(tag)),
    )
    const checks = found.map(({ isUnchanged }) => isUnchanged)
    const writes = keys.flatMap((tag, at) => {
      const entry = over[at]
      if (!entry) return []
      const isLast = found[at]?.value === entry.readDoubleBE()
      return isLast ? [tagEnds.remove(entry), tags.remove(tag)] : [tagEnds.remove(entry)]
    })
    return { answer: over.length, batch: { partition: TAGS_PARTITION, checks, writes } }
  })
