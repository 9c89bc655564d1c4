import type { NotifyStore, OutboxEntry } from '../../../notify/store/store.ts'
import { type BoundedMap, createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import { type DamagedRow, ifWhole } from '../../damaged-row.ts'
import { completeScript } from '../lua/notify/outbox/complete.ts'
import { peekScript } from '../lua/notify/outbox/peek.ts'
import { returnScript } from '../lua/notify/outbox/return.ts'
import { sizeScript } from '../lua/notify/outbox/size.ts'
import { takeScript } from '../lua/notify/outbox/take.ts'
import { inCalls, takePlan } from '../partition-calls.ts'
import { list, text, whole } from '../script.ts'
import { type NotifyDeps, parsed, split, written } from './deps.ts'
import { ALL, TTL_MARGIN_MS } from './rows/layout.ts'

export interface Outbox
  extends Pick<NotifyStore, 'takeOutbox' | 'returnOutbox' | 'outboxSize' | 'onOutbox' | 'outboxEntries'> {
  /** Removes entries. */
  remove(ids: readonly string[]): Promise<void>
  /** The partition of an entry that was taken here. */
  partitionOf(id: string): number | undefined
  /** Notes an entry that a script has added for a worker of this process. */
  leased(id: string, p: number, until: number): void
  /** A proposed place in the order, behind all that were proposed here. */
  nextPlace(): number
  /** Entries that were removed by others. */
  forget(ids: readonly string[]): void
  /** The entries as scripts are told them: id, place in the order, JSON. */
  args(entries: readonly OutboxEntry[]): (string | number)[]
  /** How long the keys of the outbox must live because of these. */
  ttlOf(entries: readonly OutboxEntry[]): number
  /** Tells the listeners, here and in other processes, after entries were added. */
  ring(): void
}

const WAKE_CHANNEL = 'notify-outbox'
/** A take looks again when others were faster, but not for ever. */
const MAX_TAKE_ROUNDS = 8
/** Ids of one partition in one script call. */
const MAX_CALL_IDS = 1_000
/** Entries of one look through a partition. */
const SCAN_COUNT = 500

/** Taken entries whose partition this process remembers. */
const REMEMBERED_TAKEN_ENTRIES = 100_000

interface OutboxState extends NotifyDeps {
  listeners: Set<() => void>
  /** What was taken here: it tells where an entry is, and whether it is still ours when it is given back. */
  taken: BoundedMap<{ p: number; until: number }>
  lastPosition: number
  isRinging: boolean
  subscription: Disposable | undefined
}

const notifyListeners = (state: OutboxState) => {
  for (const listener of [...state.listeners]) listener()
}

const keysOf = (state: OutboxState, p: number): string[] => {
  const { entries, free, held } = state.layout.partition(p)
  return [entries, free, held]
}

/** What each partition has. */
const peek = (state: OutboxState, now: number) =>
  inCalls(state.redis, ALL, async (partitions) => {
    const keys = partitions.flatMap((p) => keysOf(state, p).slice(1))
    const answers = list(await state.ask(() => state.redis.script(peekScript, keys, [now])))
    return partitions.map((partition, at) => ({
      partition,
      count: whole(answers[2 * at]),
      first: whole(answers[2 * at + 1]),
    }))
  })

/** Ids by the partition in which they are; without one, those that must be looked for everywhere. */
const byPartition = (state: OutboxState, ids: readonly string[]) => {
  const groups = new Map<number, string[]>()
  for (const id of ids) {
    const p = state.taken.get(id)?.p
    for (const one of p === undefined ? ALL : [p]) {
      const group = groups.get(one)
      if (group) group.push(id)
      else groups.set(one, [id])
    }
  }
  return [...groups].flatMap(([p, all]) => {
    const chunks: { p: number; ids: string[] }[] = []
    for (let at = 0; at < all.length; at += MAX_CALL_IDS)
      chunks.push({ p, ids: all.slice(at, at + MAX_CALL_IDS) })
    return chunks
  })
}

const nextPlace = (state: OutboxState): number => {
  state.lastPosition = Math.max(state.lastPosition + 1, state.clock.now() * 1000)
  return state.lastPosition
}

const entryVerbs = (
  state: OutboxState,
): Omit<Outbox, 'takeOutbox' | 'returnOutbox' | 'ring' | 'onOutbox'> => ({
  args: (entries) => entries.flatMap((entry) => [entry.id, nextPlace(state), written('outbox', entry)]),
  nextPlace: () => nextPlace(state),
  leased: (id, p, until) => state.taken.put(id, { p, until }),

  ttlOf: (entries) =>
    Math.max(0, ...entries.map(({ expiresAt }) => expiresAt - state.clock.now())) + TTL_MARGIN_MS.copy,

  partitionOf: (id) => state.taken.get(id)?.p,

  forget(ids) {
    for (const id of ids) state.taken.remove(id)
  },

  async remove(ids) {
    await inCalls(state.redis, byPartition(state, ids), async (groups) => {
      const keys = groups.flatMap(({ p }) => keysOf(state, p))
      const args = groups.flatMap((group) => [group.ids.length, ...group.ids])
      await state.ask(() => state.redis.script(completeScript, keys, args))
      return []
    })
    for (const id of ids) state.taken.remove(id)
  },

  async outboxSize() {
    const sizes = await inCalls(state.redis, ALL, async (partitions) => {
      const keys = partitions.map((p) => state.layout.partition(p).entries)
      return [whole(await state.ask(() => state.redis.script(sizeScript, keys, [])))]
    })
    return sizes.reduce((sum, size) => sum + size, 0)
  },

  // An entry for several accounts lies in the partition of one of them.
  async *outboxEntries() {
    for (const p of ALL) {
      const { entries } = state.layout.partition(p)
      let cursor = '0'
      do {
        const [next, found] = await state.ask(() =>
          state.redis.client.hscan(entries, cursor, 'COUNT', SCAN_COUNT),
        )
        for (let at = 1; at < found.length; at += 2) {
          const entry = parsed('outbox', split(found[at] ?? '')[1])
          if (entry) yield entry
        }
        cursor = next
      } while (cursor !== '0')
    }
  },
})

const leaseVerbs = (state: OutboxState): Pick<Outbox, 'takeOutbox' | 'returnOutbox'> => ({
  async takeOutbox({ limit, now, until }) {
    const found: { position: number; entry: OutboxEntry }[] = []
    const damaged: DamagedRow[] = []
    for (let round = 0; round < MAX_TAKE_ROUNDS && found.length < limit; round++) {
      const there = (await peek(state, now)).filter(({ count }) => count > 0)
      if (there.length === 0) break
      const lots = await inCalls(state.redis, takePlan(there, limit - found.length), async (plan) => {
        const keys = plan.flatMap(([p]) => keysOf(state, p))
        const args = [now, until, ...plan.map(([, count]) => count)]
        const answers = list(await state.ask(() => state.redis.script(takeScript, keys, args)))
        return plan.map(([p], at) => ({ p, lot: list(answers[at]) }))
      })
      let got = 0
      for (const { p, lot } of lots) {
        got += lot.length
        for (const one of lot) {
          const [position, json] = split(text(one))
          const entry = ifWhole(
            () => parsed('outbox', json),
            (error) => void damaged.push(error),
          )
          if (!entry) continue
          state.taken.put(entry.id, { p, until })
          found.push({ position: Number(position), entry })
        }
      }
      // That was all; otherwise others were faster, or there is more.
      if (got === there.reduce((sum, { count }) => sum + count, 0)) break
    }
    // It is leased, too: the others are not held up by it, and it is said when it comes back alone.
    if (found.length === 0 && damaged[0]) throw damaged[0]
    return found.sort((a, b) => a.position - b.position).map(({ entry }) => entry)
  },

  async returnOutbox(ids, returnedAt) {
    // The half marks what was returned, beside what a worker has; it is due at the stated instant all the same.
    const at = returnedAt - 0.5
    await Promise.all(
      byPartition(state, ids).map((group) => {
        const args = group.ids.flatMap((id) => [id, state.taken.get(id)?.until ?? ''])
        return state.ask(() =>
          state.redis.script(returnScript, [state.layout.partition(group.p).held], [at, ...args]),
        )
      }),
    )
    for (const id of ids) {
      const one = state.taken.get(id)
      if (one) state.taken.put(id, { ...one, until: at })
    }
  },
})

const listenerVerbs = (state: OutboxState): Pick<Outbox, 'ring' | 'onOutbox'> => ({
  ring() {
    notifyListeners(state)
    // Once for all that is added in this turn.
    if (state.isRinging) return
    state.isRinging = true
    setImmediate(() => {
      state.isRinging = false
      state.channels.publish([{ channel: WAKE_CHANNEL, text: '' }])
    })
  },

  onOutbox(listener) {
    const own = () => listener()
    state.listeners.add(own)
    // Our own rings come back to us, too; a listener that looks once more finds nothing.
    state.subscription ??= state.channels.listen([WAKE_CHANNEL], () => notifyListeners(state))
    return {
      [Symbol.dispose]: () => {
        state.listeners.delete(own)
        if (state.listeners.size > 0) return
        state.subscription?.[Symbol.dispose]()
        state.subscription = undefined
      },
    }
  },
})

/**
 * The outbox: in each partition the entries, a sorted set of those that are free and one of those that are
 * leased, by when they are free again.
 *
 * Not a stream with a consumer group: a stream counts idle time by the clock of Redis, the same for everybody, and
 * knows neither an entry that may be taken again from a stated instant on, nor one with an id of ours that is there
 * already, nor a return to the old place in the order. Two sorted sets say all of that, one script takes, and a dead
 * worker's entries need no reaper: they are due at `until`, for whoever takes next.
 *
 * Places in the order are microseconds of this process's clock, counted on within a burst; a partition's script raises
 * them so that they grow in it. Across partitions the order is as good as the clocks of the processes.
 */
export const createRedisOutbox = (shared: NotifyDeps): Outbox => {
  const state: OutboxState = {
    ...shared,
    listeners: new Set(),
    taken: createBoundedMap(REMEMBERED_TAKEN_ENTRIES),
    lastPosition: 0,
    isRinging: false,
    subscription: undefined,
  }

  return {
    ...entryVerbs(state),
    ...leaseVerbs(state),
    ...listenerVerbs(state),
  }
}
