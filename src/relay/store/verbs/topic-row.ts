/**
 * One topic in one row: its head, its members with what each is done with, where its older entries are, and its newest
 * entries (`./entries.ts`).
 *
 *     last seq 6 · count 4 · bytes 6 · soonest expiry 8 · next page 4 · owner: text · members 2 · pages 2, then
 *     member    flags 1 · cursor 6 · due 6 · dueUntil 8 · ranges 2 · client id: text · from 6 and to 6 of each range
 *     page      number 4 · first seq 6 · last seq 6 · count 2
 *     entry     until the end of the row
 *
 * A text is its length, 2 bytes, and its bytes.
 */
import type { Codec } from '../../../storage/codec.ts'
import { readSeq, SEQ_BYTES, writeSeq } from './entries.ts'

/**
 * One client in one topic. Everything up to `cursor` is done with, and `acked` beyond it. `due` is the first message that is
 * not, where it is known, and `dueUntil` when it expires: until then nobody looks for it again.
 */
export interface Member {
  readonly clientId: string
  readonly isSubscribed: boolean
  readonly cursor: number
  readonly due: number
  readonly dueUntil: number
  readonly acked: readonly number[]
}

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
  members: readonly Member[]
  pages: readonly Page[]
  entries: Buffer
}

const HEAD_BYTES = 2 * SEQ_BYTES + 16
const MEMBER_BYTES = 1 + 2 * SEQ_BYTES + 8 + 2
const PAGE_BYTES = 4 + 2 * SEQ_BYTES + 2

/** Most topics have the same few members again and again, so the length of a text is asked for once. */
const writeText = (bytes: Buffer, text: string, at: number): number => {
  const length = bytes.write(text, at + 2)
  bytes.writeUInt16BE(length, at)
  return at + 2 + length
}
const MAX_TEXT_FACTOR = 3

const writeMember = (bytes: Buffer, member: Member, at: number): number => {
  const { clientId, isSubscribed, cursor, due, dueUntil, acked } = member
  bytes[at] = isSubscribed ? 1 : 0
  writeSeq(bytes, cursor, at + 1)
  writeSeq(bytes, due, at + 1 + SEQ_BYTES)
  bytes.writeDoubleBE(dueUntil, at + 1 + 2 * SEQ_BYTES)
  bytes.writeUInt16BE(acked.length / 2, at + MEMBER_BYTES - 2)
  let end = writeText(bytes, clientId, at + MEMBER_BYTES)
  for (const seq of acked) {
    writeSeq(bytes, seq, end)
    end += SEQ_BYTES
  }
  return end
}

const readMember = (bytes: Buffer, at: number): { member: Member; end: number } => {
  const nameAt = at + MEMBER_BYTES + 2
  const rangesAt = nameAt + bytes.readUInt16BE(nameAt - 2)
  const end = rangesAt + 2 * SEQ_BYTES * bytes.readUInt16BE(at + MEMBER_BYTES - 2)
  const acked: number[] = []
  for (let next = rangesAt; next < end; next += SEQ_BYTES) acked.push(readSeq(bytes, next))
  const member = {
    clientId: bytes.toString('utf8', nameAt, rangesAt),
    isSubscribed: bytes[at] === 1,
    cursor: readSeq(bytes, at + 1),
    due: readSeq(bytes, at + 1 + SEQ_BYTES),
    dueUntil: bytes.readDoubleBE(at + 1 + 2 * SEQ_BYTES),
    acked,
  }
  return { member, end }
}

const maxBytesOf = ({ owner, members, pages, entries }: Topic): number => {
  let sum = HEAD_BYTES + 6 + MAX_TEXT_FACTOR * owner.length + PAGE_BYTES * pages.length + entries.length
  for (const { clientId, acked } of members)
    sum += MEMBER_BYTES + 2 + MAX_TEXT_FACTOR * clientId.length + SEQ_BYTES * acked.length
  return sum
}

export const TOPIC: Codec<Topic> = {
  encodeBehind(free, topic) {
    const { lastSeq, count, bytes: size, soonest, nextPage, owner, members, pages, entries } = topic
    const bytes = Buffer.allocUnsafe(free + maxBytesOf(topic))
    writeSeq(bytes, lastSeq, free)
    bytes.writeUInt32BE(count, free + SEQ_BYTES)
    writeSeq(bytes, size, free + SEQ_BYTES + 4)
    bytes.writeDoubleBE(soonest, free + 2 * SEQ_BYTES + 4)
    bytes.writeUInt32BE(nextPage, free + 2 * SEQ_BYTES + 12)
    let end = writeText(bytes, owner, free + HEAD_BYTES)
    bytes.writeUInt16BE(members.length, end)
    bytes.writeUInt16BE(pages.length, end + 2)
    end += 4
    for (const member of members) end = writeMember(bytes, member, end)
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
    const members: Member[] = []
    for (let left = bytes.readUInt16BE(countsAt); left > 0; left--) {
      const { member, end } = readMember(bytes, at)
      members.push(member)
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
      owner: bytes.toString('utf8', ownerAt, countsAt),
      members,
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
  members: [],
  pages: [],
  entries: Buffer.alloc(0),
})
