/**
 * Subscribes the server to its topics on the relay: its own, those of all apps, and (by the outbox) those of all
 * subscriptions.
 *
 * A relay like ours keeps subscriptions for the client id, so each topic is joined once. On a relay that forgets, all
 * topics are joined again: by every process that lost its connection, and from time to time by the leader. Request topics
 * come first; `renewal` joins the notify topics.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { HOUR_MS } from '../../platform/units.ts'
import type { LeaderTask } from '../leader-task.ts'
import { pagesOf } from '../pages.ts'
import type { RelayLink } from '../relay/link.ts'
import type { NotifyStore } from '../store/store.ts'
import { createRenewal, type Renew } from './renewal.ts'

/** Apps read, and topics joined, at once. */
const TOPIC_BATCH_SIZE = 500
/** The names of request topics are public, and their messages are for the notify server alone. */
const REQUEST_TOPICS = { exclusive: true }
/** Between the end of a renewal and the next. */
const RENEWAL_INTERVAL_MS = 6 * HOUR_MS
const RETRY_AFTER_MS = 5_000

export interface RelayTopics extends AsyncDisposable {
  /** Subscribes to a request topic; resolves when the relay has it. */
  join(topic: string): Promise<void>
  /** Resolves when requests can come: the server's and all apps' topics are joined. */
  ready(): Promise<void>
  readonly isReady: boolean
}

interface Deps {
  store: Pick<NotifyStore, 'apps' | 'topics'>
  relay: Pick<RelayLink, 'connected' | 'ready' | 'subscribe' | 'onConnectionChange'>
  leaderTask: LeaderTask
  clock: Clock
  log: Log
}

/** Joins the server's and all apps' request topics; tries until it succeeds, or until the signal. */
const createJoinRequestTopics = (
  { store, relay, clock, log }: Omit<Deps, 'leaderTask'>,
  serverTopics: () => string[],
) => {
  const joinAll = async (signal: AbortSignal): Promise<void> => {
    await relay.ready()
    await relay.subscribe(serverTopics(), REQUEST_TOPICS)
    for await (const page of pagesOf(
      TOPIC_BATCH_SIZE,
      (page) => store.apps(page),
      (app) => app.domain,
    )) {
      const topics = page.flatMap(({ subscribeTopic, previousKeys = [] }) => [
        subscribeTopic,
        ...previousKeys.map((keys) => keys.subscribeTopic),
      ])
      for (let at = 0; at < topics.length; at += TOPIC_BATCH_SIZE)
        await relay.subscribe(topics.slice(at, at + TOPIC_BATCH_SIZE), REQUEST_TOPICS)
      if (signal.aborted) return
    }
  }

  return async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await joinAll(signal)
      } catch (err) {
        if (signal.aborted) return
        log.warn({ err }, 'Topics could not be joined; trying again')
        await pause(clock, RETRY_AFTER_MS, signal)
      }
    }
  }
}

/** Joins all topics again, after a lost connection and from time to time. */
const createRejoining = (
  { relay, leaderTask, clock }: Pick<Deps, 'relay' | 'leaderTask' | 'clock'>,
  {
    running,
    joinRequestTopics,
    renew,
  }: { running: Promise<void>; joinRequestTopics: (signal: AbortSignal) => Promise<void>; renew: Renew },
): AsyncDisposable => {
  const task = leaderTask(async (signal) => {
    await running
    while (!signal.aborted) {
      await joinRequestTopics(signal)
      await renew(signal)
      await pause(clock, RENEWAL_INTERVAL_MS, signal)
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
      await task[Symbol.asyncDispose]()
    },
  }
}

export const createRelayTopics = (
  deps: Deps,
  options: { serverTopics: () => string[]; renew: boolean },
): RelayTopics => {
  const { store, relay, clock, log } = deps
  const ending = new AbortController()
  let isReady = false
  let readiness = { resolve: () => {}, reject: (_: unknown) => {} }
  const joined = new Promise<void>((resolve, reject) => {
    readiness = { resolve, reject }
  })
  joined.catch(() => {})
  const joinRequestTopics = createJoinRequestTopics({ store, relay, clock, log }, options.serverTopics)

  const start = async (): Promise<void> => {
    await joinRequestTopics(ending.signal)
    if (ending.signal.aborted) return
    isReady = true
    readiness.resolve()
  }
  const running = start()
  const rejoining = options.renew
    ? createRejoining(deps, {
        running,
        joinRequestTopics,
        renew: createRenewal({ store, relay, clock, log }),
      })
    : undefined

  return {
    join: (topic) => relay.subscribe([topic], REQUEST_TOPICS),
    ready: () => joined,
    get isReady() {
      return isReady
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      readiness.reject(new Error('The notify server was closed before it was ready'))
      await Promise.all([running, rejoining?.[Symbol.asyncDispose]()])
    },
  }
}
