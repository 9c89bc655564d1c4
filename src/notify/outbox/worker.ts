/**
 * Delivery: takes what must be sent out of the outbox, has it written, hands it to the relay, ticks it off.
 *
 * An entry is ticked off only when the relay has acknowledged it, so it is sent at least once; the letter of a repeated
 * entry is the same, so the relay drops the second. Entries are taken oldest first and published in that order. What
 * fails goes back and is tried again later, with growing pauses, until it expires. Entries that are for others than the
 * relay (events, welcomes) are expanded here into what becomes of them, before they are ticked off. In memory are at most
 * `BATCH × (IN_FLIGHT + 1)` letters, whatever waits in the outbox. Several processes may work on one outbox.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { handWelcome } from '../publish/welcome.ts'
import type { RelayLink } from '../relay/link.ts'
import { EXPIRED, type OutboxOutcome } from '../store/receipts.ts'
import type { NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { createMessageWriter, type OutgoingMessage, type MessageWriterDeps } from './messages.ts'

/** Entries taken at once; less than a relay takes in one batch. */
const BATCH = 200
/** Batches that may wait for the relay's acknowledgement at the same time. */
const IN_FLIGHT = 3
/** How long one step may wait for the relay, ms. */
const PATIENCE = 10_000
/** How long taken entries are ours, ms: joining, publishing, leaving, each with patience. */
const LEASE = 3 * PATIENCE
/** Without news the outbox is looked at this often, ms: for returned entries, and for wake-ups that got lost. */
const POLL = 1_000
/** The same while entries are held back: they are late by so much at most. */
const HELD_POLL = 100
/** Pauses after failures of the relay, ms. */
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000
/** Pause of an entry that could not be written, ms. Others go on meanwhile. */
const UNWRITTEN_PAUSE = 15_000
/** At the end, what is on its way may arrive for so long, ms. */
const GRACE = 5_000

/** `void`: there was nothing to say any more; `failed`: it will be tried again; the others are final. */
type Outcome = Final | 'failed'
type Final = 'sent' | 'expanded' | 'void' | 'expired' | 'refused'
type Written = OutboxEntry & { message?: OutgoingMessage }

export const createOutboxWorker = (deps: {
  store: NotifyStore
  writer: Omit<MessageWriterDeps, 'store' | 'clock'>
  webhooks: Pick<Webhooks, 'expand'>
  relay: RelayLink
  clock: Clock
  log: Log
  meter: Meter
  /** Names this process among those that work on the same outbox. */
  worker: string
}): AsyncDisposable => {
  const { store, webhooks, relay, clock, log, meter, worker } = deps
  const ending = new AbortController()
  const inFlight = new Set<Promise<void>>()
  /** Taken entries that the store did not take back. */
  const unreturned: OutboxEntry[] = []
  /** Failures of the relay in a row. */
  let failures = 0
  /** Until when entries that are held back, and were given back here, become due. */
  let heldUntil = 0
  const wakeUp = createWakeUp(clock)
  const news = store.onOutbox(wakeUp.notify)
  const connection = relay.onConnectionChange(wakeUp.notify)

  const count = (entries: readonly OutboxEntry[], outcome: Outcome) => {
    for (const { task } of entries) meter.count('notify_deliveries_total', { kind: task.kind, outcome })
  }

  const complete = async (entries: readonly OutboxEntry[], outcome: Final): Promise<void> => {
    if (entries.length === 0) return
    const done = entries.map(({ id, task }) => {
      const receipt = outcomeOf(task, outcome)
      return receipt ? { id, receipt } : { id }
    })
    await store.completeOutbox(done, clock.now())
    count(entries, outcome)
  }

  const returnEntries = async (entries: readonly OutboxEntry[], delay: number): Promise<void> => {
    if (entries.length === 0) return
    await store.returnOutbox(
      entries.map(({ id }) => id),
      clock.now() + delay,
    )
    count(entries, 'failed')
  }

  /** Gives back what is held back, each until it is due; answers the others. */
  const returnEarly = async (taken: readonly OutboxEntry[], now: number): Promise<OutboxEntry[]> => {
    const early = taken.filter(({ notBefore = 0 }) => notBefore > now)
    for (const at of new Set(early.map(({ notBefore = 0 }) => notBefore))) {
      heldUntil = Math.max(heldUntil, at)
      const due = early.filter(({ notBefore }) => notBefore === at)
      await store.returnOutbox(
        due.map(({ id }) => id),
        at,
      )
    }
    return taken.filter(({ notBefore = 0 }) => notBefore <= now)
  }

  const backOff = (): number => Math.min(FIRST_PAUSE * 2 ** Math.min(failures, 10), LONGEST_PAUSE)

  /** Writes the letters of a batch; what cannot be written, or need not be sent, is dealt with here. */
  const write = async (entries: readonly OutboxEntry[]): Promise<Written[]> => {
    const now = clock.now()
    const writer = createMessageWriter({ ...deps.writer, store, clock })
    const expired: OutboxEntry[] = []
    const nothing: OutboxEntry[] = []
    const expanded: OutboxEntry[] = []
    const failed: OutboxEntry[] = []
    const written = await Promise.all(
      entries.map(async (entry): Promise<Written[]> => {
        const { task } = entry
        if (entry.expiresAt <= now) expired.push(entry)
        else if (task.kind === 'leave') return [entry]
        else {
          try {
            if (task.kind === 'event' || task.kind === 'welcome') {
              if (task.kind === 'event') await webhooks.expand({ ...entry, task })
              else await handWelcome(store, { ...entry, task })
              expanded.push(entry)
              return []
            }
            const message = await writer.write({ ...entry, task })
            if (message) return [{ ...entry, message }]
            nothing.push(entry)
          } catch (err) {
            // The store's fault, not this entry's: all of them go back.
            if (err instanceof ProtocolError && err.code === 'unavailable') throw err
            log.error({ err, entry: entry.id, kind: task.kind }, 'An outbox entry could not be written')
            failed.push(entry)
          }
        }
        return []
      }),
    )
    await Promise.all([
      complete(expired, 'expired'),
      complete(nothing, 'void'),
      complete(expanded, 'expanded'),
      returnEntries(failed, UNWRITTEN_PAUSE),
    ])
    return written.flat()
  }

  /** Of several 4012s to one watcher the newest says it all: it tells what is true when it is written. */
  const coalesce = async (entries: readonly OutboxEntry[]): Promise<OutboxEntry[]> => {
    const newest = new Map(entries.map((entry) => [watcherOf(entry), entry]))
    const isLeftOut = (entry: OutboxEntry) => {
      const watcher = watcherOf(entry)
      return watcher !== undefined && newest.get(watcher) !== entry
    }
    await complete(entries.filter(isLeftOut), 'void')
    return entries.filter((entry) => !isLeftOut(entry))
  }

  /** Publishes what was written. All publishes have begun, in order, when this hands back its promise. */
  const send = async (batch: readonly Written[]): Promise<void> => {
    const results = await within(clock, PATIENCE, (tooLate) =>
      Promise.allSettled(
        batch.map(({ message }) => (message ? Promise.race([relay.publish(message), tooLate]) : undefined)),
      ),
    )
    const published = batch.filter((_, at) => results[at]?.status === 'fulfilled')
    const failed: Written[] = []
    const refused: Written[] = []
    let err: unknown
    for (const [at, entry] of batch.entries()) {
      const result = results[at]
      if (result?.status !== 'rejected') continue
      err = result.reason
      if (isFinal(err)) refused.push(entry)
      else failed.push(entry)
    }
    // An answer goes out before its topic is left.
    const leaving = published.flatMap(({ task }) =>
      task.kind === 'leave' ? [task.topic] : task.kind === 'response' && task.leave ? [task.leave] : [],
    )
    if (leaving.length > 0) {
      await within(clock, PATIENCE, (tooLate) => Promise.race([relay.unsubscribe(leaving), tooLate]))
    }
    await complete(published, 'sent')
    if (refused.length > 0) {
      log.error({ err, entries: refused.length }, 'The relay does not take messages; they are dropped')
      await complete(refused, 'refused')
    }
    if (failed.length === 0) {
      failures = 0
      return
    }
    failures++
    log.warn({ err, entries: failed.length }, 'Messages did not reach the relay; trying again later')
    await returnEntries(failed, backOff())
  }

  /** Runs the step; its entries go back when it fails as a whole. */
  const attempt = async (entries: readonly OutboxEntry[], step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (err) {
      failures++
      log.warn(
        { err, entries: entries.length },
        'A batch of the outbox was not delivered; trying again later',
      )
      await returnEntries(entries, backOff()).catch(() => void unreturned.push(...entries))
    }
  }

  /** What could not be given back goes back now; nobody should have to wait for the end of its lease. */
  const returnUnreturned = async (): Promise<void> => {
    if (unreturned.length === 0) return
    const entries = unreturned.splice(0)
    await returnEntries(entries, 0).catch((err) => {
      unreturned.push(...entries)
      throw err
    })
  }

  /** One batch. Answers whether there may be more. */
  const round = async (): Promise<boolean> => {
    await returnUnreturned()
    meter.gauge('notify_outbox_size', await store.outboxSize())
    const now = clock.now()
    const taken = await store.takeOutbox({ worker, limit: BATCH, now, until: now + LEASE })
    if (taken.length === 0) return false
    await attempt(taken, async () => {
      const batch = await write(await coalesce(await returnEarly(taken, now)))
      // A wallet that has the answer may speak on the topic at once: be there before.
      const joining = batch.flatMap(({ task }) => (task.kind === 'response' && task.join ? [task.join] : []))
      if (joining.length > 0) {
        await within(clock, PATIENCE, (tooLate) => Promise.race([relay.subscribe(joining), tooLate]))
      }
      const sending = attempt(batch, () => send(batch)).finally(() => inFlight.delete(sending))
      inFlight.add(sending)
    })
    if (inFlight.size >= IN_FLIGHT) await Promise.race(inFlight)
    return taken.length === BATCH
  }

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      wakeUp.listen()
      let more = false
      // What cannot be sent is not taken: another process may be connected.
      if (relay.connected) {
        try {
          more = await round()
        } catch (err) {
          // The store itself waits, so this need not.
          log.error({ err }, 'The outbox could not be read')
        }
      }
      if (failures > 0) await pause(clock, backOff(), ending.signal)
      else if (!more) await wakeUp.wait(clock.now() < heldUntil + POLL ? HELD_POLL : POLL, ending.signal)
    }
  }
  const running = run()

  return {
    async [Symbol.asyncDispose]() {
      news[Symbol.dispose]()
      connection[Symbol.dispose]()
      ending.abort()
      await running
      const arrived = new AbortController()
      const all = Promise.all(inFlight).finally(() => arrived.abort())
      await Promise.race([all, pause(clock, GRACE, arrived.signal)])
    },
  }
}

const watcherOf = ({ task }: OutboxEntry): string | undefined =>
  task.kind === 'changed' ? `${task.accountKey} ${task.identityKey}` : undefined

/** Why a notification that was handed over reaches nobody. */
const REASONS: Record<Exclude<Final, 'sent' | 'expanded'>, string> = {
  void: 'No longer subscribed',
  expired: EXPIRED,
  refused: 'The relay does not take it',
}

const outcomeOf = (task: OutboxTask, outcome: Final): OutboxOutcome | undefined => {
  // What is expanded into something else is no notification itself.
  if (task.kind !== 'notification' || task.projectId === undefined || outcome === 'expanded') return undefined
  const { projectId, domain, notificationId, accountKey, subscriptionId } = task
  const about = { of: { projectId, domain, id: notificationId }, accountKey, subscriptionId }
  return outcome === 'sent'
    ? { ...about, became: 'published' }
    : { ...about, became: 'failed', reason: REASONS[outcome] }
}

/** The relay will say the same to the same message for ever. */
const isFinal = (err: unknown): boolean =>
  err instanceof ProtocolError && ['bad_params', 'bad_request', 'too_large'].includes(err.code)

/** Gives `work` a promise that is rejected after `ms`; it races what it waits for against that. */
const within = async <T>(
  clock: Clock,
  ms: number,
  work: (tooLate: Promise<never>) => Promise<T>,
): Promise<T> => {
  let timer: Disposable | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = clock.after(ms, () => reject(new Error('the relay did not answer in time')))
  })
  // It may come when nobody is waiting any more.
  tooLate.catch(() => {})
  try {
    return await work(tooLate)
  } finally {
    timer?.[Symbol.dispose]()
  }
}

/** Wakes one sleeper; a ring after `listen` is not missed. */
const createWakeUp = (clock: Clock) => {
  let isRung = false
  let wake: (() => void) | undefined
  return {
    listen: () => {
      isRung = false
    },
    notify: () => {
      isRung = true
      wake?.()
    },
    wait: async (atMost: number, signal: AbortSignal): Promise<void> => {
      if (isRung || signal.aborted) return
      const end = new AbortController()
      wake = () => end.abort()
      signal.addEventListener('abort', wake, { once: true })
      await pause(clock, atMost, end.signal)
      signal.removeEventListener('abort', wake)
      wake = undefined
    },
  }
}
