import { invariant } from '../../platform/invariant.ts'
import type { Outgoing } from './outgoing.ts'
import type { Turns } from './turns.ts'

/** The connection that a message was put in flight on. */
export interface Pusher {
  readonly id: string
  readonly blocked: boolean
  push(entry: Entry): void
  pushAgain(entry: Entry, now: number): void
  /** The entry takes no room any more; with `keep` a late answer to it is still understood. */
  forget(entry: Entry, keep?: boolean): void
}

/** One push of one message on one connection, until it is acknowledged. */
export interface Entry {
  readonly pushId: number
  readonly message: Outgoing
  /** What it takes of the window of its connection, bytes. */
  readonly size: number
  readonly cursor: TopicCursor
  readonly connection: Pusher
  sentAt: number
  /** Pushed before this client subscribed on this connection; published clients ignore such a push. */
  early: boolean
  /** Takes room in the window and is pushed again when due. A closed one is kept only to understand a late answer. */
  open: boolean
  /** Bytes that were taken of the share of its address. */
  shareBytes: number
}

/** Where payers take turns, messages in flight on one topic: the next payer waits for so many. Our notify server handles 64 at once. */
const MAX_IN_FLIGHT_IN_TURNS = 128

/**
 * What a delivery knows about one topic. It exists only while there is something to know, and only its methods change it.
 *
 * `position`: all that waits with a seq up to here was pushed, waits for its turn, or is claimed by another connection.
 * The mailbox is read from here on. It grows, except for `rewind`.
 *
 * A class, because there are thousands of them and they share their methods.
 */
export class TopicCursor {
  readonly topic: string
  readonly subscriptionId: string
  /** Where payers take turns: what is read and not pushed yet. It is empty unless the cursor waits for room. */
  readonly turns: Turns | undefined
  #position = 0
  /** By message id. */
  readonly #inFlight = new Map<string, Entry>()
  /** Subscribes and fetches that are being answered: nothing is pushed meanwhile. */
  #holds = 0
  #isEarly: boolean
  #isReading = false
  #isDirty = false
  /** Ids acknowledged while the mailbox was being read: what was read may still show them. */
  readonly #acknowledged = new Set<string>()
  #usedAt: number
  #retryAt: number | undefined
  #retrySeq = 0

  constructor(
    topic: string,
    subscriptionId: string,
    { early, now, turns }: { early: boolean; now: number; turns: Turns | undefined },
  ) {
    this.topic = topic
    this.subscriptionId = subscriptionId
    this.turns = turns
    this.#isEarly = early
    this.#usedAt = now
  }

  // ---- Position

  get position(): number {
    return this.#position
  }

  /** All up to `seq` is taken care of. */
  advance(seq: number, usedAt = this.#usedAt): void {
    if (seq > this.#position) this.#position = seq
    this.#usedAt = usedAt
  }

  /** The client itself published `seq`: nothing to push where nothing older waits. */
  skip(previousSeq: number, seq: number): void {
    if (!this.#isReading && this.#position >= previousSeq) this.advance(seq)
  }

  /** Messages from `seq` on are to be read again. */
  rewind(seq: number): void {
    this.#position = Math.min(this.#position, seq - 1)
  }

  // ---- In flight

  /** The entry is in flight. */
  admit(entry: Entry): void {
    this.#inFlight.set(entry.message.id, entry)
  }

  /** The entry is in flight no more; another one of the same message stays. */
  release(entry: Entry): void {
    if (this.#inFlight.get(entry.message.id) === entry) this.#inFlight.delete(entry.message.id)
  }

  /** The message is acknowledged. Returns its entry, which its connection forgets. */
  acknowledge(id: string): Entry | undefined {
    if (this.isBusy) this.#acknowledged.add(id)
    return this.#inFlight.get(id)
  }

  isInFlight(id: string): boolean {
    return this.#inFlight.has(id)
  }

  /** A message that was read from the mailbox, and is not to be pushed (again). */
  isHandled(id: string): boolean {
    return this.#inFlight.has(id) || this.#acknowledged.has(id)
  }

  entries(): Entry[] {
    return [...this.#inFlight.values()]
  }

  seqsInFlight(): Set<number> {
    const seqs = new Set<number>()
    for (const { message } of this.#inFlight.values()) seqs.add(message.seq)
    return seqs
  }

  /** Where payers take turns, a topic has a window of its own. */
  get hasRoom(): boolean {
    return this.turns === undefined || this.#inFlight.size < MAX_IN_FLIGHT_IN_TURNS
  }

  /** Worth reading a page. */
  get hasMuchRoom(): boolean {
    return this.turns === undefined || this.#inFlight.size <= MAX_IN_FLIGHT_IN_TURNS / 2
  }

  // ---- Held, read, dirty

  /** Nothing is pushed until `unhold` is called as often. */
  hold(): void {
    this.#holds++
  }

  unhold(): void {
    invariant(this.#holds > 0, 'A topic cursor is unheld as often as it was held')
    this.#holds--
    if (!this.isBusy) this.#acknowledged.clear()
  }

  get isHeld(): boolean {
    return this.#holds > 0
  }

  /** Held, or its mailbox is being read: what comes now only makes it dirty. */
  get isBusy(): boolean {
    return this.#isReading || this.#holds > 0
  }

  /** Something came while the cursor was busy: the mailbox is to be read (again). */
  get isDirty(): boolean {
    return this.#isDirty
  }

  markDirty(): void {
    this.#isDirty = true
  }

  /** The mailbox is about to be read, so nothing that came before makes the cursor dirty. */
  markClean(): void {
    this.#isDirty = false
  }

  beginReading(): void {
    this.#isReading = true
  }

  endReading(): void {
    this.#isReading = false
    if (this.#holds === 0) this.#acknowledged.clear()
  }

  // ---- Early pushes

  /** The client has not subscribed on this connection. */
  get isEarly(): boolean {
    return this.#isEarly
  }

  /** The client subscribes: no push from now on is early. */
  markSubscribed(): void {
    this.#isEarly = false
  }

  /** The entries that were pushed early; they are early no more. */
  takeEarly(): Entry[] {
    const early: Entry[] = []
    for (const entry of this.#inFlight.values()) {
      if (!entry.early) continue
      entry.early = false
      early.push(entry)
    }
    return early
  }

  // ---- Second looks, and the end

  /** Messages from `seq` on are to be read again at `at`: another connection claimed them, or they could not be read. */
  retryFrom(seq: number, at: number): void {
    this.#retrySeq = this.#retryAt === undefined ? seq : Math.min(this.#retrySeq, seq)
    this.#retryAt = at
  }

  get retryAt(): number | undefined {
    return this.#retryAt
  }

  /** True when a second look is due; the position is then in front of it. */
  takeRetry(now: number): boolean {
    if (this.#retryAt === undefined || this.#retryAt > now) return false
    this.#retryAt = undefined
    this.rewind(this.#retrySeq)
    return true
  }

  /** Nothing happens on the topic. */
  get isIdle(): boolean {
    return !this.isBusy && this.#inFlight.size === 0 && this.#retryAt === undefined
  }

  /** Nothing was pushed or fetched since. */
  isUnusedSince(time: number): boolean {
    return this.#usedAt <= time
  }
}
