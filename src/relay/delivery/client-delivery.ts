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
 * | window full, or the reader blocked | behind; goes on when half of the window is free |
 * | not acknowledged for 30 s | pushed again; in a shared delivery on another connection |
 * | acknowledged on any connection of the client | in flight on none |
 *
 * The mailbox in the store is the truth; a cursor is what was already pushed of it. A shared delivery claims a message before it
 * pushes it, so that no other process pushes it too.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { subscriptionIdOf } from '../../protocol/topic.ts'
import type { RelayLimits } from '../limits.ts'
import type { Head, RelayStore, StoredMessage } from '../store.ts'
import type { AckBatcher } from './ack-batcher.ts'
import { type ConnectGrace, createConnectGrace } from './connect-grace.ts'
import type { Connection } from './connection.ts'
import { type Consumers, createConsumers } from './consumers.ts'
import {
  abbreviate,
  type Entry,
  newTopicCursor,
  type Outgoing,
  outgoing,
  type TopicCursor,
} from './topic-cursor.ts'
import { createTurns, type Turns } from './turns.ts'

export interface ClientDeliveryDeps {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  ackBatcher: AckBatcher
}

/** What looking into a batch of topics for what waits costs, units of `work-budget`. */
const LOOK_COST = 3
/** What one read of a mailbox asks for at most. */
const PAGE_MESSAGES = 128
const PAGE_BYTES = 1024 * 1024
/** Where payers take turns: what one look asks for. */
const PAGE_HEADS = 1_000
/** … and what may be in flight on one topic: whoever comes next waits for so many. Our notify server handles 64 at once. */
const TURNS_IN_FLIGHT = 128

export class ClientDelivery {
  readonly clientId: string
  readonly shared: boolean
  /** Payers take turns on each topic: what one of them leaves holds up nobody else. */
  readonly #inTurns: boolean
  readonly #deps: ClientDeliveryDeps
  readonly #consumers: Consumers
  readonly #cursors = new Map<string, TopicCursor>()
  /** Cursors whose mailbox has more than the window took, in the order in which they go on. */
  readonly #behind = new Set<TopicCursor>()
  /** Set while the mailboxes of all topics are gone through: topics that the client left meanwhile. */
  #left: Set<string> | undefined
  #roomWaiters: (() => void)[] = []
  #timers = new Set<Disposable>()
  #attention: Disposable | undefined
  readonly #connectGrace: ConnectGrace
  /** The client has subscribed on this connection, so it listens. */
  #listening = false
  #goingOn = false
  #goesOnAgain = false
  #closed = false

  constructor(deps: ClientDeliveryDeps, who: { clientId: string; share: boolean; inTurns: boolean }) {
    this.#deps = deps
    this.clientId = who.clientId
    this.shared = who.share
    this.#inTurns = who.inTurns
    this.#consumers = createConsumers(deps, who, (cursor, seq) => this.#lookAgain(cursor, seq))
    this.#connectGrace = createConnectGrace(
      deps.clock,
      deps.limits,
      (asked) => void this.#goThrough({ asked }),
    )
  }

  join(connection: Connection): void {
    this.#consumers.add(connection)
    this.resume()
  }

  /** The connection has ended; what it had in flight goes to the others of a shared delivery. True when none is left. */
  leave(connection: Connection, inFlight: readonly Entry[]): boolean {
    this.#consumers.remove(connection)
    if (this.#consumers.connections.size === 0) this.#close()
    if (this.shared) void this.#handOver(connection, inFlight)
    return this.#closed
  }

  // ---- What happens to topics

  /** A message was just published on a topic that the client is subscribed to. */
  published(message: Outgoing, previousSeq: number, caughtUp: boolean): void {
    const known = this.#cursors.get(message.topic)
    // It is stored, so it is found when the mailboxes are gone through.
    if (this.#connectGrace.expects(message.topic)) return
    const cursor = known ?? this.#open(message.topic, !this.#listening)
    if (message.seq <= cursor.position || cursor.inFlight.has(message.id)) return
    if (cursor.holds > 0 || cursor.flushing) cursor.stirred = true
    else if (this.#behind.has(cursor)) return
    else if (!caughtUp && cursor.position < previousSeq) void this.#flush(cursor)
    else this.#place(cursor, message)
  }

  /** The client itself published: nothing to push, but the next message follows on what this cursor has. */
  publishedByClient(topic: string, seq: number, previousSeq: number): void {
    const cursor = this.#cursors.get(topic)
    if (cursor && !cursor.flushing && cursor.position >= previousSeq && cursor.position < seq)
      cursor.position = seq
  }

  /** Something may wait on the topic: another process stored it. */
  stirred(topic: string): void {
    const known = this.#cursors.get(topic)
    if (!this.#connectGrace.expects(topic)) void this.#flush(known ?? this.#open(topic, !this.#listening))
  }

  /** The client subscribes: nothing is pushed on these topics until `subscribed` or `abandoned` is called. */
  subscribing(topics: readonly string[]): TopicCursor[] {
    this.#listening = true
    this.#connectGrace.postpone()
    return topics.map((topic) => {
      const cursor = this.#cursors.get(topic) ?? this.#open(topic, false)
      cursor.early = false
      cursor.holds++
      this.#left?.delete(topic)
      this.#connectGrace.asked(topic)
      return cursor
    })
  }

  /** The subscribe is answered. */
  subscribed(cursors: readonly TopicCursor[]): void {
    this.#connectGrace.postpone()
    this.#later(this.#deps.limits.holdAfterSubscribeMs, () => {
      const now = this.#deps.clock.now()
      for (const cursor of cursors) {
        for (const entry of cursor.inFlight.values()) {
          if (!entry.early || this.#cursors.get(cursor.topic) !== cursor) continue
          entry.early = false
          entry.connection.pushAgain(entry, now)
        }
      }
      void this.#unhold(cursors)
    })
  }

  /** The subscribe or fetch failed. */
  abandoned(cursors: readonly TopicCursor[]): void {
    for (const cursor of cursors) {
      this.#letGo(cursor)
      if (cursor.stirred && cursor.holds === 0 && this.#isCurrent(cursor)) void this.#flush(cursor)
      else this.#dropIfIdle(cursor)
    }
  }

  unsubscribed(topics: readonly string[]): void {
    for (const topic of topics) {
      this.#left?.add(topic)
      this.#connectGrace.unasked(topic)
      const cursor = this.#cursors.get(topic)
      if (!cursor) continue
      this.#cursors.delete(topic)
      this.#behind.delete(cursor)
      for (const entry of [...cursor.inFlight.values()]) entry.connection.forget(entry, true)
    }
    this.resume()
  }

  /** The client fetches: as `subscribing`, but it need not be subscribed. */
  fetching(topics: readonly string[]): TopicCursor[] {
    this.#connectGrace.postpone()
    return topics.map((topic) => {
      const cursor = this.#cursors.get(topic) ?? this.#open(topic, !this.#listening)
      cursor.holds++
      return cursor
    })
  }

  /** The fetch is answered and what it returned is acknowledged, up to `seq` of each cursor. */
  fetched(cursors: readonly { cursor: TopicCursor; seq: number }[]): void {
    this.#connectGrace.postpone()
    for (const { cursor, seq } of cursors) {
      cursor.position = Math.max(cursor.position, seq)
      cursor.usedAt = this.#deps.clock.now()
    }
    this.abandoned(cursors.map(({ cursor }) => cursor))
    this.#attend()
  }

  /** Acknowledged by the client, on whichever connection. */
  acknowledged(topic: string, id: string): void {
    const cursor = this.#cursors.get(topic)
    if (!cursor) return
    if (cursor.flushing || cursor.holds > 0) cursor.acknowledged.add(id)
    const entry = cursor.inFlight.get(id)
    if (!entry) return
    entry.connection.forget(entry)
    this.resume()
  }

  /** Goes on with what waited for room. */
  resume(): void {
    if (this.#behind.size === 0 && this.#roomWaiters.length === 0) return
    if (!this.#consumers.hasMuchRoom) return
    this.#wakeWaiters()
    if (this.#goingOn) this.#goesOnAgain = true
    else void this.#goOn()
  }

  /** Looks for what no wake told of, from the start of every mailbox. */
  async catchUp(): Promise<void> {
    if (this.#connectGrace.over && !this.#left) await this.#goThrough({ fromStart: true })
  }

  // ---- From the mailbox to the connections

  /** One cursor after the other: a page that is read and finds no room was read in vain. */
  async #goOn(): Promise<void> {
    this.#goingOn = true
    do {
      this.#goesOnAgain = false
      // One that stays behind is looked at again when there is room since.
      for (const cursor of [...this.#behind]) {
        if (!this.#consumers.hasRoom) break
        await this.#flush(cursor)
      }
    } while (this.#goesOnAgain && !this.#closed)
    this.#goingOn = false
  }

  #letGo(cursor: TopicCursor): void {
    cursor.holds--
    if (cursor.holds === 0 && !cursor.flushing) cursor.acknowledged.clear()
  }

  #open(topic: string, early: boolean): TopicCursor {
    const cursor = newTopicCursor(topic, subscriptionIdOf(topic, this.clientId), {
      early,
      now: this.#deps.clock.now(),
      turns: this.#inTurns ? createTurns() : undefined,
    })
    this.#cursors.set(topic, cursor)
    return cursor
  }

  #place(cursor: TopicCursor, message: Outgoing): boolean {
    const isFull = cursor.turns !== undefined && cursor.inFlight.size >= TURNS_IN_FLIGHT
    const placed = !isFull && this.#consumers.place(cursor, message)
    if (placed) this.#attend()
    else this.#behind.add(cursor)
    return placed
  }

  #isCurrent(cursor: TopicCursor): boolean {
    return !this.#closed && this.#cursors.get(cursor.topic) === cursor
  }

  /** A cursor on which nothing was ever pushed and nothing happens knows nothing. */
  #dropIfIdle(cursor: TopicCursor): void {
    if (cursor.position === 0 && this.#isIdle(cursor)) this.#cursors.delete(cursor.topic)
  }

  #isIdle(cursor: TopicCursor): boolean {
    return (
      cursor.holds === 0 &&
      !cursor.flushing &&
      cursor.inFlight.size === 0 &&
      cursor.retryAt === undefined &&
      !this.#behind.has(cursor) &&
      this.#cursors.get(cursor.topic) === cursor
    )
  }

  /** Another holder has the message: it may be lost there, so look once its lease is over. */
  #lookAgain(cursor: TopicCursor, seq: number): void {
    cursor.refusedSeq = cursor.retryAt === undefined ? seq : Math.min(cursor.refusedSeq, seq)
    cursor.retryAt = this.#deps.clock.now() + this.#deps.limits.redeliverAfterMs
    this.#attend()
    // What was refused has left room.
    this.resume()
  }

  #failed(error: unknown, cursor: TopicCursor): void {
    if (this.#closed) return
    this.#deps.log.error({ err: error, topic: abbreviate(cursor.topic) }, 'A mailbox could not be read')
  }

  /** Pushes what the mailbox has after the cursor's position, as far as there is room. */
  async #flush(cursor: TopicCursor): Promise<void> {
    if (cursor.flushing || cursor.holds > 0) {
      cursor.stirred = true
      return
    }
    if (this.#connectGrace.expects(cursor.topic)) {
      this.#dropIfIdle(cursor)
      return
    }
    cursor.flushing = true
    this.#behind.delete(cursor)
    try {
      for (let more = true; more; ) {
        cursor.stirred = false
        more = (await this.#pushPage(cursor)) || cursor.stirred
        if (!this.#isCurrent(cursor)) return
        // Whoever holds the cursor flushes it when it lets go.
        if (cursor.holds > 0) {
          cursor.stirred = true
          return
        }
      }
    } catch (error) {
      this.#failed(error, cursor)
      this.#lookAgain(cursor, cursor.position + 1)
    } finally {
      cursor.flushing = false
      if (cursor.holds === 0) cursor.acknowledged.clear()
      this.#dropIfIdle(cursor)
    }
  }

  /** True when there is more to push now. */
  async #pushPage(cursor: TopicCursor): Promise<boolean> {
    const { store, clock, ackBatcher } = this.#deps
    const isBusy = cursor.turns !== undefined && cursor.inFlight.size > TURNS_IN_FLIGHT / 2
    if (isBusy || !this.#consumers.hasRoom) {
      this.#behind.add(cursor)
      return false
    }
    await ackBatcher.settled(this.clientId)
    if (cursor.turns) return this.#pushTurns(cursor, cursor.turns)
    const page = await store.pending(this.clientId, cursor.topic, {
      after: cursor.position,
      limit: PAGE_MESSAGES,
      maxBytes: PAGE_BYTES,
      now: clock.now(),
    })
    if (!this.#isCurrent(cursor) || cursor.holds > 0) return false
    for (const message of page.messages) {
      if (cursor.inFlight.has(message.id) || cursor.acknowledged.has(message.id)) {
        cursor.position = Math.max(cursor.position, message.seq)
      } else if (!this.#place(cursor, outgoing(message, message.seq))) return false
    }
    return page.hasMore
  }

  /** Reads what came, and takes those whose turn it is. */
  async #nextInTurns(
    cursor: TopicCursor,
    turns: Turns,
  ): Promise<{ messages: StoredMessage[]; taken: Head[] }> {
    const { store, clock } = this.#deps
    const pushed = new Set([...cursor.inFlight.values()].map(({ message }) => message.seq))
    for (let more = true; more; ) {
      const page = { after: cursor.position, limit: PAGE_HEADS, now: clock.now() }
      const { heads, hasMore } = await store.heads(this.clientId, cursor.topic, page)
      for (const head of heads) {
        if (!pushed.has(head.seq)) turns.add(head)
        cursor.position = Math.max(cursor.position, head.seq)
      }
      more = hasMore && this.#isCurrent(cursor)
    }
    const taken = turns.take({ limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES })
    const seqs = taken.map(({ seq }) => seq)
    const messages = taken.length > 0 ? await store.pick(this.clientId, cursor.topic, seqs, clock.now()) : []
    return { messages, taken }
  }

  /** The same as `#pushPage`, where payers take turns. */
  async #pushTurns(cursor: TopicCursor, turns: Turns): Promise<boolean> {
    try {
      const { messages, taken } = await this.#nextInTurns(cursor, turns)
      const isHeld = !this.#isCurrent(cursor) || cursor.holds > 0
      for (const message of messages) {
        if (cursor.inFlight.has(message.id) || cursor.acknowledged.has(message.id)) continue
        if (!isHeld && this.#place(cursor, outgoing(message, message.seq))) continue
        turns.putBack(taken.slice(taken.findIndex(({ seq }) => seq === message.seq)))
        return false
      }
      return turns.size > 0
    } catch (error) {
      // What was taken is found again from the start.
      turns.clear()
      cursor.position = 0
      throw error
    }
  }

  async #unhold(cursors: readonly TopicCursor[]): Promise<void> {
    for (const cursor of cursors) this.#letGo(cursor)
    for (const cursor of cursors) if (this.#isCurrent(cursor)) await this.#flush(cursor)
  }

  async #handOver(connection: Connection, inFlight: readonly Entry[]): Promise<void> {
    await this.#consumers.release(connection)
    const cursors = new Set<TopicCursor>()
    for (const { cursor, message } of inFlight) {
      cursor.position = Math.min(cursor.position, message.seq - 1)
      cursors.add(cursor)
    }
    for (const cursor of cursors) if (this.#isCurrent(cursor)) void this.#flush(cursor)
  }

  // ---- What time brings

  #later(delay: number, task: () => void): void {
    if (this.#closed) return
    const timer = this.#deps.clock.after(delay, () => {
      this.#timers.delete(timer)
      task()
    })
    this.#timers.add(timer)
  }

  /** The mailboxes of all topics, one after the other. */
  async #goThrough(how: { asked?: ReadonlySet<string>; fromStart?: boolean }): Promise<void> {
    const { store, clock } = this.#deps
    const left = new Set<string>()
    this.#left = left
    try {
      for await (const topics of store.waiting(this.clientId, clock.now())) {
        // Not for what we look after by ourselves.
        if (!how.fromStart) this.#consumers.charge(LOOK_COST)
        for (const topic of topics) {
          while (!this.#closed && !this.#consumers.hasRoom) {
            await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
          }
          if (this.#closed) return
          if (left.has(topic)) continue
          const cursor = this.#cursors.get(topic) ?? this.#open(topic, !how.asked?.has(topic))
          if (how.fromStart) cursor.position = 0
          await this.#flush(cursor)
        }
      }
    } catch (error) {
      if (!this.#closed) this.#deps.log.error({ err: error }, 'The mailboxes of a client could not be read')
    } finally {
      this.#left = undefined
    }
  }

  /** One timer for all that is due: redeliveries, second looks, and cursors that have had their time. */
  #attend(): void {
    if (this.#attention || this.#closed) return
    const { clock, limits } = this.#deps
    const now = clock.now()
    let at = Math.min(now + limits.redeliverAfterMs, this.#consumers.nextDue ?? Number.POSITIVE_INFINITY)
    // What is due already is so because its connection is blocked.
    if (at <= now) at = now + 1_000
    for (const cursor of this.#cursors.values()) at = Math.min(at, cursor.retryAt ?? at)
    this.#attention = clock.after(Math.max(at - now, 1), () => {
      this.#attention = undefined
      this.#consumers.redeliver()
      this.#tidy()
      this.resume()
      if (this.#cursors.size > 0 || this.#consumers.nextDue !== undefined) this.#attend()
    })
  }

  #tidy(): void {
    const { clock, limits } = this.#deps
    const now = clock.now()
    for (const cursor of this.#cursors.values()) {
      if (cursor.retryAt !== undefined && cursor.retryAt <= now) {
        cursor.retryAt = undefined
        cursor.position = Math.min(cursor.position, cursor.refusedSeq - 1)
        void this.#flush(cursor)
      } else if (this.#isIdle(cursor) && cursor.usedAt + limits.redeliverAfterMs / 2 <= now) {
        // Kept for a while: the answer to a publish may come later than the acknowledgement of what was read from the mailbox.
        this.#cursors.delete(cursor.topic)
      }
    }
  }

  #wakeWaiters(): void {
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const wake of waiters) wake()
  }

  #close(): void {
    this.#closed = true
    this.#connectGrace[Symbol.dispose]()
    for (const timer of this.#timers) timer[Symbol.dispose]()
    this.#timers.clear()
    this.#attention?.[Symbol.dispose]()
    this.#wakeWaiters()
    this.#cursors.clear()
    this.#behind.clear()
  }
}
