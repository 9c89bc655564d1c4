/**
 * The outbox worker: leases what must be sent, has it written, publishes it to the relay, completes it. What a fan-out of
 * this process has just committed it sends straight away (`direct-sends`).
 *
 * Guarantees: an entry is completed only when the relay has acknowledged it, so it is sent at least once. A repeated
 * entry gives the same message, so the relay drops the second. Entries are taken oldest first and published in that
 * order. A failed entry is tried again later, with growing pauses, until it expires. Memory holds at most
 * `BATCH_SIZE × (MAX_BATCHES_IN_FLIGHT + 1)` messages, and as many of fan-outs as `direct-sends` gives room. Several
 * processes may work on one outbox.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLink } from '../relay/link.ts'
import type { NotifyStore, OutboxEntry } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import type { DirectBatch, DirectQueue } from './direct-sends.ts'
import { createLeasedEntries } from './leased-entries.ts'
import { createNotificationMessages } from './notification-message.ts'
import { createCoalesce, createPrepare } from './prepare.ts'
import { RELAY_TIMEOUT_MS, within } from './publish-all.ts'
import { createSend } from './send.ts'
import { createSendDirect } from './send-direct.ts'
import type { SentMessages } from './sent-messages.ts'
import type { MessageWriterDeps } from './signed-messages.ts'
import { createWakeUp } from './wake-up.ts'

/** Entries taken at once; less than a relay takes in one batch. */
const BATCH_SIZE = 200
/** Batches that wait for the relay's acknowledgement at the same time. */
const MAX_BATCHES_IN_FLIGHT = 3
/** Joining, publishing and leaving may each take as long as the relay's time-out. */
const LEASE_MS = 3 * RELAY_TIMEOUT_MS
/** Without a wake-up the outbox is polled this often: for returned entries, and because wake-ups may be lost. */
const POLL_MS = 1_000
/** The same while entries wait for their time; they are late by this much at most. */
const EARLY_ENTRIES_POLL_MS = 100
const FIRST_RELAY_RETRY_MS = 500
const MAX_RELAY_RETRY_MS = 30_000
/** At the end, messages that are under way may arrive for this long. */
const SHUTDOWN_GRACE_MS = 5_000

export interface OutboxWorkerDeps {
  store: NotifyStore
  writer: Omit<MessageWriterDeps, 'store' | 'clock'>
  webhooks: Pick<Webhooks, 'expand'>
  relay: RelayLink
  /** What fan-outs of this process hand over. */
  direct: DirectQueue
  sent: Pick<SentMessages, 'note'>
  clock: Clock
  log: Log
  meter: Meter
  /** Names this process among those that work on the same outbox. */
  worker: string
}

/** Failures of the relay in a row. */
const createRelayFailures = () => {
  let inRow = 0
  return {
    reset: () => {
      inRow = 0
    },
    add: () => {
      inRow++
    },
    any: () => inRow > 0,
    retryMs: () => Math.min(FIRST_RELAY_RETRY_MS * 2 ** Math.min(inRow, 10), MAX_RELAY_RETRY_MS),
  }
}

/** Takes and sends one batch, and resolves with whether there may be more. `inFlight`: what is being sent. */
const createRound = (
  { store, writer, webhooks, relay, direct, clock, log, meter }: Omit<OutboxWorkerDeps, 'worker'>,
  leased: ReturnType<typeof createLeasedEntries>,
  failures: ReturnType<typeof createRelayFailures>,
  inFlight: Set<Promise<void>>,
): (() => Promise<boolean>) => {
  const prepare = createPrepare({ store, writer, webhooks, leased, clock, log })
  const coalesce = createCoalesce({ leased, clock })
  const send = createSend({ relay, leased, failures, clock, log })
  const sendTraced = (batch: Parameters<typeof send>[0]) =>
    meter.span('outbox send', { 'belfry.entries': batch.length }, () => send(batch))

  /** Runs the step; its entries are returned when it fails as a whole. */
  const attempt = async (entries: readonly OutboxEntry[], step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (err) {
      failures.add()
      log.warn(
        { err, entries: entries.length },
        'A batch of the outbox was not delivered; trying again later',
      )
      await leased.returnFailed(entries, failures.retryMs()).catch(() => leased.noteUnreturned(entries))
    }
  }

  return async () => {
    await leased.returnUnreturned()
    meter.gauge('notify_outbox_size', await store.outboxSize())
    const now = clock.now()
    const taking = direct.takes()
    const taken = await leased.take({ limit: BATCH_SIZE, now, until: now + LEASE_MS })
    const more = taken.length === BATCH_SIZE
    if (taken.length === 0) {
      taking(false)
      return false
    }
    await attempt(taken, async () => {
      const batch = await prepare(await coalesce(await leased.returnEarly(taken, now)))
      // A wallet that has the answer may use the topic at once, so the server joins it before.
      const joining = batch.flatMap(({ task }) => (task.kind === 'response' && task.join ? [task.join] : []))
      if (joining.length > 0) {
        await within(clock, RELAY_TIMEOUT_MS, (timedOut) =>
          Promise.race([relay.subscribe(joining), timedOut]),
        )
      }
      const sending = attempt(batch, () => sendTraced(batch)).finally(() => inFlight.delete(sending))
      inFlight.add(sending)
    })
    taking(more)
    if (inFlight.size >= MAX_BATCHES_IN_FLIGHT) await Promise.race(inFlight)
    return more
  }
}

/** Sends what fan-outs have handed over, and tells them whether more would be sent. */
const createDirectSender = (
  { store, writer, relay, direct, sent, clock, log, meter, worker: name }: OutboxWorkerDeps,
  leased: ReturnType<typeof createLeasedEntries>,
  failures: ReturnType<typeof createRelayFailures>,
  wake: () => void,
) => {
  const messageOf = createNotificationMessages({ ...writer, clock })
  const send = createSendDirect({
    ...{ relay, apps: writer.apps, messageOf, leased, sent, failures, clock, log },
  })
  const underWay = new Set<Promise<void>>()
  const giveBack = ({ entries }: DirectBatch) => {
    const ids = entries.map(({ id }) => id)
    // Otherwise they are free when their lease ends.
    const returned = store.returnOutbox(ids, clock.now()).catch((err: unknown) => {
      log.warn({ err, entries: ids.length }, 'Entries of the outbox could not be given back')
    })
    void returned
  }
  const track = (settled: Promise<void>): void => {
    const ended = settled.then(() => {
      direct.ended()
      underWay.delete(ended)
    })
    underWay.add(ended)
  }
  const canSend = () => relay.connected && !failures.any()
  const room = direct.open({ canSend, name, leaseMs: LEASE_MS, wake, giveBack })

  return {
    underWay,
    /** Resolves when the publishes of all batches that were ready have begun. */
    async sendReady(): Promise<void> {
      for (let batch = direct.next(); batch; batch = direct.next()) {
        try {
          const { settled } = await send(batch)
          track(meter.span('outbox send', { 'belfry.entries': batch.entries.length }, () => settled))
        } catch (err) {
          log.error({ err }, 'Notifications could not be written')
          giveBack(batch)
          direct.ended()
        }
      }
    },
    [Symbol.dispose]: () => room[Symbol.dispose](),
  }
}

export const createOutboxWorker = (deps: OutboxWorkerDeps): AsyncDisposable => {
  const { store, relay, direct, clock, log, meter, worker } = deps
  const ending = new AbortController()
  const inFlight = new Set<Promise<void>>()
  const failures = createRelayFailures()
  const leased = createLeasedEntries({ store, clock, meter, worker })
  const round = createRound(deps, leased, failures, inFlight)
  const wakeUp = createWakeUp(clock)
  const sender = createDirectSender(deps, leased, failures, wakeUp.notify)
  let nextRoundAt = 0
  const additions = store.onOutbox(() => {
    direct.added()
    wakeUp.notify()
  })
  const connection = relay.onConnectionChange(() => {
    nextRoundAt = 0
    wakeUp.notify()
  })

  /** Resolves with whether there may be more. Without a connection nothing is taken: another process may have one. */
  const roundIfDue = async (): Promise<boolean> => {
    if (!direct.hasAdditions && clock.now() < nextRoundAt) return false
    let more = false
    try {
      if (relay.connected) more = await round()
    } catch (err) {
      // The store waits before it fails, so the caller need not.
      log.error({ err }, 'The outbox could not be read')
    }
    const now = clock.now()
    nextRoundAt = more ? 0 : now + (now < leased.lastDueAt + POLL_MS ? EARLY_ENTRIES_POLL_MS : POLL_MS)
    return more
  }

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      if (failures.any()) {
        await pause(clock, failures.retryMs(), ending.signal)
        nextRoundAt = 0
      }
      wakeUp.listen()
      await sender.sendReady()
      const more = await roundIfDue()
      if (more || failures.any()) continue
      await wakeUp.wait(Math.max(0, nextRoundAt - clock.now()), ending.signal)
    }
  }
  const running = run()

  return {
    async [Symbol.asyncDispose]() {
      additions[Symbol.dispose]()
      connection[Symbol.dispose]()
      sender[Symbol.dispose]()
      ending.abort()
      await running
      const arrived = new AbortController()
      const all = Promise.all([...inFlight, ...sender.underWay]).finally(() => arrived.abort())
      await Promise.race([all, pause(clock, SHUTDOWN_GRACE_MS, arrived.signal)])
    },
  }
}
