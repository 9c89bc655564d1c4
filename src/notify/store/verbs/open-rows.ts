/** Rows that a verb changes in several places before it writes them: chunks of receipts, and histories. */
import type { Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { settlePointers } from '../outbox/line.ts'
import { expiresAtOf, failReceipt, findReceipt, markSent, moveReceipt, stateAt } from '../packed/chunks.ts'
import {
  type Copy,
  copiesIn,
  copiesInHead,
  copyAt,
  findInHead,
  findInPage,
  flagged,
  newHead,
  pagesUntil,
  setPages,
  unreadInPages,
} from '../packed/heads.ts'
import { chunkIn, type ReceiptPlace, referenceIn } from '../packed/line-rows.ts'
import type { Steps } from './deps.ts'
import { ACCOUNTS, chunksOf, HEADS, PAGES } from './tables.ts'

/** Pages of a history: more than anybody has. */
export const MAX_PAGES = 100_000

/** A chunk as it becomes. */
export class OpenChunk {
  readonly receipts: ReceiptPlace
  #value: Buffer
  #isOwn = false
  constructor(receipts: ReceiptPlace, value: Buffer) {
    this.receipts = receipts
    this.#value = value
  }
  get value(): Buffer {
    return this.#value
  }
  /** Where the receipt of the copy is, and its state; undefined where there is none. */
  find(copyId: Buffer): { at: number; state: number } | undefined {
    const at = findReceipt(this.#value, copyId)
    return at < 0 ? undefined : { at, state: stateAt(this.#value, at) }
  }
  #own(): Buffer {
    if (!this.#isOwn) this.#value = Buffer.from(this.#value)
    this.#isOwn = true
    return this.#value
  }
  replace(value: Buffer): void {
    this.#value = value
    this.#isOwn = true
  }
  markSent(at: number): void {
    markSent(this.#own(), at)
  }
  move(at: number, state: number, when: number): void {
    moveReceipt(this.#own(), at, state, when)
  }
  fail(at: number, when: number, reason: string): void {
    this.replace(failReceipt(this.#value, at, when, reason))
  }
  /** What has changed, pointers included. */
  writes(partition: string): Write[] {
    if (!this.#isOwn) return []
    const { chunk, writes } = settlePointers(partition, this.receipts, this.#value)
    const set = chunksOf(partition, referenceIn(this.receipts))
    const row = { key: chunkIn(this.receipts), value: chunk, expiresAt: expiresAtOf(chunk), keepsEnd: true }
    return [set.put(row), ...writes]
  }
}

/** Chunks that are there, by their places. */
export function* openChunks(
  partition: string,
  places: Iterable<ReceiptPlace>,
): Steps<Map<ReceiptPlace, OpenChunk>> {
  const wanted = [...new Set(places)]
  const open = new Map<ReceiptPlace, OpenChunk>()
  if (wanted.length === 0) return open
  const found = yield* ask(wanted.map((place) => chunksOf(partition, referenceIn(place)).get(chunkIn(place))))
  for (const [nth, place] of wanted.entries()) {
    const value = found[nth]?.value
    if (value) open.set(place, new OpenChunk(place, value))
  }
  return open
}

interface OpenPage {
  key: Buffer
  value: Buffer
  isChanged: boolean
}

/** A history as it becomes: its head, and its pages where they were read. */
export class OpenHistory {
  #head: Buffer
  #isChanged = false
  readonly pages: OpenPage[] = []
  constructor(head: Buffer) {
    this.#head = head
  }
  get head(): Buffer {
    return this.#head
  }
  setHead(head: Buffer): void {
    this.#head = head
    this.#isChanged = true
  }
  find(copyId: Buffer): Copy | undefined {
    const at = findInHead(this.#head, copyId)
    if (at >= 0) return copyAt(this.#head, at)
    for (const { value } of this.pages) {
      const there = findInPage(value, copyId)
      if (there >= 0) return copyAt(value, there)
    }
    return undefined
  }
  copies(): Copy[] {
    return [...copiesInHead(this.#head), ...this.pages.flatMap(({ value }) => copiesIn(value))]
  }
  flag(copyId: Buffer, flag: number): void {
    const at = findInHead(this.#head, copyId)
    if (at >= 0) {
      this.setHead(flagged(this.#head, at, flag).next)
      return
    }
    for (const page of this.pages) {
      const there = findInPage(page.value, copyId)
      if (there < 0) continue
      const { next, wasUnread } = flagged(page.value, there, flag)
      page.value = next
      page.isChanged = true
      if (wasUnread) this.#countUnread(-1)
      return
    }
  }
  #countUnread(more: number): void {
    const head = Buffer.from(this.#head)
    setPages(head, { until: pagesUntil(head), unread: unreadInPages(head) + more })
    this.setHead(head)
  }
  writes(partition: string, subscriptionId: string): Write[] {
    const pages = PAGES.in(partition, subscriptionId)
    return [
      ...(this.#isChanged ? [HEADS.in(partition, subscriptionId).put({ value: this.#head })] : []),
      ...this.pages.filter(({ isChanged }) => isChanged).map(({ key, value }) => pages.put({ key, value })),
    ]
  }
}

/** Copies that are wanted of a history; `all`: with all pages. */
export type WantedCopies = ReadonlyMap<string, readonly Buffer[] | 'all'>

/** Histories of subscriptions that are there, with their pages where a copy is not in the head. */
export function* openHistories(partition: string, wanted: WantedCopies): Steps<Map<string, OpenHistory>> {
  const open = new Map<string, OpenHistory>()
  const ids = [...wanted.keys()]
  if (ids.length === 0) return open
  const heads = yield* ask(ids.map((id) => HEADS.in(partition, id).get()))
  const paged: string[] = []
  for (const [nth, id] of ids.entries()) {
    const head = heads[nth]?.value
    if (!head) continue
    open.set(id, new OpenHistory(head))
    const copies = wanted.get(id) ?? []
    if (pagesUntil(head) > 0 && (copies === 'all' || copies.some((copy) => findInHead(head, copy) < 0)))
      paged.push(id)
  }
  if (paged.length === 0) return open
  const pages = yield* ask(paged.map((id) => PAGES.in(partition, id).range({ limit: MAX_PAGES })))
  for (const [nth, id] of paged.entries())
    for (const { key, value } of pages[nth] ?? []) open.get(id)?.pages.push({ key, value, isChanged: false })
  return open
}

/** Adds those that get their first copy, and so have no head yet: their accounts say that the subscriptions are there. */
export function* beginHistories(
  partition: string,
  wanted: readonly { accountKey: string; subscriptionId: string }[],
  open: Map<string, OpenHistory>,
): Steps<void> {
  const missing = wanted.filter(({ subscriptionId }) => !open.has(subscriptionId))
  if (missing.length === 0) return
  const accounts = yield* ask(missing.map(({ accountKey }) => ACCOUNTS.in(partition, accountKey).get()))
  for (const [nth, { accountKey, subscriptionId }] of missing.entries()) {
    const { subscriptions = [] } = accounts[nth]?.value?.record ?? {}
    if (subscriptions.some(({ id }) => id === subscriptionId))
      open.set(subscriptionId, new OpenHistory(newHead(accountKey)))
  }
}
