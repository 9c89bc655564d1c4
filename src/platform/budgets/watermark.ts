/**
 * Watches how full the store is and whether it takes writes. The state budget asks `level()` before something new of
 * a stranger is kept; acknowledgements, deletions and what the house itself writes go on at every level.
 *
 * | level  | when                                                                      |
 * |--------|---------------------------------------------------------------------------|
 * | `ok`   | otherwise                                                                 |
 * | `high` | less is free than the reserve                                             |
 * | `full` | less than a quarter of the reserve is free, or the last write has failed  |
 *
 * The reserve of a disk is a tenth of it, 1 GiB at most; that of Redis a fifth of `maxmemory`. After a failed write the
 * store counts as full until a write of the monitor's own succeeds, which is tried every second. It is tried while the
 * store is full for want of room, too: strangers are refused then, and nobody else might find out that writes fail.
 */
import { type Clock, pause } from '../runtime/clock.ts'
import type { Log, Meter } from '../telemetry.ts'

export type PressureLevel = 'ok' | 'high' | 'full'

/** What an engine may fill, and how much of that is free. */
export interface Space {
  kind: 'disk' | 'memory'
  totalBytes: number
  freeBytes: number
}

/** What the monitor asks of an engine. */
export interface StoreSpace {
  /** Of a Cluster: its fullest master. Rejects while the engine does not answer. */
  measure(): Promise<Space>
  /** Writes something of ordinary size durably and removes it. */
  tryWrite(): Promise<void>
  /** Calls the listener for each write that the engine refuses, with the reason as a sentence for operators. */
  onFailedWrite(listener: (reason: string) => void): Disposable
}

export interface Watermark extends AsyncDisposable {
  level(): PressureLevel
  /** Why the last write failed, as a sentence; undefined once one has succeeded again. */
  trouble(): string | undefined
}

export interface Reserves {
  /** Part of Redis' memory above which it is nearly full, 0 to 1. */
  memoryRatio: number
  /** Free bytes of the disk below which it is nearly full; default: a tenth of it, 1 GiB at most. */
  diskBytes: number | undefined
}

const MAX_DISK_RESERVE_BYTES = 1024 ** 3
const DISK_RESERVE_RATIO = 0.1
/** Part of the reserve below which the store is full. */
const FULL_RATIO = 0.25
/** A level is left again only when so much more than its mark is free, so that it does not change with every message. */
const LEAVE_RATIO = 1.1

const PROBE_INTERVAL_MS = 1_000
/** While less than twice the reserve is free: a stranger fills 25 MiB a second. */
const PROBE_INTERVAL_NEAR_MS = 250
/** The same sentence is logged once in so long. */
const MIN_REPORT_INTERVAL_MS = 10_000

export const reserveOf = ({ kind, totalBytes }: Space, { memoryRatio, diskBytes }: Reserves): number =>
  kind === 'memory'
    ? totalBytes * (1 - memoryRatio)
    : (diskBytes ?? Math.min(MAX_DISK_RESERVE_BYTES, totalBytes * DISK_RESERVE_RATIO))

const levelAt = (freeBytes: number, reserve: number, before: PressureLevel): PressureLevel => {
  const full = reserve * FULL_RATIO
  if (freeBytes < (before === 'full' ? full * LEAVE_RATIO : full)) return 'full'
  return freeBytes < (before === 'ok' ? reserve : reserve * LEAVE_RATIO) ? 'high' : 'ok'
}

const SENTENCES: Record<PressureLevel, string> = {
  ok: 'The store has room again',
  high: 'The store is nearly full: nothing of strangers that lasts is kept until there is room',
  full: 'The store is almost full: nothing of strangers is kept until there is room',
}

/** One sentence a change, and not the same one again and again when the level swings. */
const createTeller = ({ clock, log }: { clock: Clock; log: Log }) => {
  const quietUntil = new Map<string, number>()
  return (level: 'info' | 'warn' | 'error', fields: Record<string, unknown>, sentence: string): void => {
    const now = clock.now()
    if (now < (quietUntil.get(sentence) ?? 0)) return
    quietUntil.set(sentence, now + MIN_REPORT_INTERVAL_MS)
    log[level](fields, sentence)
  }
}

/** Begins at once. */
export const createWatermark = (
  deps: { space: StoreSpace; clock: Clock; log: Log; meter: Meter },
  reserves: Reserves,
): Watermark => {
  const { space, clock, meter } = deps
  const tell = createTeller(deps)
  const ending = new AbortController()
  let filled: PressureLevel = 'ok'
  let trouble: string | undefined
  let isNear = false

  const level = (): PressureLevel => (trouble === undefined ? filled : 'full')
  const showLevel = () => meter.gauge('store_pressure', ['ok', 'high', 'full'].indexOf(level()))

  const listening = space.onFailedWrite((reason) => {
    if (trouble !== reason) tell('error', { reason }, 'The store does not take writes')
    trouble = reason
    showLevel()
  })

  const measure = async (): Promise<void> => {
    const found = await space.measure()
    const { totalBytes, freeBytes } = found
    const reserve = reserveOf(found, reserves)
    const usedRatio = totalBytes > 0 ? 1 - freeBytes / totalBytes : 0
    const next = levelAt(freeBytes, reserve, filled)
    if (next !== filled) tell(next === 'ok' ? 'info' : 'warn', { usedRatio, freeBytes }, SENTENCES[next])
    filled = next
    isNear = freeBytes < reserve * 2
    meter.gauge('store_used_ratio', usedRatio)
    meter.gauge('store_free_bytes', freeBytes)
    showLevel()
  }

  const probe = async (): Promise<void> => {
    await space.tryWrite()
    if (trouble === undefined) return
    trouble = undefined
    tell('info', {}, 'The store takes writes again')
    showLevel()
  }

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      // An engine that does not answer is told of by whoever needs it; the level stays.
      await measure().catch(() => {})
      if (level() === 'full') await probe().catch(() => {})
      await pause(
        clock,
        isNear && level() !== 'full' ? PROBE_INTERVAL_NEAR_MS : PROBE_INTERVAL_MS,
        ending.signal,
      )
    }
  }
  const running = run()

  return {
    level,
    trouble: () => trouble,
    async [Symbol.asyncDispose]() {
      ending.abort()
      listening[Symbol.dispose]()
      await running
    },
  }
}
