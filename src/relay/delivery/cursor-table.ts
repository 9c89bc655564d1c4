import type { Clock } from '../../platform/runtime/clock.ts'
import { subscriptionIdOf } from '../../protocol/topic.ts'
import { TopicCursor } from './topic-cursor.ts'
import { createTurns } from './turns.ts'

/** The cursors of one delivery, by topic. */
export class CursorTable {
  readonly #clock: Clock
  readonly #clientId: string
  readonly #inTurns: boolean
  readonly #byTopic = new Map<string, TopicCursor>()
  /** Cursors whose mailbox has more than the window took, in the order in which they go on. */
  readonly backlogged = new Set<TopicCursor>()

  /** `inTurns`: payers take turns on each topic, so that what one of them leaves holds up no other. */
  constructor(clock: Clock, { clientId, inTurns }: { clientId: string; inTurns: boolean }) {
    this.#clock = clock
    this.#clientId = clientId
    this.#inTurns = inTurns
  }

  get size(): number {
    return this.#byTopic.size
  }

  get(topic: string): TopicCursor | undefined {
    return this.#byTopic.get(topic)
  }

  /** `early`: the client has not subscribed to the topic on this connection. */
  getOrOpen(topic: string, early: boolean): TopicCursor {
    return this.#byTopic.get(topic) ?? this.#open(topic, early)
  }

  values(): Iterable<TopicCursor> {
    return this.#byTopic.values()
  }

  has(cursor: TopicCursor): boolean {
    return this.#byTopic.get(cursor.topic) === cursor
  }

  delete(cursor: TopicCursor): void {
    this.#byTopic.delete(cursor.topic)
    this.backlogged.delete(cursor)
  }

  /** A cursor at the start of its mailbox on which nothing happens knows nothing. */
  dropIfUnused(cursor: TopicCursor): void {
    if (cursor.position === 0 && this.#isIdle(cursor)) this.#byTopic.delete(cursor.topic)
  }

  dropIfIdleSince(cursor: TopicCursor, time: number): void {
    if (this.#isIdle(cursor) && cursor.isUnusedSince(time)) this.#byTopic.delete(cursor.topic)
  }

  clear(): void {
    this.#byTopic.clear()
    this.backlogged.clear()
  }

  #open(topic: string, early: boolean): TopicCursor {
    const turns = this.#inTurns ? createTurns() : undefined
    const cursor = new TopicCursor(topic, subscriptionIdOf(topic, this.#clientId), {
      early,
      now: this.#clock.now(),
      turns,
    })
    this.#byTopic.set(topic, cursor)
    return cursor
  }

  #isIdle(cursor: TopicCursor): boolean {
    return cursor.isIdle && !this.backlogged.has(cursor) && this.has(cursor)
  }
}
