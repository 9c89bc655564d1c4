/**
 * Names on the relay, all of them hex SHA-256: topics (of the raw key), messages (of the message string) and
 * subscriptions (of topic and client id).
 */
import { crypto } from '#crypto'

/** 64 hex digits of any case; what is stored and compared is lower case. */
export const TOPIC = /^[0-9a-fA-F]{64}$/

/** Topic of a symmetric key (responses, notify topics) or of an X25519 public key (request topics). */
export const topicOf = (key: Uint8Array): string => crypto.sha256Hex(key)

/** Identifies a message within its topic; a retry of the same message has the same id. */
export const messageIdOf = (message: string): string => crypto.sha256Hex(message)

/** What irn_subscribe answers. Clients compute it themselves, so it must not change. */
export const subscriptionIdOf = (topic: string, clientId: string): string =>
  crypto.sha256Hex(topic + clientId)
