/** Keeps a watch of this client at the relay for as long as the process lives; its name outlives the process. */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { WATCH_ACTS, type WatchStatus, type WatchType } from '../../protocol/relay-watch.ts'
import type { RelayRpc } from './rpc.ts'

export interface WatchWish {
  /** URL of the service, which events are addressed to. */
  service: string
  /** Where they are posted. */
  url: string
  type: WatchType
  tags: readonly number[]
  statuses: readonly WatchStatus[]
}

/** Who signs for a watch, and where it is registered. */
export interface WatchRegistrar {
  sign: RelayRpc['sign']
  /** Rejects with what the relay answered, or with `unavailable`. */
  register(registerAuth: string): Promise<unknown>
}

/** Registers with a relay over HTTP. */
export const registrarAt = ({ sign, call }: RelayRpc): WatchRegistrar => ({
  sign,
  register: (registerAuth) => call('irn_watchRegister', { registerAuth }),
})

export interface WatchKeeper extends Disposable {
  /** Resolves when the relay has the watch; renews it from then on, until disposed of. */
  register(): Promise<void>
  /** The same without waiting for it. */
  begin(): void
}

/** A watch outlives a stop of this server for so long. */
const WATCH_TTL_S = 7 * 86_400
const RENEW_EVERY_MS = 6 * 3_600_000
const RETRY_PAUSE_MS = 5_000

export const createWatchKeeper = (
  deps: { relay: WatchRegistrar; clock: Clock; log: Log },
  { service, url, type, tags, statuses }: WatchWish,
): WatchKeeper => {
  const { relay, clock, log } = deps
  const ending = new AbortController()
  let isRenewing = false

  const once = async (): Promise<void> => {
    const claims = { act: WATCH_ACTS.register, sub: service, whu: url, typ: type, tag: tags, sts: statuses }
    await relay.register(relay.sign(claims, WATCH_TTL_S))
  }

  const renew = async (firstPauseMs: number): Promise<void> => {
    if (isRenewing) return
    isRenewing = true
    for (let pauseMs = firstPauseMs; ; ) {
      await pause(clock, pauseMs, ending.signal)
      if (ending.signal.aborted) return
      try {
        await once()
        pauseMs = RENEW_EVERY_MS
      } catch (err) {
        log.warn({ err }, 'A watch at the relay could not be renewed; trying again')
        pauseMs = RETRY_PAUSE_MS
      }
    }
  }

  return {
    async register() {
      await once()
      void renew(RENEW_EVERY_MS)
    },
    begin: () => void renew(0),
    [Symbol.dispose]: () => ending.abort(),
  }
}
