/**
 * Brings the events of watches to the services that asked: `POST <whu> {"eventAuth": [jwt, …]}`.
 *
 * An event is tried until it was answered, at least once, as long as its watch stands and its message lives, three days
 * at most. 2xx to 4xx are answers (what a service does not want it does not get again); 5xx and what is no answer are
 * tried again after 1 s, doubling up to 5 minutes. One POST at a time goes to a webhook from each process; what waits
 * meanwhile goes out together with the next. A webhook that failed is left alone until its pause is over, and one that
 * is slow holds up its own events only.
 */
import { type Agenda, createWorker, type Job, type Outcome } from '../platform/agenda.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { signJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { WATCH_ACTS } from '../protocol/relay-watch.ts'
import type { RelayStore, StoredMessage } from './store.ts'
import { WATCH_QUEUE, WatchEvent } from './watches.ts'

/**
 * One POST, no redirects followed. Resolves with any answer; rejects when there was none, with ProtocolError `forbidden`
 * when the address is not one that may be asked.
 */
export type Post = (
  url: string,
  request: {
    headers: Record<string, string>
    body: string
    milliseconds: number
    bytes: number
    signal?: AbortSignal | undefined
  },
) => Promise<{ status: number }>

const CONCURRENCY = 256
/** Events for one webhook that this process holds at a time, and what one POST carries of them. */
const PER_TARGET = 64
const POST_CHARACTERS = 512 * 1024
const TIMEOUT = 10_000
const ANSWER_BYTES = 1024 * 1024
/** All that one holds, posted one after the other. */
const LEASE = 120_000
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 300_000
/** Between two tries of what there is no room for, ms. */
const NO_ROOM = 500
/** How long an event's signature is good for, s. */
const GOOD_FOR = 300

const pauseAfter = (attempts: number): number =>
  Math.min(FIRST_PAUSE * 2 ** Math.min(attempts - 1, 20), LONGEST_PAUSE)

interface Item {
  job: Job
  event: WatchEvent
  message: StoredMessage
  settle: (outcome: Outcome) => void
}

interface Target {
  waiting: Item[]
  held: number
  isBusy: boolean
  restsUntil: number
}

export const createWatchEvents = (
  deps: {
    store: Pick<RelayStore, 'message' | 'pending' | 'watches'>
    agenda: Agenda
    key: SigningKey
    /** To the public internet only, and to any address. */
    post: { outside: Post; anywhere: Post }
    clock: Clock
    log: Log
    meter: Meter
  },
  options: { trusted: (clientId: string) => boolean },
): AsyncDisposable => {
  const { store, agenda, key, post, clock, log, meter } = deps
  const { trusted } = options
  const targets = new Map<string, Target>()

  const stands = async ({ clientId, service, url }: WatchEvent): Promise<boolean> =>
    (await store.watches([clientId], clock.now())).some(
      (watch) => watch.service === service && watch.url === url,
    )

  const allWait = async ({ topic, id, seq, waiters = [] }: WatchEvent): Promise<boolean> => {
    for (const clientId of waiters) {
      const page = { after: seq - 1, limit: 1, maxBytes: 1, now: clock.now() }
      const [first] = (await store.pending(clientId, topic, page)).messages
      if (first?.id !== id) return false
    }
    return true
  }

  const sign = ({ event, message }: Item): string => {
    const iat = Math.floor(clock.now() / 1000)
    const { topic, message: text, publishedAt, tag, attestation, id: messageId } = message
    return signJwt(
      {
        act: WATCH_ACTS.event,
        iss: key.did,
        aud: event.service,
        sub: event.clientId,
        typ: event.type,
        whu: event.url,
        iat,
        exp: iat + GOOD_FOR,
        evt: {
          messageId,
          status: event.status,
          topic,
          message: text,
          publishedAt,
          tag,
          attestation,
          at: event.at,
        },
      },
      key,
    )
  }

  const nextBatch = (target: Target): Item[] => {
    let characters = 0
    const end = target.waiting.findIndex(({ message }, at) => {
      characters += message.message.length + message.attestation.length
      return at > 0 && characters > POST_CHARACTERS
    })
    return target.waiting.splice(0, end === -1 ? target.waiting.length : end)
  }

  /** What became of the batch: undefined when it was answered, else why not. */
  const deliver = async (
    { clientId, url }: WatchEvent,
    batch: readonly Item[],
    signal: AbortSignal,
  ): Promise<string | undefined> => {
    const request = {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ eventAuth: batch.map(sign) }),
    }
    try {
      const send = trusted(clientId) ? post.anywhere : post.outside
      const { status } = await send(url, { ...request, milliseconds: TIMEOUT, bytes: ANSWER_BYTES, signal })
      if (status >= 400 && status < 500) log.info({ status }, 'A webhook does not want an event')
      return status >= 500 ? `HTTP ${status}` : undefined
    } catch (err) {
      if (!(err instanceof ProtocolError) || err.code !== 'forbidden') {
        log.debug({ err }, 'A webhook did not answer')
        return 'no answer'
      }
      log.info({}, 'A webhook leads to an address that is not asked')
      return undefined
    }
  }

  /** Posts what waits for the webhook, batch after batch, until nothing does or it fails. */
  const run = async (event: WatchEvent, target: Target, signal: AbortSignal): Promise<void> => {
    target.isBusy = true
    while (target.waiting.length > 0) {
      const batch = nextBatch(target)
      const attempts = Math.max(...batch.map(({ job }) => job.attempts)) + 1
      const failure = await deliver(event, batch, signal)
      meter.count('relay_watch_posts_total', { outcome: failure === undefined ? 'answered' : 'failed' })
      if (failure === undefined) {
        for (const { job, settle } of batch) settle({ id: job.id, kind: 'done' })
        continue
      }
      target.restsUntil = clock.now() + pauseAfter(attempts)
      for (const { job, settle } of batch) {
        settle({ id: job.id, kind: 'again', at: target.restsUntil, attempts: job.attempts + 1 })
      }
      for (const { job, settle } of target.waiting.splice(0)) settle(later(job, target.restsUntil))
    }
    target.isBusy = false
  }

  const tidy = () => {
    const now = clock.now()
    for (const [name, { held, restsUntil }] of targets) {
      if (held === 0 && restsUntil <= now) targets.delete(name)
    }
  }

  const later = ({ id, attempts }: Job, at: number): Outcome => ({ id, kind: 'again', at, attempts })

  const work = async (job: Job, signal: AbortSignal): Promise<Outcome> => {
    const event = WatchEvent.parse(job.body)
    const now = clock.now()
    const done: Outcome = { id: job.id, kind: 'done' }
    const name = `${event.clientId} ${event.url}`
    const target = targets.get(name) ?? { waiting: [], held: 0, isBusy: false, restsUntil: 0 }
    if (target.restsUntil > now) return later(job, target.restsUntil)
    if (target.held >= PER_TARGET) return later(job, now + NO_ROOM)
    targets.set(name, target)
    target.held++
    try {
      const message = await store.message(event.topic, event.id, now)
      if (!message || !(await stands(event))) return done
      if (event.waiters && job.attempts === 0 && !(await allWait(event))) return done
      return await new Promise<Outcome>((settle) => {
        target.waiting.push({ job, event, message, settle })
        if (!target.isBusy) void run(event, target, signal)
      })
    } finally {
      target.held--
      if (target.held === 0) tidy()
    }
  }

  return createWorker(
    { agenda, clock, log, meter },
    { queue: WATCH_QUEUE, concurrency: CONCURRENCY, lease: LEASE, retryAfter: FIRST_PAUSE, work },
  )
}
