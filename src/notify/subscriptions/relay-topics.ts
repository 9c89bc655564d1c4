/**
 * Being on the right topics of the relay: the server's own, every app's, and (by the outbox) every subscription's.
 *
 * A relay like ours keeps them for the client id; they are joined once. On one that forgets, all of them are joined
 * again: by every process that lost its connection, since what it had joined may be gone with it, and from time to time
 * by the process on duty. Request topics come first; how notify topics are joined is in `renewal`.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { LeaderTask } from '../leader-task.ts'
import type { RelayLink } from '../relay/link.ts'
import type { NotifyStore } from '../store/store.ts'
import { createRenewal } from './renewal.ts'

const PAGE = 500
/** Their names are public, and what waits there is for the notify server alone. */
const REQUEST_TOPICS = { exclusive: true }
/** Between the end of a renewal and the next, ms. */
const RENEWAL = 6 * 3_600_000
/** After a failure, ms. */
const RETRY = 5_000

export interface RelayTopics extends AsyncDisposable {
  /** Subscribes to a request topic; resolves when the relay has it. */
  join(topic: string): Promise<void>
  /** Resolves when requests can come: the server's and all apps' topics are joined. */
  ready(): Promise<void>
  readonly isReady: boolean
}

export const createRelayTopics = (
  deps: {
    store: Pick<NotifyStore, 'apps' | 'topics'>
    relay: Pick<RelayLink, 'connected' | 'ready' | 'subscribe' | 'onConnectionChange'>
    leaderTask: LeaderTask
    clock: Clock
    log: Log
  },
  options: { serverTopics: () => string[]; renew: boolean },
): RelayTopics => {
  const { store, relay, leaderTask, clock, log } = deps
  const ending = new AbortController()
  let isReady = false
  let settle = { resolve: () => {}, reject: (_: unknown) => {} }
  const joined = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  joined.catch(() => {})

  const joinAll = async (signal: AbortSignal): Promise<void> => {
    await relay.ready()
    await relay.subscribe(options.serverTopics(), REQUEST_TOPICS)
    for (let after: string | undefined; !signal.aborted; ) {
      const page = await store.apps({ limit: PAGE, ...(after !== undefined && { after }) })
      const topics = page.flatMap(({ subscribeTopic, previousKeys = [] }) => [
        subscribeTopic,
        ...previousKeys.map((keys) => keys.subscribeTopic),
      ])
      for (let at = 0; at < topics.length; at += PAGE)
        await relay.subscribe(topics.slice(at, at + PAGE), REQUEST_TOPICS)
      after = page.at(-1)?.domain
      if (page.length < PAGE) return
    }
  }

  const joinRequestTopics = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await joinAll(signal)
      } catch (err) {
        if (signal.aborted) return
        log.warn({ err }, 'Topics could not be joined; trying again')
        await pause(clock, RETRY, signal)
      }
    }
  }

  const start = async (): Promise<void> => {
    await joinRequestTopics(ending.signal)
    if (ending.signal.aborted) return
    isReady = true
    settle.resolve()
  }
  const running = start()

  const keepUp = (): AsyncDisposable => {
    const renew = createRenewal({ store, relay, clock, log })
    const duty = leaderTask(async (signal) => {
      await running
      while (!signal.aborted) {
        await joinRequestTopics(signal)
        await renew(signal)
        await pause(clock, RENEWAL, signal)
      }
    })
    let wasConnected = relay.connected
    let lost = new AbortController()
    const connection = relay.onConnectionChange(() => {
      lost.abort()
      if (!relay.connected) return
      if (wasConnected) {
        lost = new AbortController()
        const { signal } = lost
        void joinRequestTopics(signal).then(() => renew(signal))
      }
      wasConnected = true
    })
    return {
      async [Symbol.asyncDispose]() {
        connection[Symbol.dispose]()
        lost.abort()
        await duty[Symbol.asyncDispose]()
      },
    }
  }
  const kept = options.renew ? keepUp() : undefined

  return {
    join: (topic) => relay.subscribe([topic], REQUEST_TOPICS),
    ready: () => joined,
    get isReady() {
      return isReady
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      settle.reject(new Error('The notify server was closed before it was ready'))
      await Promise.all([running, kept?.[Symbol.asyncDispose]()])
    },
  }
}
