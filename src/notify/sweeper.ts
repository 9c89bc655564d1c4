/**
 * Removes what has expired: subscriptions (their topics are left on the relay), watchers, notifications, request ids and
 * former keys. Nothing depends on the sweep: what has expired counts for nothing before it is swept.
 */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Rotation } from './apps/rotation.ts'
import type { LeaderTask } from './leader-task.ts'
import type { NotifyStore } from './store/store.ts'
import type { NotifyService } from './subscriptions/service.ts'

const SWEEP_INTERVAL_MS = 60_000
const ACCOUNT_BATCH_SIZE = 100
const ROW_BATCH_SIZE = 1_000

export const createSweeper = (deps: {
  store: NotifyStore
  service: Pick<NotifyService, 'expire'>
  rotation: Pick<Rotation, 'sweep'>
  leaderTask: LeaderTask
  clock: Clock
  log: Log
  meter: Meter
}): AsyncDisposable => {
  const { store, service, rotation, leaderTask, clock, log, meter } = deps

  const sweepAccounts = async (signal: AbortSignal): Promise<void> => {
    const tried = new Set<string>()
    while (!signal.aborted) {
      const due = await store.accountsDue(clock.now(), ACCOUNT_BATCH_SIZE)
      // An account that is still due after its sweep waits for the next round.
      const fresh = due.filter((accountKey) => !tried.has(accountKey))
      for (const accountKey of fresh) {
        if (signal.aborted) return
        tried.add(accountKey)
        await service.expire(accountKey).catch((err) => {
          if (err instanceof ProtocolError && err.code === 'unavailable') throw err
          // One that is damaged must not hold up those that are due after it.
          log.error({ err }, 'An account was not swept; the next sweep tries again')
        })
      }
      meter.count('notify_swept_total', { kind: 'account' }, fresh.length)
      if (due.length < ACCOUNT_BATCH_SIZE || fresh.length === 0) return
    }
  }

  const sweepRows = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const swept = await store.sweep(clock.now(), ROW_BATCH_SIZE)
      meter.count('notify_swept_total', { kind: 'row' }, swept)
      if (swept < ROW_BATCH_SIZE) return
    }
  }

  // A start is busy enough; a process that becomes leader later sweeps at once.
  const first = clock.now() + SWEEP_INTERVAL_MS
  return leaderTask(async (signal) => {
    if (clock.now() < first) await pause(clock, first - clock.now(), signal)
    while (!signal.aborted) {
      for (const sweep of [sweepAccounts, sweepRows, rotation.sweep]) {
        await sweep(signal).catch((err) =>
          log.error({ err }, 'A sweep was not finished; the next one goes on'),
        )
      }
      await pause(clock, SWEEP_INTERVAL_MS, signal)
    }
  })
}
