/**
 * Delivery to one reader: a connection, or all `?share=1` connections of a client id on this process together.
 *
 * A delivery has a cursor for every topic on which something happens right now. Its rules (protocol §4, "Delivery"):
 *
 * | event | what the cursor does |
 * |---|---|
 * | published, nothing older waits or all of it is in flight | pushed from memory |
 * | published, otherwise | the mailbox is read from the cursor's position on, in publish order; for a trusted client in turns of the payers |
 * | connected | nothing for 250 ms, and longer while the client subscribes or fetches; then the mailboxes of all its topics |
 * | subscribe | held until answered and 100 ms more, then the mailbox; early pushes once more |
 * | fetch | held until answered; what was returned is acknowledged, not pushed |
 * | unsubscribe | the cursor is gone, a late acknowledgement still counts |
 * | window full, or the connection blocked | backlogged; goes on when half of the window is free |
 * | not acknowledged for 30 s | pushed again; in a shared delivery on another connection |
 * | acknowledged on any connection of the client | in flight on none |
 *
 * The mailbox in the store is the truth; a cursor is what was already pushed of it. A shared delivery claims a message before it
 * pushes it, so that no other process pushes it too.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLimits } from '../limits.ts'
import type { RelayStore } from '../store.ts'
import type { AckBatcher } from './ack-batcher.ts'
import { type ConnectGrace, createConnectGrace } from './connect-grace.ts'
import type { Connection } from './connection.ts'
import { Consumers } from './consumers.ts'
import { CursorTable } from './cursor-table.ts'
import { type PageReader, pushPage } from './mailbox-pages.ts'
import { MailboxScan } from './mailbox-scan.ts'
import { abbreviate, type Outgoing } from './outgoing.ts'
import { Timers } from './timers.ts'
import type { Entry, TopicCursor } from './topic-cursor.ts'

export interface ClientDeliveryDeps {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  ackBatcher: AckBatcher
}

/** Scanning one batch of topics for what waits, units of `work-budget`. */
const SCAN_BATCH_COST = 3
/** Between two looks at a push that is due while its connection is blocked. */
const BLOCKED_RETRY_MS = 1_000

/** A class, because there are thousands of them and they share their methods. */
export class ClientDelivery implements PageReader {
  readonly clientId: string
  readonly shared: boolean
  readonly #deps: ClientDeliveryDeps
  readonly #consumers: Consumers
  readonly #cursors: CursorTable
  readonly #connectGrace: ConnectGrace
  readonly #scan: MailboxScan
  readonly #holdTimers: Timers
  /** Redeliveries, second looks and the end of unused cursors. */
  #timer: Disposable | undefined
  /** The client has subscribed on this connection, so it listens. */
  #isListening = false
  #isFlushingBacklog = false
  /** There is room since the flush of the backlog began. */
  #hasRoomAgain = false
  #isClosed = false

  /** `inTurns`: payers take turns on each topic. */
  constructor(deps: ClientDeliveryDeps, who: { clientId: string; share: boolean; inTurns: boolean }) {
    this.#deps = deps
    this.clientId = who.clientId
    this.shared = who.share
    this.#cursors = new CursorTable(deps.clock, who)
    this.#holdTimers = new Timers(deps.clock)
    this.#scan = new MailboxScan(deps, who.clientId)
    this.#consumers = new Consumers(deps, who, (cursor, seq) => this.#retryFrom(cursor, seq))
    const { clock, limits } = deps
    this.#connectGrace = createConnectGrace(clock, limits, (subscribed) => void this.#readAll({ subscribed }))
  }

  join(connection: Connection): void {
    this.#consumers.add(connection)
    this.resume()
  }

  /** The connection has ended; what it had in flight goes to the others of a shared delivery. True when none is left. */
  leave(connection: Connection, inFlight: readonly Entry[]): boolean {
    this.#consumers.remove(connection)
    if (this.#consumers.size === 0) this.#close()
    if (this.shared) void this.#handOver(connection, inFlight)
    return this.#isClosed
  }

  /** A message was just published on a topic that the client is subscribed to. */
  published(message: Outgoing, previousSeq: number, caughtUp: boolean): void {
    // It is stored, so it is found when the mailboxes are scanned.
    if (this.#connectGrace.expects(message.topic)) return
    const cursor = this.#cursors.getOrOpen(message.topic, !this.#isListening)
    if (message.seq <= cursor.position || cursor.isInFlight(message.id)) return
    if (cursor.isBusy) cursor.markDirty()
    else if (this.#cursors.backlogged.has(cursor)) return
    else if (!caughtUp && cursor.position < previousSeq) void this.#flush(cursor)
    else this.admit(cursor, message)
  }

  /** The client itself published: nothing to push, but the next message follows on what this cursor has. */
  publishedByClient(topic: string, seq: number, previousSeq: number): void {
    this.#cursors.get(topic)?.skip(previousSeq, seq)
  }

  /** Something may wait on the topic: another process stored it. */
  wake(topic: string): void {
    if (this.#connectGrace.expects(topic)) return
    void this.#flush(this.#cursors.getOrOpen(topic, !this.#isListening))
  }

  /** The client subscribes: nothing is pushed on these topics until `subscribed` or `abandoned` is called. */
  subscribing(topics: readonly string[]): TopicCursor[] {
    this.#isListening = true
    this.#connectGrace.extend()
    return topics.map((topic) => {
      const cursor = this.#cursors.getOrOpen(topic, false)
      cursor.markSubscribed()
      cursor.hold()
      this.#scan.subscribed(topic)
      this.#connectGrace.subscribed(topic)
      return cursor
    })
  }

  /** The subscribe is answered. */
  subscribed(cursors: readonly TopicCursor[]): void {
    this.#connectGrace.extend()
    this.#holdTimers.after(this.#deps.limits.holdAfterSubscribeMs, () => {
      const now = this.#deps.clock.now()
      for (const cursor of cursors) {
        if (!this.#cursors.has(cursor)) continue
        for (const entry of cursor.takeEarly()) entry.connection.pushAgain(entry, now)
      }
      void this.#unholdAndFlush(cursors)
    })
  }

  /** The subscribe or fetch failed. */
  abandoned(cursors: readonly TopicCursor[]): void {
    for (const cursor of cursors) {
      cursor.unhold()
      if (cursor.isDirty && !cursor.isHeld && this.isCurrent(cursor)) void this.#flush(cursor)
      else this.#cursors.dropIfUnused(cursor)
    }
  }

  unsubscribed(topics: readonly string[]): void {
    for (const topic of topics) {
      this.#scan.unsubscribed(topic)
      this.#connectGrace.unsubscribed(topic)
      const cursor = this.#cursors.get(topic)
      if (!cursor) continue
      this.#cursors.delete(cursor)
      for (const entry of cursor.entries()) entry.connection.forget(entry, true)
    }
    this.resume()
  }

  /** The client fetches: as `subscribing`, but it need not be subscribed. */
  fetching(topics: readonly string[]): TopicCursor[] {
    this.#connectGrace.extend()
    return topics.map((topic) => {
      const cursor = this.#cursors.getOrOpen(topic, !this.#isListening)
      cursor.hold()
      return cursor
    })
  }

  /** The fetch is answered and what it returned is acknowledged, up to `seq` of each cursor. */
  fetched(cursors: readonly { cursor: TopicCursor; seq: number }[]): void {
    this.#connectGrace.extend()
    for (const { cursor, seq } of cursors) cursor.advance(seq, this.#deps.clock.now())
    this.abandoned(cursors.map(({ cursor }) => cursor))
    this.#schedule()
  }

  /** Acknowledged by the client, on whichever connection. */
  acknowledged(topic: string, id: string): void {
    const entry = this.#cursors.get(topic)?.acknowledge(id)
    if (!entry) return
    entry.connection.forget(entry)
    this.resume()
  }

  /** Goes on with what waited for room. */
  resume(): void {
    if (this.#cursors.backlogged.size === 0 && !this.#scan.waitsForRoom) return
    if (!this.#consumers.hasMuchRoom) return
    this.#scan.resume()
    if (this.#isFlushingBacklog) this.#hasRoomAgain = true
    else void this.#flushBacklog()
  }

  /** Reads every mailbox from its start, for messages whose wake-up was lost. */
  async catchUp(): Promise<void> {
    if (this.#connectGrace.over && !this.#scan.isRunning) await this.#readAll({ fromStart: true })
  }

  // ---- From the mailbox to the connections

  isCurrent(cursor: TopicCursor): boolean {
    return !this.#isClosed && this.#cursors.has(cursor)
  }

  /** Puts the message in flight; false, and the cursor backlogged, when there is no room. */
  admit(cursor: TopicCursor, message: Outgoing): boolean {
    const isAdmitted = cursor.hasRoom && this.#consumers.admit(cursor, message)
    if (isAdmitted) this.#schedule()
    else this.#cursors.backlogged.add(cursor)
    return isAdmitted
  }

  /** One cursor after the other: a page that is read and finds no room was read in vain. */
  async #flushBacklog(): Promise<void> {
    this.#isFlushingBacklog = true
    do {
      this.#hasRoomAgain = false
      for (const cursor of [...this.#cursors.backlogged]) {
        if (!this.#consumers.hasRoom) break
        await this.#flush(cursor)
      }
    } while (this.#hasRoomAgain && !this.#isClosed)
    this.#isFlushingBacklog = false
  }

  /** Pushes what the mailbox has after the cursor's position, as far as there is room. */
  async #flush(cursor: TopicCursor): Promise<void> {
    if (cursor.isBusy) {
      cursor.markDirty()
      return
    }
    if (this.#connectGrace.expects(cursor.topic)) {
      this.#cursors.dropIfUnused(cursor)
      return
    }
    cursor.beginReading()
    this.#cursors.backlogged.delete(cursor)
    try {
      for (let more = true; more; ) {
        cursor.markClean()
        more = (await this.#pushPage(cursor)) || cursor.isDirty
        if (!this.isCurrent(cursor)) return
        // It is flushed when it is held no more.
        if (cursor.isHeld) {
          cursor.markDirty()
          return
        }
      }
    } catch (error) {
      if (!this.#isClosed) {
        const topic = abbreviate(cursor.topic)
        this.#deps.log.error({ err: error, topic }, 'A mailbox could not be read')
      }
      this.#retryFrom(cursor, cursor.position + 1)
    } finally {
      cursor.endReading()
      this.#cursors.dropIfUnused(cursor)
    }
  }

  /** True when there is more to push now. */
  #pushPage(cursor: TopicCursor): Promise<boolean> | false {
    if (cursor.hasMuchRoom && this.#consumers.hasRoom) return pushPage(this.#deps, this, cursor)
    this.#cursors.backlogged.add(cursor)
    return false
  }

  async #unholdAndFlush(cursors: readonly TopicCursor[]): Promise<void> {
    for (const cursor of cursors) cursor.unhold()
    for (const cursor of cursors) if (this.isCurrent(cursor)) await this.#flush(cursor)
  }

  async #handOver(connection: Connection, inFlight: readonly Entry[]): Promise<void> {
    await this.#consumers.release(connection)
    const cursors = new Set<TopicCursor>()
    for (const { cursor, message } of inFlight) {
      cursor.rewind(message.seq)
      cursors.add(cursor)
    }
    for (const cursor of cursors) if (this.isCurrent(cursor)) void this.#flush(cursor)
  }

  /** Pushes what waits on all topics. A push is early unless the topic is one of `subscribed`. */
  #readAll(how: { subscribed?: ReadonlySet<string>; fromStart?: boolean }): Promise<void> {
    return this.#scan.run({
      hasRoom: () => this.#consumers.hasRoom,
      // What the relay looks for by itself is free.
      looked: () => how.fromStart || this.#consumers.charge(SCAN_BATCH_COST),
      read: (topic) => {
        const cursor = this.#cursors.getOrOpen(topic, !how.subscribed?.has(topic))
        if (how.fromStart) cursor.rewind(1)
        return this.#flush(cursor)
      },
    })
  }

  // ---- Timers

  /** Another connection has the claim: the message may be lost there, so it is read again once the claim is over. */
  #retryFrom(cursor: TopicCursor, seq: number): void {
    cursor.retryFrom(seq, this.#deps.clock.now() + this.#deps.limits.redeliverAfterMs)
    this.#schedule()
    // What was refused has left room.
    this.resume()
  }

  /** One timer for all that is due. */
  #schedule(): void {
    if (this.#timer || this.#isClosed) return
    const { clock, limits } = this.#deps
    const now = clock.now()
    let at = Math.min(now + limits.redeliverAfterMs, this.#consumers.nextDueAt ?? Number.POSITIVE_INFINITY)
    // What is due already waits for a blocked connection.
    if (at <= now) at = now + BLOCKED_RETRY_MS
    for (const cursor of this.#cursors.values()) at = Math.min(at, cursor.retryAt ?? at)
    this.#timer = clock.after(Math.max(at - now, 1), () => {
      this.#timer = undefined
      this.#consumers.redeliver()
      this.#retryAndTidy()
      this.resume()
      if (this.#cursors.size > 0 || this.#consumers.nextDueAt !== undefined) this.#schedule()
    })
  }

  #retryAndTidy(): void {
    const { clock, limits } = this.#deps
    const now = clock.now()
    for (const cursor of this.#cursors.values()) {
      if (cursor.takeRetry(now)) void this.#flush(cursor)
      // Kept for a while: the answer to a publish may come later than the acknowledgement of what was read from the mailbox.
      else this.#cursors.dropIfIdleSince(cursor, now - limits.redeliverAfterMs / 2)
    }
  }

  #close(): void {
    this.#isClosed = true
    this.#connectGrace[Symbol.dispose]()
    this.#holdTimers[Symbol.dispose]()
    this.#timer?.[Symbol.dispose]()
    this.#scan.close()
    this.#cursors.clear()
  }
}
