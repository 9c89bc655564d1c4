/** Whose copies this process sent lately, by message: so that a delivery need not be opened to know what it delivered. */
import { createBoundedMap } from '../../platform/concurrency/bounded-map.ts'
import type { OutgoingMessage } from './wire.ts'

/** One subscriber's copy of a notification. */
export interface SentCopy {
  accountKey: string
  subscriptionId: string
  domain: string
  /** CAIP-10 as the subscriber wrote it. */
  account: string
  deliveredId: string
}

export interface SentMessages {
  note(sent: Pick<OutgoingMessage, 'topic' | 'message'>, copy: SentCopy): void
  /** Undefined for what another process sent, or this one long ago. */
  find(delivered: Pick<OutgoingMessage, 'topic' | 'message'>): SentCopy | undefined
}

/** Twice as many at most, some 20 MB. */
const MAX_REMEMBERED = 20_000
/** Base64 characters: the tag of the envelope is among them, so no other message of the topic ends alike. */
const TAIL_LENGTH = 32

const keyOf = ({ topic, message }: Pick<OutgoingMessage, 'topic' | 'message'>): string =>
  `${topic} ${message.slice(-TAIL_LENGTH)}`

export const createSentMessages = (): SentMessages => {
  const copies = createBoundedMap<SentCopy>(MAX_REMEMBERED)
  return {
    note: (sent, copy) => copies.put(keyOf(sent), copy),
    find: (delivered) => copies.get(keyOf(delivered)),
  }
}
