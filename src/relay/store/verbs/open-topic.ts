/** A topic while a verb changes it: entries are in the row, or in pages that are read when they are needed. */
import type { ReadAnswer, ReadRequest, Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { TRIM_TO_RATIO } from '../../store.ts'
import { displacedOf } from '../eviction.ts'
import { firstDue, moved } from './advance.ts'
import { type Cursor, isDone, newCursor } from './cursor-row.ts'
import {
  countOf,
  entriesFrom,
  expiryAt,
  findId,
  firstBehind,
  hashOf,
  idAt,
  identityOf,
  payerAt,
  seqAt,
  sizeAt,
} from './entries.ts'
import { dueKey, pageKey, type TopicRows } from './rows.ts'
import { emptyTopic, isForeign, type Page, type Topic } from './topic-row.ts'

/** Entries in the row of the topic, which is written for each message and acknowledgement. */
const MAX_ROW_ENTRIES = 8
/** LMDB keeps a row of up to 2 KB beside others. */
const MAX_PAGE_ENTRIES = 40

/** What yields reads, as a verb does. */
export type Step<T> = Generator<readonly ReadRequest[], T, readonly ReadAnswer[]>

export interface Bounds {
  messages: number
  bytes: number
}

export class OpenTopic {
  readonly #rows: TopicRows
  readonly #state: Topic
  readonly #wasThere: boolean
  readonly #pages = new Map<number, Buffer>()
  readonly #writes: Write[] = []
  #isChanged = false
  /** Of the topic as it was: it is on the list of what is due by then. */
  readonly #formerSoonest: number

  #cursors: readonly Cursor[]
  #areCursorsChanged = false

  /** `cursors`: left out where no message is added and no cursor asked for. */
  constructor(rows: TopicRows, found: Topic | undefined, cursors: readonly Cursor[] = []) {
    this.#rows = rows
    this.#state = found ?? emptyTopic()
    this.#cursors = cursors
    this.#wasThere = found !== undefined
    this.#formerSoonest = this.#state.soonest
  }

  get state(): Readonly<Topic> {
    return this.#state
  }

  get hasPages(): boolean {
    return this.#state.pages.length > 0
  }

  isForeign(clientId: string): boolean {
    return isForeign(this.#state, clientId)
  }

  own(clientId: string): void {
    this.#state.owner = clientId
    this.#isChanged = true
  }

  /** Those who get what is published: the owner alone, where there is one. */
  subscribers(): readonly string[] {
    const { owner, subscribers } = this.#state
    return owner === '' ? subscribers : subscribers.filter((clientId) => clientId === owner)
  }

  setSubscribers(subscribers: readonly string[]): void {
    this.#state.subscribers = subscribers
    this.#isChanged = true
  }

  /** Subscribers, and those who are done with something. */
  memberCount(): number {
    const keys = new Set(this.#cursors.map(({ key }) => key))
    for (const clientId of this.#state.subscribers) keys.add(identityOf(clientId).key)
    return keys.size
  }

  get cursors(): readonly Cursor[] {
    return this.#cursors
  }

  cursorOf(clientId: string): Cursor {
    const { key } = identityOf(clientId)
    return this.#cursors.find((cursor) => cursor.key === key) ?? newCursor(key)
  }

  setCursors(cursors: readonly Cursor[]): void {
    this.#cursors = cursors
    this.#areCursorsChanged = true
  }

  /** Those that moved in the places of their clients' former ones. */
  putCursors(moved: readonly Cursor[]): void {
    if (moved.length === 0) return
    const byKey = new Map(moved.map((cursor) => [cursor.key, cursor]))
    const kept = this.#cursors.map((cursor) => {
      const next = byKey.get(cursor.key) ?? cursor
      byKey.delete(cursor.key)
      return next
    })
    this.setCursors([...kept, ...byKey.values()])
  }

  *#page({ number }: Page): Step<Buffer> {
    const known = this.#pages.get(number)
    if (known) return known
    const [{ value }] = yield* ask([this.#rows.pages.get(pageKey(number))])
    if (!value) throw new Error('A page of a topic is gone')
    this.#pages.set(number, value)
    return value
  }

  #writePage(page: Page, entries: Buffer): void {
    this.#pages.set(page.number, entries)
    this.#writes.push(this.#rows.pages.put({ key: pageKey(page.number), value: entries }))
  }

  /** Entries of the row alone. */
  findInRow(id: Buffer): number {
    return findId(this.#state.entries, id)
  }

  /** Moves the cursor over what is no longer due up to `upto`: acknowledged, own, gone, and expired where `now` says. */
  *advanced(clientId: string, cursor: Cursor, upto: number, now?: number): Step<Cursor> {
    if (cursor.cursor >= upto) return cursor
    if (cursor.due > cursor.cursor && cursor.due <= upto && !isDone(cursor, cursor.due)) {
      if (now === undefined || cursor.dueUntil > now) return cursor
    }
    const hash = hashOf(clientId)
    for (const page of this.#state.pages) {
      if (page.last <= cursor.cursor) continue
      const entries = yield* this.#page(page)
      const nth = firstDue(entries, cursor, hash, now)
      if (nth < countOf(entries)) return moved(cursor, entries, nth, upto)
    }
    return moved(cursor, this.#state.entries, firstDue(this.#state.entries, cursor, hash, now), upto)
  }

  add(entry: Buffer, { seq, size, expiresAt }: { seq: number; size: number; expiresAt: number }): void {
    const state = this.#state
    state.entries = Buffer.concat([state.entries, entry])
    state.lastSeq = seq
    state.count += 1
    state.bytes += size
    if (expiresAt < state.soonest) state.soonest = expiresAt
    this.#isChanged = true
  }

  /** All entries, oldest first. */
  *all(): Step<Buffer> {
    const { pages, entries } = this.#state
    if (pages.length === 0) return entries
    const missing = pages.filter(({ number }) => !this.#pages.has(number))
    const found = yield* ask(missing.map(({ number }) => this.#rows.pages.get(pageKey(number))))
    for (const [nth, { number }] of missing.entries()) {
      const value = found[nth]?.value
      if (!value) throw new Error('A page of a topic is gone')
      this.#pages.set(number, value)
    }
    return Buffer.concat([...pages.map(({ number }) => this.#pages.get(number) ?? Buffer.alloc(0)), entries])
  }

  /** Takes messages out; their entries are packed anew. `gone`: places in `all`, rising. */
  drop(all: Buffer, gone: readonly number[]): void {
    if (gone.length === 0) return
    const state = this.#state
    const kept: Buffer[] = []
    const seqs = new Set<number>()
    let from = 0
    for (const nth of gone) {
      seqs.add(seqAt(all, nth))
      kept.push(entriesFrom(all, from, nth))
      from = nth + 1
      state.count -= 1
      state.bytes -= sizeAt(all, nth)
      this.#writes.push(this.#rows.messages.remove(Buffer.from(idAt(all, nth))))
    }
    kept.push(entriesFrom(all, from))
    if (this.#cursors.some(({ due }) => seqs.has(due)))
      this.setCursors(this.#cursors.map((one) => (seqs.has(one.due) ? { ...one, due: 0 } : one)))
    for (const { number } of state.pages) this.#writes.push(this.#rows.pages.remove(pageKey(number)))
    this.#pages.clear()
    state.pages = []
    state.entries = Buffer.concat(kept)
    state.soonest = Number.POSITIVE_INFINITY
    for (let nth = 0; nth < countOf(state.entries); nth++)
      state.soonest = Math.min(state.soonest, expiryAt(state.entries, nth))
    this.#isChanged = true
  }

  /** Drops the message with this seq, which has expired. */
  *dropSeq(seq: number): Step<void> {
    const all = yield* this.all()
    const nth = firstBehind(all, seq - 1)
    if (nth < countOf(all) && seqAt(all, nth) === seq) this.drop(all, [nth])
  }

  /** Answers how many. */
  *dropExpired(now: number, limit = Number.POSITIVE_INFINITY): Step<number> {
    const all = yield* this.all()
    const gone: number[] = []
    for (let nth = 0; nth < countOf(all) && gone.length < limit; nth++)
      if (expiryAt(all, nth) <= now) gone.push(nth)
    this.drop(all, gone)
    return gone.length
  }

  /** Makes room for a message; answers how many went that a subscriber still waited for. */
  *makeRoom(size: number, now: number, bounds: Bounds): Step<number> {
    const maxMessages = Math.min(bounds.messages - 1, Math.floor(bounds.messages * TRIM_TO_RATIO))
    const maxBytes = Math.min(bounds.bytes - size, Math.floor(bounds.bytes * TRIM_TO_RATIO))
    if (this.#state.soonest <= now) yield* this.dropExpired(now)
    yield* this.#dropFinished(now, maxMessages, maxBytes)
    const displaced = yield* this.#displace(maxMessages, () => 1)
    return displaced + (yield* this.#displace(maxBytes, sizeAt))
  }

  /** What every subscriber has, oldest first, while there is too much. */
  *#dropFinished(now: number, maxMessages: number, maxBytes: number): Step<void> {
    const { lastSeq } = this.#state
    const subscribers = this.subscribers()
    if (subscribers.length === 0) return
    let finished = lastSeq
    for (const clientId of subscribers) {
      const { cursor } = yield* this.advanced(clientId, this.cursorOf(clientId), lastSeq, now)
      finished = Math.min(finished, cursor)
    }
    const all = yield* this.all()
    const gone: number[] = []
    let [count, bytes] = [this.#state.count, this.#state.bytes]
    for (let nth = 0; count > maxMessages || bytes > maxBytes; nth++) {
      if (nth >= countOf(all) || seqAt(all, nth) > finished) break
      gone.push(nth)
      count -= 1
      bytes -= sizeAt(all, nth)
    }
    this.drop(all, gone)
  }

  /** The oldest of the largest payers go until `target` is left. */
  *#displace(target: number, amountAt: (entries: Buffer, nth: number) => number): Step<number> {
    const all = yield* this.all()
    const held = Array.from({ length: countOf(all) }, (_, seq) => ({
      seq,
      payer: payerAt(all, seq),
      amount: amountAt(all, seq),
    }))
    const gone = displacedOf(held, target)
    this.drop(all, gone)
    return gone.length
  }

  /** What there are too many of for the row goes to pages, all at once. */
  *#divide(): Step<void> {
    const state = this.#state
    const count = countOf(state.entries)
    if (count <= MAX_ROW_ENTRIES) return
    let from = 0
    const last = state.pages.at(-1)
    if (last && last.count + count <= MAX_PAGE_ENTRIES) {
      const entries = Buffer.concat([yield* this.#page(last), state.entries])
      from = count
      const page = { ...last, last: seqAt(entries, countOf(entries) - 1), count: countOf(entries) }
      state.pages = state.pages.with(-1, page)
      this.#writePage(page, entries)
    }
    for (; from < count; from += MAX_PAGE_ENTRIES) {
      const entries = entriesFrom(state.entries, from, Math.min(from + MAX_PAGE_ENTRIES, count))
      const length = countOf(entries)
      const page = {
        number: state.nextPage,
        first: seqAt(entries, 0),
        last: seqAt(entries, length - 1),
        count: length,
      }
      state.nextPage += 1
      state.pages = [...state.pages, page]
      this.#writePage(page, Buffer.from(entries))
    }
    state.entries = Buffer.alloc(0)
  }

  /** All that the verb writes. A topic without a message knows nothing of what was done with it; without both it is gone. */
  *finish(): Step<Write[]> {
    const { row, cursors, due, topic } = this.#rows
    if (this.#isChanged) {
      yield* this.#divide()
      const state = this.#state
      if (state.count === 0) {
        state.soonest = Number.POSITIVE_INFINITY
        if (this.#wasThere) this.#writes.push(cursors.remove())
        this.#areCursorsChanged = false
      }
      if (state.soonest < this.#formerSoonest)
        this.#writes.push(due.put({ key: dueKey(state.soonest, topic), value: true }))
      if (state.count > 0 || state.subscribers.length > 0 || state.owner !== '')
        this.#writes.push(row.put({ value: state }))
      else if (this.#wasThere) this.#writes.push(row.remove())
    }
    if (this.#areCursorsChanged) this.#writes.push(cursors.put({ value: this.#cursors }))
    return this.#writes
  }

  write(one: Write): void {
    this.#writes.push(one)
  }
}
