import type { Clock } from '../../platform/runtime/clock.ts'
import type { Head, RelayStore, StoredMessage } from '../store.ts'
import type { AckBatcher } from './ack-batcher.ts'
import { Outgoing } from './outgoing.ts'
import type { TopicCursor } from './topic-cursor.ts'
import type { Turns } from './turns.ts'

/** One read of a mailbox. */
const PAGE_SIZE = 128
const MAX_PAGE_BYTES = 1024 * 1024
/** One read of the heads of a mailbox, where payers take turns. */
const HEADS_PAGE_SIZE = 1_000

export interface PageDeps {
  store: Pick<RelayStore, 'pending' | 'heads' | 'pick'>
  clock: Clock
  ackBatcher: Pick<AckBatcher, 'whenDurable'>
}

/** Who reads the mailboxes of a client. */
export interface PageReader {
  readonly clientId: string
  /** False once the client left the topic or is gone. */
  isCurrent(cursor: TopicCursor): boolean
  /** Puts the message in flight; false when there is no room. */
  admit(cursor: TopicCursor, message: Outgoing): boolean
}

/** Admits what the mailbox has after the cursor's position, one page of it. True when there is more to push now. */
export const pushPage = async (deps: PageDeps, reader: PageReader, cursor: TopicCursor): Promise<boolean> => {
  await deps.ackBatcher.whenDurable(reader.clientId)
  if (cursor.turns) return pushTurns(deps, reader, cursor, cursor.turns)
  const page = await deps.store.pending(reader.clientId, cursor.topic, {
    after: cursor.position,
    limit: PAGE_SIZE,
    maxBytes: MAX_PAGE_BYTES,
    now: deps.clock.now(),
  })
  if (!reader.isCurrent(cursor) || cursor.isHeld) return false
  for (const message of page.messages) {
    if (cursor.isHandled(message.id)) cursor.advance(message.seq)
    else if (!reader.admit(cursor, new Outgoing(message, message.seq))) return false
  }
  return page.hasMore
}

/** The same, where payers take turns. */
const pushTurns = async (
  deps: PageDeps,
  reader: PageReader,
  cursor: TopicCursor,
  turns: Turns,
): Promise<boolean> => {
  try {
    const { messages, taken } = await nextInTurns(deps, reader, cursor, turns)
    const isStopped = !reader.isCurrent(cursor) || cursor.isHeld
    for (const message of messages) {
      if (cursor.isHandled(message.id)) continue
      if (!isStopped && reader.admit(cursor, new Outgoing(message, message.seq))) continue
      turns.putBack(taken.slice(taken.findIndex(({ seq }) => seq === message.seq)))
      return false
    }
    return turns.size > 0
  } catch (error) {
    // What was taken is found again from the start.
    turns.clear()
    cursor.rewind(1)
    throw error
  }
}

/** Reads what came, and takes those whose turn it is. */
const nextInTurns = async (
  { store, clock }: PageDeps,
  reader: PageReader,
  cursor: TopicCursor,
  turns: Turns,
): Promise<{ messages: StoredMessage[]; taken: Head[] }> => {
  const inFlight = cursor.seqsInFlight()
  for (let more = true; more; ) {
    const page = { after: cursor.position, limit: HEADS_PAGE_SIZE, now: clock.now() }
    const { heads, hasMore } = await store.heads(reader.clientId, cursor.topic, page)
    for (const head of heads) {
      if (!inFlight.has(head.seq)) turns.add(head)
      cursor.advance(head.seq)
    }
    more = hasMore && reader.isCurrent(cursor)
  }
  const taken = turns.take({ limit: PAGE_SIZE, maxBytes: MAX_PAGE_BYTES })
  const seqs = taken.map(({ seq }) => seq)
  const messages = taken.length > 0 ? await store.pick(reader.clientId, cursor.topic, seqs, clock.now()) : []
  return { messages, taken }
}
