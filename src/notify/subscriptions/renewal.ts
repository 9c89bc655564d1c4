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

interface Asked {
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
  const asking = new Set<Asked>()
  /** The last topic that was joined; undefined at the beginning of the order. */
  let at: string | undefined
  let isTurning = false
  let breath = new AbortController()

  const step = async (): Promise<void> => {
    // Whoever asks from here on may have lost what this page joins.
    const present = [...asking]
    for (const asked of present) {
      if (!asked.hasBegun) asked.origin = at
      asked.hasBegun = true
    }
    const page = await store.topics({ limit: PAGE, ...(at !== undefined && { after: at }) })
    if (page.length > 0) await relay.subscribe(page)
    const isEnd = page.length < PAGE
    at = isEnd ? undefined : page.at(-1)
    for (const asked of present) {
      const { origin } = asked
      if (isEnd) {
        if (asked.hasTurned || origin === undefined) asked.done()
        asked.hasTurned = true
      } else if (asked.hasTurned && origin !== undefined && at !== undefined && at >= origin) asked.done()
    }
  }

  const turn = async (): Promise<void> => {
    if (isTurning) return
    isTurning = true
    while (asking.size > 0) {
      breath = new AbortController()
      try {
        await step()
        if (asking.size > 0) await pause(clock, BREATH, breath.signal)
      } catch (err) {
        if (asking.size === 0) break
        log.warn({ err }, 'Topics could not be renewed; trying again')
        await pause(clock, RETRY, breath.signal)
      }
    }
    isTurning = false
  }

  return (signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const asked: Asked = {
        hasBegun: false,
        origin: undefined,
        hasTurned: false,
        done() {
          signal.removeEventListener('abort', asked.done)
          asking.delete(asked)
          if (asking.size === 0) breath.abort()
          resolve()
        },
      }
      signal.addEventListener('abort', asked.done, { once: true })
      asking.add(asked)
      void turn()
    })
}
