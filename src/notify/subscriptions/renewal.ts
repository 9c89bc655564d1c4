/**
 * Joining all notify topics again on a relay that forgets, in topic order: a page after the other with a breath in
 * between, so that neither side is held up by a million of them, and with no more than a page in memory.
 *
 * It goes round and round: who asks while it is under way, because the connection broke, gets a whole round from there.
 * Starting over each time would never reach the end on a line that breaks often.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { RelayLink } from '../relay/link.ts'
import type { NotifyStore } from '../store/store.ts'

/** What a relay takes in one batch. */
const PAGE = 500
/** Between two pages, ms: a million topics take nine minutes. */
const BREATH = 250
/** After a failure, ms. */
const RETRY = 5_000

/** Resolves when every topic has been joined since the call, or when the signal comes. */
export type Renew = (signal: AbortSignal) => Promise<void>

interface RenewalRequest {
  hasBegun: boolean
  /** The round ends where it began: behind this topic, or at the end of the order. */
  origin: string | undefined
  /** The end of the order was passed. */
  hasTurned: boolean
  done: () => void
}

export const createRenewal = (deps: {
  store: Pick<NotifyStore, 'topics'>
  relay: Pick<RelayLink, 'subscribe'>
  clock: Clock
  log: Log
}): Renew => {
  const { store, relay, clock, log } = deps
  const requests = new Set<RenewalRequest>()
  /** The last topic that was joined; undefined at the beginning of the order. */
  let at: string | undefined
  let isTurning = false
  let breath = new AbortController()

  const step = async (): Promise<void> => {
    // Whoever asks from here on may have lost what this page joins.
    const present = [...requests]
    for (const request of present) {
      if (!request.hasBegun) request.origin = at
      request.hasBegun = true
    }
    const page = await store.topics({ limit: PAGE, ...(at !== undefined && { after: at }) })
    if (page.length > 0) await relay.subscribe(page)
    const isEnd = page.length < PAGE
    at = isEnd ? undefined : page.at(-1)
    for (const request of present) {
      const { origin } = request
      if (isEnd) {
        if (request.hasTurned || origin === undefined) request.done()
        request.hasTurned = true
      } else if (request.hasTurned && origin !== undefined && at !== undefined && at >= origin) request.done()
    }
  }

  const turn = async (): Promise<void> => {
    if (isTurning) return
    isTurning = true
    while (requests.size > 0) {
      breath = new AbortController()
      try {
        await step()
        if (requests.size > 0) await pause(clock, BREATH, breath.signal)
      } catch (err) {
        if (requests.size === 0) break
        log.warn({ err }, 'Topics could not be renewed; trying again')
        await pause(clock, RETRY, breath.signal)
      }
    }
    isTurning = false
  }

  return (signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const request: RenewalRequest = {
        hasBegun: false,
        origin: undefined,
        hasTurned: false,
        done() {
          signal.removeEventListener('abort', request.done)
          requests.delete(request)
          if (requests.size === 0) breath.abort()
          resolve()
        },
      }
      signal.addEventListener('abort', request.done, { once: true })
      requests.add(request)
      void turn()
    })
}
