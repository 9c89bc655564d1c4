import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayStore, Watch } from '../store.ts'

/** A watch whose refusals in a row weigh so much is gone. */
const MAX_REFUSALS = 20
const NOT_FOUND_STATUSES = new Set([404, 410])
const NOT_FOUND_REFUSALS = 4
/** A watch that failed for so long is gone. */
const MAX_FAILING_MS = 259_200_000

/** How the webhook of a watch is doing; stored with the watch. */
export interface WatchHealth {
  watch: Watch
  refusals: number
  failingSince: number
}

/** Stores how a webhook is doing, and ends its watch when the service does not want to go on. */
export interface Standing {
  answered(health: WatchHealth, status: number): Promise<void>
  /** The address is not one that may be asked. */
  refused(health: WatchHealth): Promise<void>
  /** There was no answer. */
  failed(health: WatchHealth): Promise<void>
}

/** `lasting`: watches that no answer ends. */
export const createStanding = (
  {
    store,
    clock,
    log,
    meter,
  }: { store: Pick<RelayStore, 'changeWatch'>; clock: Clock; log: Log; meter: Meter },
  { lasting }: { lasting: boolean },
): Standing => {
  const end = async ({ watch }: WatchHealth, reason: string): Promise<void> => {
    log.info({ reason }, 'A webhook is told nothing any more')
    meter.count('relay_watches_ended_total')
    await store.changeWatch(watch, 'gone')
  }

  const succeeded = async (health: WatchHealth): Promise<void> => {
    if (lasting || (health.refusals === 0 && health.failingSince === 0)) return
    Object.assign(health, { refusals: 0, failingSince: 0 })
    await store.changeWatch(health.watch, { refusals: 0, failingSince: 0 })
  }

  const failed = async (health: WatchHealth): Promise<void> => {
    if (lasting) return
    const now = clock.now()
    const { failingSince } = health
    if (failingSince > 0 && now - failingSince > MAX_FAILING_MS) return end(health, 'nothing for three days')
    if (failingSince > 0) return
    health.failingSince = now
    await store.changeWatch(health.watch, { failingSince: now })
  }

  const refused = async (health: WatchHealth, weight: number): Promise<void> => {
    if (lasting) return
    health.refusals += weight
    if (health.refusals >= MAX_REFUSALS) return end(health, 'it refused too often')
    await store.changeWatch(health.watch, { refusals: health.refusals })
  }

  return {
    failed,
    refused: (health) => refused(health, 1),
    async answered(health, status) {
      if (status >= 500) return failed(health)
      if (status < 400) return succeeded(health)
      log.info({ status }, 'A webhook does not want an event')
      return refused(health, NOT_FOUND_STATUSES.has(status) ? NOT_FOUND_REFUSALS : 1)
    },
  }
}
