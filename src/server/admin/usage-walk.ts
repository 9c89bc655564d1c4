/**
 * Who holds how much of the store: a walk over its tables, page by page, with a pause after each, one walk at a time and
 * bounded in time. What it says is about right: others write meanwhile, and of very many owners it forgets the smallest.
 * What counts for whom is in `usage-views`.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Transfer } from '../../storage/transfer/transfer.ts'
import { COUNTED, type CountedTable, type Share } from './usage-views.ts'

export interface UsageRow {
  owner: string
  rows: number
  bytes: number
}

export interface UsageTable {
  room: string
  what: string
  by: string
  rows: number
  bytes: number
  /** How many owners were seen; at least so many when `isRough`. */
  owners: number
  /** There were more owners than are counted one by one: the smallest were forgotten. */
  isRough: boolean
  /** Those who hold most, first. */
  top: UsageRow[]
}

export interface UsageState {
  isRunning: boolean
  /** What is being looked at. */
  table: string | null
  seen: number
  /** False while it runs, and when the time was over before everything was looked at. */
  isComplete: boolean
  error: string | null
  tables: UsageTable[]
}

export interface Usage extends AsyncDisposable {
  /** Begins unless a walk is under way. */
  begin(): void
  /** With the `top` largest owners of each table. */
  state(top: number): UsageState
}

/** For so long a walk goes on at most, ms. */
const MAX_WALK_MS = 10 * 60_000
/** Between two pages, ms: those who are served go first. */
const BETWEEN_PAGES_MS = 10
/** Owners that are counted one by one. */
const MAX_OWNERS = 20_000
export const MAX_TOP = 1_000

/** Sums by owner in bounded memory: when there are too many, the smaller half is forgotten. */
const createTally = (meta: { room: string; what: string; by: string }) => {
  const held = new Map<string, UsageRow>()
  let rows = 0
  let bytes = 0
  let isRough = false
  const largest = () => [...held.values()].sort((a, b) => b.bytes - a.bytes || b.rows - a.rows)
  return {
    add(share: Share): void {
      const { owner, rows: count = 1 } = share
      const own = held.get(owner) ?? { owner, rows: 0, bytes: 0 }
      own.rows += count
      own.bytes += share.bytes
      held.set(owner, own)
      rows += count
      bytes += share.bytes
      if (held.size <= MAX_OWNERS) return
      isRough = true
      for (const { owner: small } of largest().slice(MAX_OWNERS / 2)) held.delete(small)
    },
    table: (top: number): UsageTable => ({
      ...{ room: meta.room, what: meta.what, by: meta.by },
      ...{ rows, bytes, owners: held.size, isRough, top: largest().slice(0, top) },
    }),
  }
}

export const createUsage = (deps: { transfer: Pick<Transfer, 'read'>; clock: Clock; log: Log }): Usage => {
  const { transfer, clock, log } = deps
  const ending = new AbortController()
  let state: Omit<UsageState, 'tables'> = {
    ...{ isRunning: false, table: null, seen: 0, isComplete: false, error: null },
  }
  let tallies: ReturnType<typeof createTally>[] = []
  let running: Promise<void> = Promise.resolve()

  /** False when the time is over. */
  const walk = async ({ table, views, pages }: CountedTable, until: number): Promise<boolean> => {
    state = { ...state, table }
    const own = views.map(createTally)
    tallies.push(...own)
    for await (const shares of pages(transfer, clock.now())) {
      for (const [at, some] of shares.entries()) for (const share of some) own[at]?.add(share)
      state = { ...state, seen: state.seen + (shares[0]?.length ?? 0) }
      if (ending.signal.aborted || clock.now() > until) return false
      await pause(clock, BETWEEN_PAGES_MS, ending.signal)
    }
    return true
  }

  const run = async (): Promise<void> => {
    const until = clock.now() + MAX_WALK_MS
    for (const table of COUNTED) if (!(await walk(table, until))) return
    state = { ...state, isComplete: true }
  }

  return {
    begin() {
      if (state.isRunning) return
      state = { isRunning: true, table: null, seen: 0, isComplete: false, error: null }
      tallies = []
      running = run()
        .catch((err: unknown) => {
          log.error({ err }, 'What the store holds could not be counted')
          state = { ...state, error: err instanceof Error ? err.message : 'it failed' }
        })
        .finally(() => {
          state = { ...state, isRunning: false, table: null }
        })
    },
    state: (top) => ({ ...state, tables: state.isRunning ? [] : tallies.map(({ table }) => table(top)) }),
    async [Symbol.asyncDispose]() {
      ending.abort()
      await running
    },
  }
}
