/** Ids in the form of UUIDs: random ones, and ones that follow from what they name. */
import { fromHex, toHex, utf8 } from '../protocol/bytes.ts'
import { topicOf } from '../protocol/topic.ts'

/** A UUID (RFC 9562) of these 16 bytes; version 4 when they are random, 8 when they are derived. */
export const uuidFrom = (bytes: Uint8Array, version: 4 | 8): string => {
  const id = Uint8Array.from(bytes.subarray(0, 16))
  id[6] = ((id[6] ?? 0) & 0x0f) | (version << 4)
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80
  return toHex(id).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/**
 * Id of one subscriber's copy of a notification: what wallets see as `msg.id` and `nfs[].id`. It follows from the
 * subscription and the notification, so that whoever hands out or delivers the copy, and however often, arrives at the
 * same id and a wallet drops what it has seen. Subscription ids are random and nobody outside knows them, so links made
 * of it cannot be guessed from the notification id that a dapp chose.
 */
export const deliveredIdOf = (subscriptionId: string, notificationId: string): string =>
  uuidFrom(fromHex(topicOf(utf8(`${subscriptionId}\n${notificationId}`))), 8)
