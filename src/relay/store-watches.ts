/**
 * Watches over the port: all of a client's are one cell, which changes as a whole. Of all clients together one cell says
 * until when there may be a live watch. It is raised before a watch is kept and never lowered, so it misses none.
 */
import * as z from 'zod'
import { createBatcher } from '../platform/concurrency/batcher.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { HOUR_MS } from '../platform/units.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { float, json } from '../storage/codec.ts'
import type { Kv, Write } from '../storage/kv.ts'
import { defineTable, read, transact } from '../storage/table.ts'
import type { Watch, WatchName, WatchStore } from './store.ts'

/** A watch beside the client id, which is its partition. */
export const keptWatch = z.object({
  service: z.string(),
  url: z.string(),
  type: z.enum(['subscriber', 'publisher']),
  tags: z.array(z.number()),
  statuses: z.array(z.enum(['accepted', 'queued', 'delivered'])),
  expiresAt: z.number(),
  issuedAt: z.number(),
  state: z.enum(['asked', 'active', 'ended']),
  refusals: z.number(),
  failingSince: z.number(),
})
type KeptWatch = Omit<Watch, 'clientId'>

export const WATCH_TABLES = {
  /** All of a client's, ended ones too; expired ones until the next registration. The partition is the client. */
  watches: defineTable({
    name: 'relay.watches',
    shape: 'cell',
    ends: true,
    codec: json(z.array(keptWatch)),
  }),
  /** Until when any client may have a live watch: one row, which stays. */
  watchedUntil: defineTable({ name: 'relay.watchedUntil', shape: 'cell', codec: float }),
}
const { watches } = WATCH_TABLES
const watchedUntil = WATCH_TABLES.watchedUntil.in('relay.watchedUntil')

const CHANNEL = 'watches'

const isEnded = ({ state }: KeptWatch): boolean => state === 'ended'

const isNamed =
  ({ service, url }: Omit<WatchName, 'clientId'>) =>
  (one: KeptWatch): boolean =>
    one.service === service && one.url === url

/** Whether a newer word than this one is kept. An end counts against a registration of the same second. */
const isOlderWord = (word: KeptWatch, kept: KeptWatch): boolean =>
  word.issuedAt < kept.issuedAt || (word.issuedAt === kept.issuedAt && isEnded(kept) && !isEnded(word))

/** A watch that stands keeps how it is doing when it is registered again. */
const withStanding = (word: KeptWatch, kept: KeptWatch | undefined): KeptWatch => {
  if (!kept || isEnded(kept) || isEnded(word)) return word
  const state = kept.state === 'active' ? kept.state : word.state
  return { ...word, state, refusals: kept.refusals, failingSince: kept.failingSince }
}

/** What is kept with the word among those that have not expired. Throws as `watch` does. */
const withWord = (live: readonly KeptWatch[], word: KeptWatch, limit: number): KeptWatch[] => {
  const known = live.find(isNamed(word))
  if (known && isOlderWord(word, known)) throw new ProtocolError('jwt_expired', 'a newer one is known')
  const others = live.filter((one) => one !== known)
  const alike = others.filter((one) => isEnded(one) === isEnded(word))
  const next = withStanding(word, known)
  if (alike.length < limit) return [...others, next]
  if (!isEnded(word)) throw new ProtocolError('rate_limited', `more than ${limit} webhooks`)
  const [first] = alike.toSorted((a, b) => a.expiresAt - b.expiresAt)
  return [...others.filter((one) => one !== first), next]
}

/**
 * Rounded up to the hour. The embedded store keeps an entry of every end that a row has had, and a client may move its own
 * with each registration.
 */
const endOfRow = (all: readonly KeptWatch[]): number =>
  Math.ceil(Math.max(...all.map(({ expiresAt }) => expiresAt)) / HOUR_MS) * HOUR_MS

const putWatches = (clientId: string, all: KeptWatch[]): Write => {
  const cell = watches.in(clientId)
  return all.length === 0 ? cell.remove() : cell.put({ value: all, expiresAt: endOfRow(all) })
}

/** Notes until when there may be a live watch. What comes meanwhile is noted together: all of it changes one row. */
const createNote = (kv: Kv) =>
  createBatcher((group: readonly { until: number; now: number }[]) => {
    const until = Math.max(...group.map((one) => one.until))
    const now = Math.min(...group.map((one) => one.now))
    return transact<void>(kv, now, async () => {
      const [{ value = 0, isUnchanged }] = await read(kv, [watchedUntil.get()])
      if (value >= until) return { answer: undefined }
      const writes = [watchedUntil.put({ value: until })]
      const { partition } = watchedUntil.name
      return { answer: undefined, batch: { partition, checks: [isUnchanged], writes, isOnce: false } }
    })
  })

const createWatch = (kv: Kv): WatchStore['watch'] => {
  const note = createNote(kv)
  return async ({ clientId, ...word }, { now, limit }) => {
    // A second try finds its own word, and keeps the same once more.
    await transact<void>(kv, now, async () => {
      const [{ value = [], isUnchanged }, { value: noted = 0 }] = await read(kv, [
        watches.in(clientId).get(),
        watchedUntil.get(),
      ])
      const live = value.filter(({ expiresAt }) => expiresAt > now)
      const next = withWord(live, word, limit)
      // Only for what is kept: whoever is refused leaves nothing.
      if (!isEnded(word) && noted < word.expiresAt) await note({ until: word.expiresAt, now })
      const writes = [putWatches(clientId, next)]
      // An end has no tags: it is smaller than the watch whose place it takes.
      const isRelief = isEnded(word) && next.length <= live.length
      return {
        answer: undefined,
        batch: { partition: clientId, checks: [isUnchanged], writes, isOnce: false, isRelief },
      }
    })
    kv.publish(CHANNEL, [clientId])
  }
}

/** `clock` says how long a changed row is kept. */
export const createWatchStore = (kv: Kv, clock: Pick<Clock, 'now'>): WatchStore => ({
  watch: createWatch(kv),

  async changeWatch({ clientId, ...name }, change) {
    const isChanged = await transact(kv, clock.now(), async () => {
      const [{ value: all = [], isUnchanged }] = await read(kv, [watches.in(clientId).get()])
      const watch = all.find(isNamed(name))
      if (!watch || isEnded(watch)) return { answer: false }
      const next = change === 'gone' ? [] : [{ ...watch, ...change }]
      const writes = [putWatches(clientId, [...all.filter((one) => one !== watch), ...next])]
      const isRelief = change === 'gone'
      return {
        answer: true,
        batch: { partition: clientId, checks: [isUnchanged], writes, isOnce: false, isRelief },
      }
    })
    if (isChanged) kv.publish(CHANNEL, [clientId])
  },

  async watches(clientIds, now, withEnded = false) {
    const found = await read(
      kv,
      clientIds.map((clientId) => watches.in(clientId).get()),
    )
    return clientIds.flatMap((clientId, at) =>
      (found[at]?.value ?? [])
        .filter((one) => one.expiresAt > now && (withEnded || !isEnded(one)))
        .map((one) => ({ clientId, ...one })),
    )
  },

  async hasWatches(now) {
    const [{ value: until = 0 }] = await read(kv, [watchedUntil.get()])
    return until > now
  },

  onWatch: (listener) => kv.listen([CHANNEL], listener),
})
