/**
 * Delivery to one reader: a connection, or all `?share=1` connections of a client id on this process together.
 *
 * A feed has a lane for every topic on which something happens right now. Its rules (protocol §4, "Delivery"):
 *
 * | event | what the lane does |
 * |---|---|
 * | published, nothing older waits or all of it is in flight | pushed from memory |
 * | published, otherwise | the mailbox is read from the lane's cursor on, in publish order; for a trusted client in turns of the payers |
 * | connected | nothing for 250 ms, and longer while the client subscribes or fetches; then the mailboxes of all its topics |
 * | subscribe | held until answered and 100 ms more, then the mailbox; early pushes once more |
 * | fetch | held until answered; what was returned is acknowledged, not pushed |
 * | unsubscribe | the lane is gone, a late acknowledgement still counts |
 * | window full, or the reader blocked | behind; goes on when half of the window is free |
 * | not acknowledged for 30 s | pushed again; in a shared feed on another connection |
 * | acknowledged on any connection of the client | in flight on none |
 *
 * The mailbox in the store is the truth; a lane is what was already pushed of it. A shared feed claims a message before it
 * pushes it, so that no other process pushes it too.
 */
import type { Clock } from '../../platform/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { subscriptionIdOf } from '../../protocol/topic.ts'
import type { RelayLimits } from '../limits.ts'
import type { Head, RelayStore, StoredMessage } from '../store.ts'
import type { Acknowledger } from './ack-batcher.ts'
import { createSettling, type Settling } from './connect-grace.ts'
import type { Session } from './connection.ts'
import { createReaders, type Readers } from './consumers.ts'
import { abbreviate, type Entry, type Lane, newLane, type Outgoing, outgoing } from './topic-cursor.ts'
import { createTurns, type Turns } from './turns.ts'

export interface FeedDeps {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  acknowledger: Acknowledger
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

export class Feed {
  readonly clientId: string
  readonly shared: boolean
  /** Payers take turns on each topic: what one of them leaves holds up nobody else. */
  readonly #inTurns: boolean
  readonly #deps: FeedDeps
  readonly #readers: Readers
  readonly #lanes = new Map<string, Lane>()
  /** Lanes whose mailbox has more than the window took, in the order in which they go on. */
  readonly #behind = new Set<Lane>()
  /** Set while the mailboxes of all topics are gone through: topics that the client left meanwhile. */
  #left: Set<string> | undefined
  #roomWaiters: (() => void)[] = []
  #timers = new Set<Disposable>()
  #attention: Disposable | undefined
  readonly #settling: Settling
  /** The client has subscribed on this connection, so it listens. */
  #listening = false
  #goingOn = false
  #goesOnAgain = false
  #closed = false

  constructor(deps: FeedDeps, who: { clientId: string; share: boolean; inTurns: boolean }) {
    this.#deps = deps
    this.clientId = who.clientId
    this.shared = who.share
    this.#inTurns = who.inTurns
    this.#readers = createReaders(deps, who, (lane, seq) => this.#lookAgain(lane, seq))
    this.#settling = createSettling(deps.clock, deps.limits, (asked) => void this.#goThrough({ asked }))
  }

  join(session: Session): void {
    this.#readers.add(session)
    this.resume()
  }

  /** The session has ended; what it had in flight goes to the others of a shared feed. True when none is left. */
  leave(session: Session, inFlight: readonly Entry[]): boolean {
    this.#readers.remove(session)
    if (this.#readers.sessions.size === 0) this.#close()
    if (this.shared) void this.#handOver(session, inFlight)
    return this.#closed
  }

  // ---- What happens to topics

  /** A message was just published on a topic that the client is subscribed to. */
  published(message: Outgoing, previousSeq: number, caughtUp: boolean): void {
    const known = this.#lanes.get(message.topic)
    // It is stored, so it is found when the mailboxes are gone through.
    if (this.#settling.expects(message.topic)) return
    const lane = known ?? this.#open(message.topic, !this.#listening)
    if (message.seq <= lane.cursor || lane.inFlight.has(message.id)) return
    if (lane.holds > 0 || lane.flushing) lane.stirred = true
    else if (this.#behind.has(lane)) return
    else if (!caughtUp && lane.cursor < previousSeq) void this.#flush(lane)
    else this.#place(lane, message)
  }

  /** The client itself published: nothing to push, but the next message follows on what this lane has. */
  publishedByClient(topic: string, seq: number, previousSeq: number): void {
    const lane = this.#lanes.get(topic)
    if (lane && !lane.flushing && lane.cursor >= previousSeq && lane.cursor < seq) lane.cursor = seq
  }

  /** Something may wait on the topic: another process stored it. */
  stirred(topic: string): void {
    const known = this.#lanes.get(topic)
    if (!this.#settling.expects(topic)) void this.#flush(known ?? this.#open(topic, !this.#listening))
  }

  /** The client subscribes: nothing is pushed on these topics until `subscribed` or `abandoned` is called. */
  subscribing(topics: readonly string[]): Lane[] {
    this.#listening = true
    this.#settling.postpone()
    return topics.map((topic) => {
      const lane = this.#lanes.get(topic) ?? this.#open(topic, false)
      lane.early = false
      lane.holds++
      this.#left?.delete(topic)
      this.#settling.asked(topic)
      return lane
    })
  }

  /** The subscribe is answered. */
  subscribed(lanes: readonly Lane[]): void {
    this.#settling.postpone()
    this.#later(this.#deps.limits.holdAfterSubscribe, () => {
      const now = this.#deps.clock.now()
      for (const lane of lanes) {
        for (const entry of lane.inFlight.values()) {
          if (!entry.early || this.#lanes.get(lane.topic) !== lane) continue
          entry.early = false
          entry.session.pushAgain(entry, now)
        }
      }
      void this.#unhold(lanes)
    })
  }

  /** The subscribe or fetch failed. */
  abandoned(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      this.#letGo(lane)
      if (lane.stirred && lane.holds === 0 && this.#isCurrent(lane)) void this.#flush(lane)
      else this.#dropIfIdle(lane)
    }
  }

  unsubscribed(topics: readonly string[]): void {
    for (const topic of topics) {
      this.#left?.add(topic)
      this.#settling.unasked(topic)
      const lane = this.#lanes.get(topic)
      if (!lane) continue
      this.#lanes.delete(topic)
      this.#behind.delete(lane)
      for (const entry of [...lane.inFlight.values()]) entry.session.forget(entry, true)
    }
    this.resume()
  }

  /** The client fetches: as `subscribing`, but it need not be subscribed. */
  fetching(topics: readonly string[]): Lane[] {
    this.#settling.postpone()
    return topics.map((topic) => {
      const lane = this.#lanes.get(topic) ?? this.#open(topic, !this.#listening)
      lane.holds++
      return lane
    })
  }

  /** The fetch is answered and what it returned is acknowledged, up to `seq` of each lane. */
  fetched(lanes: readonly { lane: Lane; seq: number }[]): void {
    this.#settling.postpone()
    for (const { lane, seq } of lanes) {
      lane.cursor = Math.max(lane.cursor, seq)
      lane.usedAt = this.#deps.clock.now()
    }
    this.abandoned(lanes.map(({ lane }) => lane))
    this.#attend()
  }

  /** Acknowledged by the client, on whichever connection. */
  acknowledged(topic: string, id: string): void {
    const lane = this.#lanes.get(topic)
    if (!lane) return
    if (lane.flushing || lane.holds > 0) lane.acknowledged.add(id)
    const entry = lane.inFlight.get(id)
    if (!entry) return
    entry.session.forget(entry)
    this.resume()
  }

  /** Goes on with what waited for room. */
  resume(): void {
    if (this.#behind.size === 0 && this.#roomWaiters.length === 0) return
    if (!this.#readers.hasMuchRoom) return
    this.#wakeWaiters()
    if (this.#goingOn) this.#goesOnAgain = true
    else void this.#goOn()
  }

  /** Looks for what no wake told of, from the start of every mailbox. */
  async catchUp(): Promise<void> {
    if (this.#settling.over && !this.#left) await this.#goThrough({ fromStart: true })
  }

  // ---- From the mailbox to the connections

  /** One lane after the other: a page that is read and finds no room was read in vain. */
  async #goOn(): Promise<void> {
    this.#goingOn = true
    do {
      this.#goesOnAgain = false
      // One that stays behind is looked at again when there is room since.
      for (const lane of [...this.#behind]) {
        if (!this.#readers.hasRoom) break
        await this.#flush(lane)
      }
    } while (this.#goesOnAgain && !this.#closed)
    this.#goingOn = false
  }

  #letGo(lane: Lane): void {
    lane.holds--
    if (lane.holds === 0 && !lane.flushing) lane.acknowledged.clear()
  }

  #open(topic: string, early: boolean): Lane {
    const lane = newLane(topic, subscriptionIdOf(topic, this.clientId), {
      early,
      now: this.#deps.clock.now(),
      turns: this.#inTurns ? createTurns() : undefined,
    })
    this.#lanes.set(topic, lane)
    return lane
  }

  #place(lane: Lane, message: Outgoing): boolean {
    const isFull = lane.turns !== undefined && lane.inFlight.size >= TURNS_IN_FLIGHT
    const placed = !isFull && this.#readers.place(lane, message)
    if (placed) this.#attend()
    else this.#behind.add(lane)
    return placed
  }

  #isCurrent(lane: Lane): boolean {
    return !this.#closed && this.#lanes.get(lane.topic) === lane
  }

  /** A lane on which nothing was ever pushed and nothing happens knows nothing. */
  #dropIfIdle(lane: Lane): void {
    if (lane.cursor === 0 && this.#isIdle(lane)) this.#lanes.delete(lane.topic)
  }

  #isIdle(lane: Lane): boolean {
    return (
      lane.holds === 0 &&
      !lane.flushing &&
      lane.inFlight.size === 0 &&
      lane.retryAt === undefined &&
      !this.#behind.has(lane) &&
      this.#lanes.get(lane.topic) === lane
    )
  }

  /** Another holder has the message: it may be lost there, so look once its lease is over. */
  #lookAgain(lane: Lane, seq: number): void {
    lane.refusedSeq = lane.retryAt === undefined ? seq : Math.min(lane.refusedSeq, seq)
    lane.retryAt = this.#deps.clock.now() + this.#deps.limits.redeliverAfter
    this.#attend()
    // What was refused has left room.
    this.resume()
  }

  #failed(error: unknown, lane: Lane): void {
    if (this.#closed) return
    this.#deps.log.error({ err: error, topic: abbreviate(lane.topic) }, 'A mailbox could not be read')
  }

  /** Pushes what the mailbox has after the lane's cursor, as far as there is room. */
  async #flush(lane: Lane): Promise<void> {
    if (lane.flushing || lane.holds > 0) {
      lane.stirred = true
      return
    }
    if (this.#settling.expects(lane.topic)) {
      this.#dropIfIdle(lane)
      return
    }
    lane.flushing = true
    this.#behind.delete(lane)
    try {
      for (let more = true; more; ) {
        lane.stirred = false
        more = (await this.#pushPage(lane)) || lane.stirred
        if (!this.#isCurrent(lane)) return
        // Whoever holds the lane flushes it when it lets go.
        if (lane.holds > 0) {
          lane.stirred = true
          return
        }
      }
    } catch (error) {
      this.#failed(error, lane)
      this.#lookAgain(lane, lane.cursor + 1)
    } finally {
      lane.flushing = false
      if (lane.holds === 0) lane.acknowledged.clear()
      this.#dropIfIdle(lane)
    }
  }

  /** True when there is more to push now. */
  async #pushPage(lane: Lane): Promise<boolean> {
    const { store, clock, acknowledger } = this.#deps
    const isBusy = lane.turns !== undefined && lane.inFlight.size > TURNS_IN_FLIGHT / 2
    if (isBusy || !this.#readers.hasRoom) {
      this.#behind.add(lane)
      return false
    }
    await acknowledger.settled(this.clientId)
    if (lane.turns) return this.#pushTurns(lane, lane.turns)
    const page = await store.pending(this.clientId, lane.topic, {
      after: lane.cursor,
      limit: PAGE_MESSAGES,
      maxBytes: PAGE_BYTES,
      now: clock.now(),
    })
    if (!this.#isCurrent(lane) || lane.holds > 0) return false
    for (const message of page.messages) {
      if (lane.inFlight.has(message.id) || lane.acknowledged.has(message.id)) {
        lane.cursor = Math.max(lane.cursor, message.seq)
      } else if (!this.#place(lane, outgoing(message, message.seq))) return false
    }
    return page.hasMore
  }

  /** Reads what came, and takes those whose turn it is. */
  async #nextInTurns(lane: Lane, turns: Turns): Promise<{ messages: StoredMessage[]; taken: Head[] }> {
    const { store, clock } = this.#deps
    const pushed = new Set([...lane.inFlight.values()].map(({ message }) => message.seq))
    for (let more = true; more; ) {
      const page = { after: lane.cursor, limit: PAGE_HEADS, now: clock.now() }
      const { heads, hasMore } = await store.heads(this.clientId, lane.topic, page)
      for (const head of heads) {
        if (!pushed.has(head.seq)) turns.add(head)
        lane.cursor = Math.max(lane.cursor, head.seq)
      }
      more = hasMore && this.#isCurrent(lane)
    }
    const taken = turns.take({ limit: PAGE_MESSAGES, maxBytes: PAGE_BYTES })
    const seqs = taken.map(({ seq }) => seq)
    const messages = taken.length > 0 ? await store.pick(this.clientId, lane.topic, seqs, clock.now()) : []
    return { messages, taken }
  }

  /** The same as `#pushPage`, where payers take turns. */
  async #pushTurns(lane: Lane, turns: Turns): Promise<boolean> {
    try {
      const { messages, taken } = await this.#nextInTurns(lane, turns)
      const isHeld = !this.#isCurrent(lane) || lane.holds > 0
      for (const message of messages) {
        if (lane.inFlight.has(message.id) || lane.acknowledged.has(message.id)) continue
        if (!isHeld && this.#place(lane, outgoing(message, message.seq))) continue
        turns.putBack(taken.slice(taken.findIndex(({ seq }) => seq === message.seq)))
        return false
      }
      return turns.size > 0
    } catch (error) {
      // What was taken is found again from the start.
      turns.clear()
      lane.cursor = 0
      throw error
    }
  }

  async #unhold(lanes: readonly Lane[]): Promise<void> {
    for (const lane of lanes) this.#letGo(lane)
    for (const lane of lanes) if (this.#isCurrent(lane)) await this.#flush(lane)
  }

  async #handOver(session: Session, inFlight: readonly Entry[]): Promise<void> {
    await this.#readers.release(session)
    const lanes = new Set<Lane>()
    for (const { lane, message } of inFlight) {
      lane.cursor = Math.min(lane.cursor, message.seq - 1)
      lanes.add(lane)
    }
    for (const lane of lanes) if (this.#isCurrent(lane)) void this.#flush(lane)
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
        if (!how.fromStart) this.#readers.charge(LOOK_COST)
        for (const topic of topics) {
          while (!this.#closed && !this.#readers.hasRoom) {
            await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
          }
          if (this.#closed) return
          if (left.has(topic)) continue
          const lane = this.#lanes.get(topic) ?? this.#open(topic, !how.asked?.has(topic))
          if (how.fromStart) lane.cursor = 0
          await this.#flush(lane)
        }
      }
    } catch (error) {
      if (!this.#closed) this.#deps.log.error({ err: error }, 'The mailboxes of a client could not be read')
    } finally {
      this.#left = undefined
    }
  }

  /** One timer for all that is due: redeliveries, second looks, and lanes that have had their time. */
  #attend(): void {
    if (this.#attention || this.#closed) return
    const { clock, limits } = this.#deps
    const now = clock.now()
    let at = Math.min(now + limits.redeliverAfter, this.#readers.nextDue ?? Number.POSITIVE_INFINITY)
    // What is due already is so because its connection is blocked.
    if (at <= now) at = now + 1_000
    for (const lane of this.#lanes.values()) at = Math.min(at, lane.retryAt ?? at)
    this.#attention = clock.after(Math.max(at - now, 1), () => {
      this.#attention = undefined
      this.#readers.redeliver()
      this.#tidy()
      this.resume()
      if (this.#lanes.size > 0 || this.#readers.nextDue !== undefined) this.#attend()
    })
  }

  #tidy(): void {
    const { clock, limits } = this.#deps
    const now = clock.now()
    for (const lane of this.#lanes.values()) {
      if (lane.retryAt !== undefined && lane.retryAt <= now) {
        lane.retryAt = undefined
        lane.cursor = Math.min(lane.cursor, lane.refusedSeq - 1)
        void this.#flush(lane)
      } else if (this.#isIdle(lane) && lane.usedAt + limits.redeliverAfter / 2 <= now) {
        // Kept for a while: the answer to a publish may come later than the acknowledgement of what was read from the mailbox.
        this.#lanes.delete(lane.topic)
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
    this.#settling[Symbol.dispose]()
    for (const timer of this.#timers) timer[Symbol.dispose]()
    this.#timers.clear()
    this.#attention?.[Symbol.dispose]()
    this.#wakeWaiters()
    this.#lanes.clear()
    this.#behind.clear()
  }
}
