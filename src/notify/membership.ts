/**
 * Being on the right topics of the relay: the server's own, every app's, and (by the outbox) every subscription's.
 *
 * A relay like ours keeps them for the client id; they are joined once. On a relay that forgets, all of them, notify
 * topics too, are joined again from time to time, a page after the other so that neither side is held up.
 */
import { type Clock, pause } from '../platform/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { RelayLink } from './relay-link.ts'
import type { NotifyStore } from './store.ts'

const PAGE = 500
/** Between two pages of a renewal, ms. */
const BREATH = 250
/** Between the end of a renewal and the next, ms. */
const RENEWAL = 6 * 3_600_000
/** After a failure, ms. */
const RETRY = 5_000

export interface Membership extends AsyncDisposable {
  /** Subscribes to the topic; resolves when the relay has it. */
  join(topic: string): Promise<void>
  /** Resolves when requests can come: the server's and all apps' topics are joined. */
  ready(): Promise<void>
  readonly isReady: boolean
}

export const createMembership = (
  deps: {
    store: Pick<NotifyStore, 'apps' | 'topics'>
    relay: Pick<RelayLink, 'ready' | 'subscribe'>
    clock: Clock
    log: Log
  },
  options: { serverTopic: string; renew: boolean },
): Membership => {
  const { store, relay, clock, log } = deps
  const ending = new AbortController()
  let isReady = false
  let settle = { resolve: () => {}, reject: (_: unknown) => {} }
  const joined = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  joined.catch(() => {})

  const joinRequestTopics = async (): Promise<void> => {
    await relay.ready()
    await relay.subscribe([options.serverTopic])
    for (let after: string | undefined; ; ) {
      const page = await store.apps({ limit: PAGE, ...(after !== undefined && { after }) })
      if (page.length > 0) await relay.subscribe(page.map(({ subscribeTopic }) => subscribeTopic))
      after = page.at(-1)?.domain
      if (page.length < PAGE) return
    }
  }

  const joinNotifyTopics = async (): Promise<void> => {
    for (let after: string | undefined; !ending.signal.aborted; ) {
      const page = await store.topics({ limit: PAGE, ...(after !== undefined && { after }) })
      if (page.length > 0) await relay.subscribe(page)
      after = page.at(-1)
      if (page.length < PAGE) return
      await pause(clock, BREATH, ending.signal)
    }
  }

  const untilDone = async (work: () => Promise<void>): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        return await work()
      } catch (err) {
        if (ending.signal.aborted) return
        log.warn({ err }, 'Topics could not be joined; trying again')
        await pause(clock, RETRY, ending.signal)
      }
    }
  }

  const run = async (): Promise<void> => {
    await untilDone(joinRequestTopics)
    if (ending.signal.aborted) return
    isReady = true
    settle.resolve()
    while (options.renew && !ending.signal.aborted) {
      await untilDone(joinNotifyTopics)
      await pause(clock, RENEWAL, ending.signal)
      await untilDone(joinRequestTopics)
    }
  }
  const running = run()

  return {
    join: (topic) => relay.subscribe([topic]),
    ready: () => joined,
    get isReady() {
      return isReady
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      settle.reject(new Error('The notify server was closed before it was ready'))
      await running
    },
  }
}
