import type { Budgets } from '../../platform/budgets/budgets.ts'
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLimits } from '../limits.ts'
import { type Outgoing, pushFrame } from './outgoing.ts'
import type { Peer } from './peer.ts'
import type { Entry, TopicCursor } from './topic-cursor.ts'

export interface ConnectionDeps {
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  budgets: Pick<Budgets, 'work' | 'memory'>
  nextPushId: () => number
}

/** What may wait for the kernel on any connection, however much its address holds: an answer of usual size. */
const MIN_BUFFERED_BYTES = 64 * 1024
/** Close code of a connection that does not read. */
const TOO_SLOW_CLOSE_CODE = 4008

/** Reasons not to read from a connection; it is read when none is left. */
const PAUSED_BLOCKED = 1
const PAUSED_OVER_RATE = 2
const PAUSED_BUSY = 4
const PAUSED_AWAITS_TURN = 8
const PAUSED_FINISHES = 16

/**
 * One connection: its window of unacknowledged pushes, and its backpressure: the reasons not to read from it. A class,
 * because there are thousands of them and they share their methods.
 *
 * It has no timer while it is idle.
 */
export class Connection {
  /** Unique among all processes; holds the claims of a shared subscription. */
  readonly id: string
  readonly clientId: string
  /** Goes on with what waits for the connection. */
  readonly #resume: () => void
  readonly share: boolean
  /** Not held to the rate. */
  readonly trusted: boolean
  /** Who pays; '' for the house. */
  readonly address: string
  readonly payer: string
  readonly #deps: ConnectionDeps
  readonly #peer: Peer
  /** Undefined for the house, which is not counted. */
  readonly #memory: Budgets['memory'] | undefined
  readonly #sent = new Map<number, Entry>()
  #messages = 0
  #bytes = 0
  #pauseReasons = 0
  /** What waits for the kernel, as far as it was taken of the share of the address. */
  #bufferedShareBytes = 0
  #requests = 0
  #requestBytes = 0
  #awaitedTurns = 0
  #slow: Disposable | undefined
  #throttle: Disposable | undefined
  #lastFetch: Promise<void> = Promise.resolve()
  #unblocked: (() => void)[] = []
  #finished: (() => void) | undefined
  open = true

  constructor(
    deps: ConnectionDeps,
    peer: Peer,
    who: {
      id: string
      clientId: string
      share: boolean
      resume: () => void
      trusted: boolean
      address: string
      payer: string
    },
  ) {
    this.#deps = deps
    this.#peer = peer
    this.id = who.id
    this.clientId = who.clientId
    this.share = who.share
    this.trusted = who.trusted
    this.address = who.address
    this.payer = who.payer
    this.#memory = who.address === '' ? undefined : deps.budgets.memory
    this.#resume = who.resume
  }

  // ---- Out: answers and pushes

  /** False when the connection is gone, or takes values. */
  send(frame: string): boolean {
    if (!this.open || !('send' in this.#peer)) return false
    this.#peer.send(frame)
    if (!this.blocked && this.#isOverBuffer(this.#peer.buffered())) this.#block()
    return true
  }

  /** Whether too much waits for the kernel; what does is taken of the share of the address. */
  #isOverBuffer(buffered: number): boolean {
    const more = buffered - this.#bufferedShareBytes
    // Small amounts come and go with every frame.
    if (more > 0 && buffered <= MIN_BUFFERED_BYTES) return false
    if (this.#memory) {
      if (more < 0) this.#memory.give(this.address, -more)
      else if (more > 0 && !this.#memory.take(this.address, more)) return true
      this.#bufferedShareBytes = buffered
    }
    return buffered > this.#deps.limits.bufferedBytes
  }

  /** Whether one more message may be pushed now. */
  get hasRoom(): boolean {
    if (!this.open || this.blocked) return false
    const { inFlightMessages, inFlightBytes } = this.#deps.limits
    if (this.#messages === 0) return true
    if (this.#messages >= inFlightMessages || this.#bytes >= inFlightBytes) return false
    return this.#memory === undefined || this.#memory.left(this.address) > 0
  }

  /** Worth going on after a full window: not for every single acknowledgement, each costs a read. */
  get hasMuchRoom(): boolean {
    const { inFlightMessages, inFlightBytes } = this.#deps.limits
    return this.hasRoom && this.#messages <= inFlightMessages / 2 && this.#bytes <= inFlightBytes / 2
  }

  /** Over its buffer: nothing is pushed and nothing is read. */
  get blocked(): boolean {
    return (this.#pauseReasons & PAUSED_BLOCKED) !== 0
  }

  get inFlight(): number {
    return this.#messages
  }

  /** Takes room for the message; `push` sends it. In between a shared subscription claims it. */
  admit(cursor: TopicCursor, message: Outgoing, now: number): Entry {
    const pushId = this.#deps.nextPushId()
    const size = this.#sizeOf(message)
    // The rest of the share where it is less: the next message finds nothing left.
    const share = Math.min(size, this.#memory?.left(this.address) ?? 0)
    const shareBytes = this.#memory?.take(this.address, share) ? share : 0
    const state = { sentAt: now, early: cursor.isEarly, open: true, shareBytes }
    const entry: Entry = { pushId, message, size, cursor, connection: this, ...state }
    this.#messages++
    this.#bytes += size
    this.#sent.set(pushId, entry)
    cursor.admit(entry)
    return entry
  }

  #sizeOf(message: Outgoing): number {
    if ('send' in this.#peer) return message.text.length
    const { message: text, attestation } = message.value
    return text.length + attestation.length
  }

  push({ pushId, cursor, message }: Entry): void {
    if (!this.open) return
    if ('push' in this.#peer) this.#peer.push({ pushId, id: message.id, message: message.value })
    else this.send(pushFrame(pushId, cursor.subscriptionId, message.text))
    this.#deps.meter.count('relay_messages_delivered_total')
  }

  /** The same push once more, to be acknowledged under the same id. */
  pushAgain(entry: Entry, now: number): void {
    entry.sentAt = now
    // The oldest is always the first.
    this.#sent.delete(entry.pushId)
    this.#sent.set(entry.pushId, entry)
    this.#deps.meter.count('relay_redeliveries_total')
    this.push(entry)
  }

  /** The client's answer to a push; the entry is then no longer in flight. Undefined for an unknown or earlier id. */
  answered(pushId: number): Entry | undefined {
    const entry = this.#sent.get(pushId)
    if (entry) this.forget(entry)
    return entry
  }

  /** Gives the room back; `keep` goes on understanding a late answer, until the push would have been due again. */
  forget(entry: Entry, keep = false): void {
    this.#sent.delete(entry.pushId)
    if (!entry.open) return
    if (keep) {
      entry.sentAt = this.#deps.clock.now()
      this.#sent.set(entry.pushId, entry)
    }
    entry.open = false
    if (entry.shareBytes > 0) this.#memory?.give(this.address, entry.shareBytes)
    this.#messages--
    this.#bytes -= entry.size
    invariant(this.#messages >= 0 && this.#bytes >= 0, 'A connection has no less than nothing in flight')
    entry.cursor.release(entry)
  }

  /** The open entries that were sent before `before`, oldest first; closed ones of that age are dropped. */
  due(before: number): Entry[] {
    const entries: Entry[] = []
    for (const entry of this.#sent.values()) {
      if (entry.sentAt > before) break
      if (entry.open) entries.push(entry)
      else this.#sent.delete(entry.pushId)
    }
    return entries
  }

  /** When the oldest push was made. */
  get oldestSentAt(): number | undefined {
    const [first] = this.#sent.values()
    return first?.sentAt
  }

  // ---- In: brakes

  /** Charges units of work; while they are not paid the connection is not read from. */
  spend(units: number): void {
    if (this.address === '' || units <= 0) return
    const wait = this.#deps.budgets.work.spend(this.address, units)
    if (wait === 0) return
    this.#throttle?.[Symbol.dispose]()
    this.#throttle = this.#deps.clock.after(wait, () => this.#endPause(PAUSED_OVER_RATE))
    this.#pauseFor(PAUSED_OVER_RATE)
  }

  /** While a request waits for its address' turn the connection is not read from. */
  async awaitTurn(turn: Promise<boolean>): Promise<boolean> {
    this.#awaitedTurns++
    this.#pauseFor(PAUSED_AWAITS_TURN)
    const begins = await turn
    if (--this.#awaitedTurns === 0) this.#endPause(PAUSED_AWAITS_TURN)
    return begins
  }

  began(bytes: number): void {
    const { requestsInProgress, bytesInProgress } = this.#deps.limits
    this.#requests++
    this.#requestBytes += bytes
    if (this.#requests >= requestsInProgress || this.#requestBytes >= bytesInProgress)
      this.#pauseFor(PAUSED_BUSY)
  }

  ended(bytes: number): void {
    const { requestsInProgress, bytesInProgress } = this.#deps.limits
    this.#requests--
    this.#requestBytes -= bytes
    invariant(
      this.#requests >= 0 && this.#requestBytes >= 0,
      'A connection ends no more requests than it began',
    )
    const isFew = this.#requests <= requestsInProgress / 2 && this.#requestBytes <= bytesInProgress / 2
    if ((this.#pauseReasons & PAUSED_BUSY) !== 0 && isFew) this.#endPause(PAUSED_BUSY)
    if (this.#requests === 0) this.#finished?.()
  }

  get takesRequests(): boolean {
    return this.open && (this.#pauseReasons & PAUSED_FINISHES) === 0
  }

  /** Takes no more requests; resolves when those that it took are answered. */
  finish(): Promise<void> {
    this.#pauseFor(PAUSED_FINISHES)
    return new Promise((resolve) => {
      this.#finished = resolve
      if (this.#requests === 0 || !this.open) resolve()
    })
  }

  /** Runs `fetch` after the earlier ones, and only while the connection takes more: an answer may be a megabyte. */
  runInOrder<T>(fetch: () => Promise<T>): Promise<T> {
    const turn = this.#lastFetch.then(async () => {
      while (this.open && this.blocked) {
        await new Promise<void>((resolve) => this.#unblocked.push(resolve))
      }
      return fetch()
    })
    this.#lastFetch = turn.then(
      () => {},
      () => {},
    )
    return turn
  }

  /** The transport says that there is room again. */
  drained(): void {
    const isOver = this.#isOverBuffer(this.#peer.buffered())
    if (!this.blocked || isOver) return
    this.#slow?.[Symbol.dispose]()
    this.#slow = undefined
    this.#endPause(PAUSED_BLOCKED)
    this.#wakeBlocked()
    this.#resume()
  }

  /** Closes from our side; the transport reports the end with `hub.close`. */
  close(code: number, reason: string): void {
    this.#peer.close(code, reason)
  }

  /** The connection is gone. Answers what was in flight. */
  end(): Entry[] {
    this.open = false
    this.#finished?.()
    this.#slow?.[Symbol.dispose]()
    this.#throttle?.[Symbol.dispose]()
    this.#wakeBlocked()
    const entries = [...this.#sent.values()].filter((entry) => entry.open)
    for (const entry of entries) this.forget(entry)
    this.#sent.clear()
    if (this.#bufferedShareBytes > 0) this.#memory?.give(this.address, this.#bufferedShareBytes)
    this.#bufferedShareBytes = 0
    return entries
  }

  #block(): void {
    this.#pauseFor(PAUSED_BLOCKED)
    this.#slow = this.#deps.clock.after(this.#deps.limits.closeBlockedAfterMs, () => {
      if (this.#peer.buffered() <= MIN_BUFFERED_BYTES) return this.drained()
      const { meter, log } = this.#deps
      meter.count('relay_slow_readers_total')
      log.info({ buffered: this.#peer.buffered() }, 'A connection that does not read was closed')
      this.#peer.close(TOO_SLOW_CLOSE_CODE, 'too slow')
    })
  }

  #wakeBlocked(): void {
    const waiting = this.#unblocked
    this.#unblocked = []
    for (const resolve of waiting) resolve()
  }

  #pauseFor(reason: number): void {
    if (this.#pauseReasons === 0 && this.open) this.#peer.pause()
    this.#pauseReasons |= reason
  }

  #endPause(reason: number): void {
    this.#pauseReasons &= ~reason
    if (this.#pauseReasons === 0 && this.open) this.#peer.resume()
  }
}
