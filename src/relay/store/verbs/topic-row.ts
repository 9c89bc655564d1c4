/**
 * One topic in one row: its head, its subscribers, where its older entries are, and its newest entries (`./entries.ts`).
 *
 *     last seq 6 · count 4 · bytes 6 · soonest expiry 8 · next page 4 · owner: text · subscribers 2 · pages 2, then
 *     subscriber  client id: text
 *     page        number 4 · first seq 6 · last seq 6 · count 2
 *     entry       until the end of the row
 *
 * A text is its length, 2 bytes, and its bytes. What clients are done with is another row (`./cursor-row.ts`).
 */
import type { Codec } from '../../../storage/codec.ts'
import { readSeq, SEQ_BYTES, writeSeq } from './entries.ts'

/** Where older entries are. `last` is not lowered when its message goes. */
export interface Page {
  readonly number: number
  readonly first: number
  readonly last: number
  readonly count: number
}

export interface Topic {
  lastSeq: number
  /** Of all messages, those in pages too. */
  count: number
  bytes: number
  /** No message expires earlier. */
  soonest: number
  nextPage: number
  /** Client id; '' without one. */
  owner: string
  subscribers: readonly string[]
  pages: readonly Page[]
  entries: Buffer
}

const HEAD_BYTES = 2 * SEQ_BYTES + 16
const PAGE_BYTES = 4 + 2 * SEQ_BYTES + 2
/** Of a character. */
const MAX_UTF8_BYTES = 3

const writeText = (bytes: Buffer, text: string, at: number): number => {
  const length = bytes.write(text, at + 2)
  bytes.writeUInt16BE(length, at)
  return at + 2 + length
}

const maxBytesOf = ({ owner, subscribers, pages, entries }: Topic): number => {
  let sum = HEAD_BYTES + 6 + MAX_UTF8_BYTES * owner.length + PAGE_BYTES * pages.length + entries.length
  for (const clientId of subscribers) sum += 2 + MAX_UTF8_BYTES * clientId.length
  return sum
}

export const TOPIC: Codec<Topic> = {
  encodeBehind(free, topic) {
    const { lastSeq, count, bytes: size, soonest, nextPage, owner, subscribers, pages, entries } = topic
    const bytes = Buffer.allocUnsafe(free + maxBytesOf(topic))
    writeSeq(bytes, lastSeq, free)
    bytes.writeUInt32BE(count, free + SEQ_BYTES)
    writeSeq(bytes, size, free + SEQ_BYTES + 4)
    bytes.writeDoubleBE(soonest, free + 2 * SEQ_BYTES + 4)
    bytes.writeUInt32BE(nextPage, free + 2 * SEQ_BYTES + 12)
    let end = writeText(bytes, owner, free + HEAD_BYTES)
    bytes.writeUInt16BE(subscribers.length, end)
    bytes.writeUInt16BE(pages.length, end + 2)
    end += 4
    for (const clientId of subscribers) end = writeText(bytes, clientId, end)
    for (const page of pages) {
      bytes.writeUInt32BE(page.number, end)
      writeSeq(bytes, page.first, end + 4)
      writeSeq(bytes, page.last, end + 4 + SEQ_BYTES)
      bytes.writeUInt16BE(page.count, end + PAGE_BYTES - 2)
      end += PAGE_BYTES
    }
    bytes.set(entries, end)
    return bytes.subarray(0, end + entries.length)
  },
  decode(bytes) {
    const ownerAt = HEAD_BYTES + 2
    const countsAt = ownerAt + bytes.readUInt16BE(HEAD_BYTES)
    let at = countsAt + 4
    const subscribers: string[] = []
    for (let left = bytes.readUInt16BE(countsAt); left > 0; left--) {
      const end = at + 2 + bytes.readUInt16BE(at)
      subscribers.push(bytes.toString('utf8', at + 2, end))
      at = end
    }
    const pages: Page[] = []
    for (let left = bytes.readUInt16BE(countsAt + 2); left > 0; left--) {
      pages.push({
        number: bytes.readUInt32BE(at),
        first: readSeq(bytes, at + 4),
        last: readSeq(bytes, at + 4 + SEQ_BYTES),
        count: bytes.readUInt16BE(at + PAGE_BYTES - 2),
      })
      at += PAGE_BYTES
    }
    return {
      lastSeq: readSeq(bytes, 0),
      count: bytes.readUInt32BE(SEQ_BYTES),
      bytes: readSeq(bytes, SEQ_BYTES + 4),
      soonest: bytes.readDoubleBE(2 * SEQ_BYTES + 4),
      nextPage: bytes.readUInt32BE(2 * SEQ_BYTES + 12),
      owner: ownerAt === countsAt ? '' : bytes.toString('utf8', ownerAt, countsAt),
      subscribers,
      pages,
      entries: bytes.subarray(at),
    }
  },
}

export const emptyTopic = (): Topic => ({
  lastSeq: 0,
  count: 0,
  bytes: 0,
  soonest: Number.POSITIVE_INFINITY,
  nextPage: 1,
  owner: '',
  subscribers: [],
  pages: [],
  entries: Buffer.alloc(0),
})

/** Whether another client owns the topic. */
export const isForeign = ({ owner }: Topic, clientId: string): boolean => owner !== '' && owner !== clientId
