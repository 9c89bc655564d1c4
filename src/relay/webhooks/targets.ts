/**
 * The webhooks that this process posts to now: one POST at a time for each watch, and what waits meanwhile goes out
 * together with the next. A webhook that failed is left alone until its pause is over, with all that waits for it. A watch
 * ends when its service does not want it any more:
 *
 * | answer                       | for the events  | for the watch                                              |
 * |------------------------------|-----------------|------------------------------------------------------------|
 * | 2xx, 3xx                     | told            | well: earlier refusals and failures are forgotten          |
 * | 404, 410                     | told, unwanted  | gone after five in a row                                   |
 * | other 4xx, address not asked | told, unwanted  | gone after twenty in a row                                 |
 * | 5xx, none within 10 s        | tried again     | gone when nothing was answered well for three days         |
 */

import { HostNotAsked } from '../../platform/net/host-gate.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { WATCH_ACTS } from '../../protocol/relay-watch.ts'
import type { RelayStore, StoredMessage, Watch } from '../store.ts'
import { type WatchEvents, watchDigest } from './registrations.ts'

/**
 * One POST, no redirects followed. Resolves with any answer; rejects when there was none, with ProtocolError `forbidden`
 * when the address is not one that may be asked, with `HostNotAsked` when its host is to be left alone.
 */
export type Post = (
  url: string,
  request: {
    headers: Record<string, string>
    body: string
    milliseconds: number
    bytes: number
    signal?: AbortSignal | undefined
    owner: string
  },
) => Promise<{ status: number }>

/** Events for one watch that this process holds at a time: all of them are posted before their leases end. */
const PER_TARGET = 512
/** What one POST carries: events, and characters of their messages. */
const POST_EVENTS = 64
const POST_CHARACTERS = 512 * 1024
/** Messages that are looked up at once for it. */
const LOOK_UP = 16
const TIMEOUT = 10_000
const ANSWER_BYTES = 64 * 1024
export const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 300_000
/** Between two tries of what there is no room for, ms. */
const NO_ROOM = 500
/** How long an event's signature is good for, s. */
const GOOD_FOR = 300
/** A watch whose refusals weigh so much is gone. */
const MAX_REFUSALS = 20
const NOT_THERE = new Set([404, 410])
const NOT_THERE_WEIGHS = 4
/** A watch that did not once work for so long is gone, ms. */
const FAILING_FOR = 259_200_000

export const pauseAfter = (attempts: number): number =>
  Math.min(FIRST_PAUSE * 2 ** Math.min(attempts - 1, 20), LONGEST_PAUSE)

type Named = WatchEvents['messages'][number]
/** `later`: it was not tried. */
export type Fate = 'answered' | 'failed' | 'later'

/** One event that waits for its turn. Its message is looked up when that has come. */
interface Item {
  events: WatchEvents
  named: Named
  attempts: number
  settle: (fate: Fate) => void
}
type Ready = Item & { message: StoredMessage }

interface Target {
  watch: Watch
  waiting: Item[]
  /** Looked up, and no room for in the last POST. */
  ready: Ready[]
  held: number
  isBusy: boolean
  restsUntil: number
  refusals: number
  failingSince: number
}

export interface WatchTargetsDeps {
  store: Pick<RelayStore, 'message' | 'pending' | 'changeWatch'>
  key: SigningKey
  post: Post
  clock: Clock
  log: Log
  meter: Meter
}

/** `lasting`: watches that no answer ends. */
export const createWatchTargets = (deps: WatchTargetsDeps, { lasting }: { lasting: boolean }) => {
  const { store, key, post, clock, log, meter } = deps
  const targets = new Map<string, Target>()

  const allWait = async ({ topic, id, seq, waiters = [] }: Named): Promise<boolean> => {
    for (const clientId of waiters) {
      const page = { after: seq - 1, limit: 1, maxBytes: 1, now: clock.now() }
      const [first] = (await store.pending(clientId, topic, page)).messages
      if (first?.id !== id) return false
    }
    return true
  }

  const claimsFor = ({ clientId, service, type, url }: Watch, act: string) => {
    const iat = Math.floor(clock.now() / 1000)
    const about = { act, iss: key.did, aud: service, sub: clientId, typ: type, whu: url }
    return { ...about, iat, exp: iat + GOOD_FOR }
  }

  const sign = (watch: Watch, { events: { status, at }, message }: Ready): string => {
    const { topic, message: text, publishedAt, tag, attestation, id: messageId } = message
    const evt = { messageId, status, topic, message: text, publishedAt, tag, attestation, at }
    return signJwt({ ...claimsFor(watch, WATCH_ACTS.event), evt }, key)
  }

  const send = (watch: Watch, eventAuth: readonly string[], signal: AbortSignal, authorization?: string) =>
    post(watch.url, {
      headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
      body: JSON.stringify({ eventAuth }),
      ...{ milliseconds: TIMEOUT, bytes: ANSWER_BYTES, signal, owner: watch.clientId },
    })

  /** The message, if there is still something to tell. */
  const lookUp = async ({ watch }: Target, item: Item): Promise<Ready[]> => {
    const { named, attempts, settle } = item
    const message = await store.message(named.topic, named.id, clock.now())
    const isWanted = message && watch.tags.includes(message.tag)
    if (isWanted && (attempts > 0 || !named.waiters || (await allWait(named)))) return [{ ...item, message }]
    settle('answered')
    return []
  }

  /** What waits for the webhook, from the front on, as much as goes into one POST. */
  const nextBatch = async (target: Target): Promise<Ready[]> => {
    const { ready, waiting } = target
    let count = 0
    for (let characters = 0; count < POST_EVENTS; ) {
      const next = ready[count]
      if (next) {
        characters += next.message.message.length + next.message.attestation.length
        if (count > 0 && characters > POST_CHARACTERS) break
        count++
      } else {
        const some = waiting.slice(0, LOOK_UP)
        if (some.length === 0) break
        ready.push(...(await Promise.all(some.map((item) => lookUp(target, item)))).flat())
        waiting.splice(0, some.length)
      }
    }
    return ready.splice(0, count)
  }

  const end = async ({ watch }: Target, reason: string): Promise<void> => {
    log.info({ reason }, 'A webhook is told nothing any more')
    meter.count('relay_watches_ended_total')
    await store.changeWatch(watch, 'gone')
  }

  /** Keeps how the webhook is doing, and ends its watch when it does not want to go on. */
  const judge = async (target: Target, became: 'well' | 'failed' | { refused: number }): Promise<void> => {
    if (lasting) return
    const { watch, refusals, failingSince } = target
    const now = clock.now()
    if (became === 'well') {
      if (refusals === 0 && failingSince === 0) return
      Object.assign(target, { refusals: 0, failingSince: 0 })
      await store.changeWatch(watch, { refusals: 0, failingSince: 0 })
    } else if (became === 'failed') {
      if (failingSince > 0 && now - failingSince > FAILING_FOR) return end(target, 'nothing for three days')
      if (failingSince > 0) return
      target.failingSince = now
      await store.changeWatch(watch, { failingSince: now })
    } else {
      target.refusals = refusals + became.refused
      if (target.refusals >= MAX_REFUSALS) return end(target, 'it refused too often')
      await store.changeWatch(watch, { refusals: target.refusals })
    }
  }

  const deliver = async (target: Target, batch: readonly Ready[], signal: AbortSignal): Promise<Fate> => {
    try {
      const { status } = await send(
        target.watch,
        batch.map((one) => sign(target.watch, one)),
        signal,
      )
      const isRefusal = status >= 400 && status < 500
      if (isRefusal) log.info({ status }, 'A webhook does not want an event')
      const refused = NOT_THERE.has(status) ? NOT_THERE_WEIGHS : 1
      await judge(target, status >= 500 ? 'failed' : isRefusal ? { refused } : 'well')
      return status >= 500 ? 'failed' : 'answered'
    } catch (err) {
      if (err instanceof HostNotAsked) {
        rest(target, err.until)
        return 'later'
      }
      if (err instanceof ProtocolError && err.code === 'forbidden') {
        log.info({}, 'A webhook leads to an address that is not asked')
        await judge(target, { refused: 1 })
        return 'answered'
      }
      log.debug({ err }, 'A webhook did not answer')
      await judge(target, 'failed')
      return 'failed'
    }
  }

  /** Leaves the webhook alone for a while, with all that waits for it. */
  const rest = (target: Target, until: number) => {
    target.restsUntil = until
    for (const { settle } of [...target.ready.splice(0), ...target.waiting.splice(0)]) settle('later')
  }

  /** Posts what waits for the webhook, batch after batch, until nothing does or it fails. */
  const run = async (target: Target, signal: AbortSignal): Promise<void> => {
    target.isBusy = true
    while (target.waiting.length + target.ready.length > 0) {
      let batch: Ready[] = []
      try {
        batch = await nextBatch(target)
        if (batch.length === 0) continue
        const fate = await deliver(target, batch, signal)
        meter.count('relay_watch_posts_total', { outcome: fate })
        if (fate === 'failed') {
          const attempts = Math.max(...batch.map((one) => one.attempts))
          rest(target, clock.now() + pauseAfter(attempts + 1))
        }
        for (const { settle } of batch) settle(fate)
      } catch (err) {
        log.warn({ err }, 'Events for a webhook could not be read; trying again')
        rest(target, clock.now() + FIRST_PAUSE)
        for (const { settle } of batch) settle('later')
      }
    }
    target.isBusy = false
  }

  const tidy = () => {
    const now = clock.now()
    for (const [name, { held, restsUntil }] of targets) {
      if (held === 0 && restsUntil <= now) targets.delete(name)
    }
  }

  return {
    /** Whether the service wants what its watch would tell it: a POST without events is answered 2xx. */
    async asks(watch: Watch, signal: AbortSignal): Promise<boolean> {
      const bearer = signJwt(claimsFor(watch, WATCH_ACTS.challenge), key)
      const { status } = await send(watch, [], signal, `Bearer ${bearer}`)
      return status >= 200 && status < 300
    },

    /** What became of each, and when to come again with those that are not answered. */
    async tell(
      watch: Watch,
      events: WatchEvents,
      { messages, attempts }: { messages: readonly Named[]; attempts: number },
      signal: AbortSignal,
    ): Promise<{ fates: Fate[]; again: number }> {
      const now = clock.now()
      const name = `${watch.clientId} ${watchDigest(watch)}`
      const { refusals, failingSince } = watch
      const target = targets.get(name) ?? {
        ...{ watch, waiting: [], ready: [], held: 0, isBusy: false, restsUntil: 0 },
        ...{ refusals, failingSince },
      }
      const none = (again: number) => ({ fates: messages.map(() => 'later' as const), again })
      if (target.restsUntil > now) return none(target.restsUntil)
      if (target.held > 0 && target.held + messages.length > PER_TARGET) return none(now + NO_ROOM)
      targets.set(name, target)
      target.watch = watch
      target.held += messages.length
      try {
        const fates = messages.map(
          (named) => new Promise<Fate>((settle) => target.waiting.push({ events, named, attempts, settle })),
        )
        if (!target.isBusy) void run(target, signal)
        return { fates: await Promise.all(fates), again: Math.max(target.restsUntil, clock.now()) }
      } finally {
        target.held -= messages.length
        if (target.held === 0) tidy()
      }
    },
  }
}
export type WatchTargets = ReturnType<typeof createWatchTargets>
