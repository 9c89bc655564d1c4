/** Room in a topic that is over its bounds. */
import { displacedOf } from '../../../relay/store/eviction.ts'
import { TRIM_TO_RATIO } from '../../../relay/store.ts'
import { endOf, key, number } from '../../bytes.ts'
import { advance, findIn, findOnce, firstSeq, type TopicMember } from './cursors.ts'
import { expiryOfRow, payerOfRow, sizeOfRow, type Topic } from './rows.ts'
import type { RelayTables } from './tables.ts'
import type { Topics } from './topics.ts'

export interface RoomWanted {
  topic: Buffer
  state: Topic
  /** Bytes of the message that comes. */
  size: number
  now: number
  bounds: { messages: number; bytes: number }
  subscribers: readonly TopicMember[]
}

/**
 * Makes room for many messages at a time, so that the walk over the topic is made once in a while. Returns how many
 * messages went that a subscriber still waited for.
 */
export type MakeRoom = (wanted: RoomWanted) => number

type Deps = { tables: RelayTables; topics: Pick<Topics, 'drop'> }

export const createMakeRoom =
  (deps: Deps): MakeRoom =>
  ({ topic, state, size, now, bounds, subscribers }) => {
    const maxMessages = Math.min(bounds.messages - 1, Math.floor(bounds.messages * TRIM_TO_RATIO))
    const maxBytes = Math.min(bounds.bytes - size, Math.floor(bounds.bytes * TRIM_TO_RATIO))
    if (state.soonest <= now) dropExpired(deps, topic, state, now)
    const isTooMuch = () => state.count > maxMessages || state.bytes > maxBytes
    dropFinished(deps, topic, state, subscribers, now, isTooMuch)
    return (
      displace(deps, topic, state, 'count', maxMessages) + displace(deps, topic, state, 'bytes', maxBytes)
    )
  }

const dropExpired = ({ tables, topics }: Deps, topic: Buffer, state: Topic, now: number): void => {
  const expired: [seq: number, row: Buffer][] = []
  state.soonest = Number.POSITIVE_INFINITY
  for (const { key: at, value } of tables.messages.getRange({ start: topic, end: endOf(topic) })) {
    const expiresAt = expiryOfRow(value)
    if (expiresAt <= now) expired.push([at.readDoubleBE(32), value])
    else state.soonest = Math.min(state.soonest, expiresAt)
  }
  for (const [seq, row] of expired) topics.drop(topic, state, seq, row)
}

/** Drops what every subscriber has, oldest first, while there is too much. */
const dropFinished = (
  { tables, topics }: Deps,
  topic: Buffer,
  state: Topic,
  subscribers: readonly TopicMember[],
  now: number,
  isTooMuch: () => boolean,
): void => {
  if (subscribers.length === 0) return
  const find = findOnce(findIn(tables, topic))
  // The cursors are enough: what was acknowledged out of order behind a message that waits is not the oldest.
  let finishedSeq = state.lastSeq
  for (const one of subscribers) {
    finishedSeq = Math.min(finishedSeq, advance(find, one, state.lastSeq, now).cursor)
  }
  while (isTooMuch()) {
    const seq = firstSeq(tables, topic, 0)
    const row =
      seq === undefined || seq > finishedSeq ? undefined : tables.messages.get(key(topic, number(seq)))
    if (seq === undefined || !row) return
    topics.drop(topic, state, seq, row)
  }
}

/** Drops the oldest of the largest payers until `target` is left of messages, or of bytes. */
const displace = (
  { tables, topics }: Deps,
  topic: Buffer,
  state: Topic,
  by: 'count' | 'bytes',
  target: number,
): number => {
  if (state[by] <= target) return 0
  const { messages } = tables
  const held = [...messages.getRange({ start: topic, end: endOf(topic) })].map(({ key: at, value }) => ({
    seq: at.readDoubleBE(32),
    payer: payerOfRow(value),
    amount: by === 'count' ? 1 : sizeOfRow(value),
  }))
  const displaced = displacedOf(held, target)
  for (const seq of displaced) {
    const row = messages.get(key(topic, number(seq)))
    if (row) topics.drop(topic, state, seq, row)
  }
  return displaced.length
}
