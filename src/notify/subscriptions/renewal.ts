/**
 * Joins all notify topics again on a relay that forgets, in topic order: page after page with a pause between them, so
 * that a million topics block neither side and only a page is in memory.
 *
 * The rounds are endless: a request that comes during a round, because the connection broke, gets a whole round from that
 * point. Starting over each time would never reach the end on a connection that breaks often.
 */
import { invariant } from '../../platform/invariant.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { RelayLink } from '../relay/link.ts'
import type { NotifyStore } from '../store/store.ts'

/** A relay takes as many in one batch. */
const TOPIC_PAGE_SIZE = 500
/** Between two pages: a million topics take nine minutes. */
const PAGE_PAUSE_MS = 250
const RETRY_AFTER_MS = 5_000

/** Resolves when every topic has been joined since the call, or when the signal comes. */
export type Renew = (signal: AbortSignal) => Promise<void>

interface RenewalRequest {
  hasBegun: boolean
  /** The round ends where it began: behind this topic, or at the end of the order. */
  origin: string | undefined
  /** The end of the order was passed. */
  hasPassedEnd: boolean
  done: () => void
}

/** After a page: ends the request when its round has come back to where it began. */
const advance = (request: RenewalRequest, isEnd: boolean, at: string | undefined): void => {
  const { origin } = request
  if (isEnd) {
    if (request.hasPassedEnd || origin === undefined) request.done()
    request.hasPassedEnd = true
  } else if (request.hasPassedEnd && origin !== undefined && at !== undefined && at >= origin) request.done()
}

export const createRenewal = (deps: {
  store: Pick<NotifyStore, 'topics'>
  relay: Pick<RelayLink, 'subscribe'>
  clock: Clock
  log: Log
}): Renew => {
  const { store, relay, clock, log } = deps
  const requests = new Set<RenewalRequest>()
  /** The topic that was joined last; undefined at the beginning of the order. */
  let at: string | undefined
  let isRunning = false
  let pageAbort = new AbortController()

  const step = async (): Promise<void> => {
    // A request that comes after this line may have lost what this page joins.
    const present = [...requests]
    for (const request of present) {
      if (!request.hasBegun) request.origin = at
      request.hasBegun = true
    }
    const page = await store.topics({ limit: TOPIC_PAGE_SIZE, ...(at !== undefined && { after: at }) })
    if (page.length > 0) await relay.subscribe(page)
    invariant(page.length === 0 || page[0] !== at, 'A page of topics begins behind its cursor')
    const isEnd = page.length < TOPIC_PAGE_SIZE
    at = isEnd ? undefined : page.at(-1)
    for (const request of present) advance(request, isEnd, at)
  }

  const run = async (): Promise<void> => {
    if (isRunning) return
    isRunning = true
    while (requests.size > 0) {
      pageAbort = new AbortController()
      try {
        await step()
        if (requests.size > 0) await pause(clock, PAGE_PAUSE_MS, pageAbort.signal)
      } catch (err) {
        if (requests.size === 0) break
        log.warn({ err }, 'Topics could not be renewed; trying again')
        await pause(clock, RETRY_AFTER_MS, pageAbort.signal)
      }
    }
    isRunning = false
  }

  return (signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const request: RenewalRequest = {
        hasBegun: false,
        origin: undefined,
        hasPassedEnd: false,
        done() {
          signal.removeEventListener('abort', request.done)
          requests.delete(request)
          if (requests.size === 0) pageAbort.abort()
          resolve()
        },
      }
      signal.addEventListener('abort', request.done, { once: true })
      requests.add(request)
      void run()
    })
}
