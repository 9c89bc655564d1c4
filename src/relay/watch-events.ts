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
import { WATCH_QUEUE, WatchEvents } from './watches.ts'

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
/** Events for one webhook that this process holds at a time: all of them are posted before their leases end. */
const PER_TARGET = 512
/** What one POST carries: events, and characters of their messages. */
const POST_EVENTS = 64
const POST_CHARACTERS = 512 * 1024
/** Messages that are looked up at once for it. */
const LOOK_UP = 16
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

type Named = WatchEvents['messages'][number]
/** `later`: it was not tried. */
type Fate = 'answered' | 'failed' | 'later'

/** One event that waits for its turn. Its message is looked up when that has come. */
interface Item {
  events: WatchEvents
  named: Named
  attempts: number
  settle: (fate: Fate) => void
}
type Ready = Item & { message: StoredMessage }

interface Target {
  waiting: Item[]
  /** Looked up, and no room for in the last POST. */
  ready: Ready[]
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

  const stands = async ({ clientId, service, url }: WatchEvents): Promise<boolean> =>
    (await store.watches([clientId], clock.now())).some(
      (watch) => watch.service === service && watch.url === url,
    )

  const allWait = async ({ topic, id, seq, waiters = [] }: Named): Promise<boolean> => {
    for (const clientId of waiters) {
      const page = { after: seq - 1, limit: 1, maxBytes: 1, now: clock.now() }
      const [first] = (await store.pending(clientId, topic, page)).messages
      if (first?.id !== id) return false
    }
    return true
  }

  const sign = ({ events, message }: Ready): string => {
    const iat = Math.floor(clock.now() / 1000)
    const { topic, message: text, publishedAt, tag, attestation, id: messageId } = message
    return signJwt(
      {
        act: WATCH_ACTS.event,
        iss: key.did,
        aud: events.service,
        sub: events.clientId,
        typ: events.type,
        whu: events.url,
        iat,
        exp: iat + GOOD_FOR,
        evt: {
          messageId,
          status: events.status,
          topic,
          message: text,
          publishedAt,
          tag,
          attestation,
          at: events.at,
        },
      },
      key,
    )
  }

  /** The message, if there is still something to tell. */
  const lookUp = async (item: Item): Promise<Ready[]> => {
    const { named, attempts, settle } = item
    const message = await store.message(named.topic, named.id, clock.now())
    if (message && (attempts > 0 || !named.waiters || (await allWait(named)))) return [{ ...item, message }]
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
        ready.push(...(await Promise.all(some.map(lookUp))).flat())
        waiting.splice(0, some.length)
      }
    }
    return ready.splice(0, count)
  }

  /** What became of the batch: undefined when it was answered, else why not. */
  const deliver = async (
    { clientId, url }: WatchEvents,
    batch: readonly Ready[],
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

  /** Leaves the webhook alone for a while, with all that waits for it. */
  const rest = (target: Target, pause: number) => {
    target.restsUntil = clock.now() + pause
    for (const { settle } of [...target.ready.splice(0), ...target.waiting.splice(0)]) settle('later')
  }

  /** Posts what waits for the webhook, batch after batch, until nothing does or it fails. */
  const run = async (events: WatchEvents, target: Target, signal: AbortSignal): Promise<void> => {
    target.isBusy = true
    while (target.waiting.length + target.ready.length > 0) {
      try {
        const batch = await nextBatch(target)
        if (batch.length === 0) continue
        const failure = await deliver(events, batch, signal)
        meter.count('relay_watch_posts_total', { outcome: failure === undefined ? 'answered' : 'failed' })
        for (const { settle } of batch) settle(failure === undefined ? 'answered' : 'failed')
        if (failure !== undefined)
          rest(target, pauseAfter(Math.max(...batch.map(({ attempts }) => attempts)) + 1))
      } catch (err) {
        log.warn({ err }, 'Events for a webhook could not be read; trying again')
        rest(target, FIRST_PAUSE)
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

  const later = ({ id, attempts }: Job, at: number): Outcome => ({ id, kind: 'again', at, attempts })

  const work = async (job: Job, signal: AbortSignal): Promise<Outcome> => {
    const events = WatchEvents.parse(job.body)
    const { id, attempts } = job
    const now = clock.now()
    const name = `${events.clientId} ${events.url}`
    const target = targets.get(name) ?? { waiting: [], ready: [], held: 0, isBusy: false, restsUntil: 0 }
    if (target.restsUntil > now) return later(job, target.restsUntil)
    const size = events.messages.length
    if (target.held > 0 && target.held + size > PER_TARGET) return later(job, now + NO_ROOM)
    targets.set(name, target)
    target.held += size
    try {
      if (!(await stands(events))) return { id, kind: 'done' }
      const fates = events.messages.map(
        (named) => new Promise<Fate>((settle) => target.waiting.push({ events, named, attempts, settle })),
      )
      if (!target.isBusy) void run(events, target, signal)
      const became = await Promise.all(fates)
      const messages = events.messages.filter((_, at) => became[at] !== 'answered')
      if (messages.length === 0) return { id, kind: 'done' }
      const tried = attempts + (became.includes('failed') ? 1 : 0)
      return { id, kind: 'again', at: target.restsUntil, attempts: tried, body: { ...events, messages } }
    } finally {
      target.held -= size
      if (target.held === 0) tidy()
    }
  }

  return createWorker(
    { agenda, clock, log, meter },
    { queue: WATCH_QUEUE, concurrency: CONCURRENCY, lease: LEASE, retryAfter: FIRST_PAUSE, work },
  )
}
