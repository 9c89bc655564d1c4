/**
 * Encryption of Web Push messages: RFC 8291 over the content coding aes128gcm of RFC 8188, one record.
 *
 * The libraries for it (`web-push`, `http_ece`) were written for older Node and bring a proxy agent, an ASN.1 coder and a JWT
 * library of their own; `web-push` sends by itself, past our checks of addresses. All that is needed is in node:crypto. The tests
 * open what is sealed here with `http_ece`.
 */
import { createCipheriv, createECDH, ECDH, hkdfSync, randomBytes } from 'node:crypto'

const CURVE = 'prime256v1'
const SALT_BYTES = 16
const POINT_BYTES = 65
const AUTH_BYTES = 16
const TAG_BYTES = 16
/** Salt, record size, length of the key's id, and the key. */
const HEAD_BYTES = SALT_BYTES + 4 + 1 + POINT_BYTES
/** The last record ends its plaintext with 2. */
const DELIMITER = Buffer.from([2])
/** What push services take. */
export const MAX_RECORD_BYTES = 4_096
/** How much longer the encrypted body is. */
export const OVERHEAD_BYTES = HEAD_BYTES + DELIMITER.length + TAG_BYTES

export interface SubscriptionKeys {
  /** P-256 point and secret of the subscription, base64url. */
  p256dh: string
  auth: string
}

/** Whether a push can be encrypted to them: a point of the curve, and 16 bytes. */
export const areKeys = ({ p256dh, auth }: SubscriptionKeys): boolean => {
  const point = Buffer.from(p256dh, 'base64url')
  if (point.length !== POINT_BYTES || Buffer.from(auth, 'base64url').length !== AUTH_BYTES) return false
  try {
    ECDH.convertKey(point, CURVE)
    return true
  } catch {
    return false
  }
}

const hkdf = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, salt, info, length))

const withKey = (label: string, ...keys: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from(`${label}\0`), ...keys])

/** The body of the request to the push service. Throws for keys that are none. */
export const encryptPush = (plaintext: Uint8Array, { p256dh, auth }: SubscriptionKeys): Buffer => {
  const receiver = Buffer.from(p256dh, 'base64url')
  const ecdh = createECDH(CURVE)
  const sender = ecdh.generateKeys()
  const shared = ecdh.computeSecret(receiver)
  const secret = hkdf(shared, Buffer.from(auth, 'base64url'), withKey('WebPush: info', receiver, sender), 32)
  const salt = randomBytes(SALT_BYTES)
  const key = hkdf(secret, salt, withKey('Content-Encoding: aes128gcm'), 16)
  const nonce = hkdf(secret, salt, withKey('Content-Encoding: nonce'), 12)
  const cipher = createCipheriv('aes-128-gcm', key, nonce)
  const head = Buffer.alloc(HEAD_BYTES)
  salt.copy(head)
  head.writeUInt32BE(MAX_RECORD_BYTES, SALT_BYTES)
  head[SALT_BYTES + 4] = POINT_BYTES
  sender.copy(head, SALT_BYTES + 5)
  return Buffer.concat([
    head,
    cipher.update(plaintext),
    cipher.update(DELIMITER),
    cipher.final(),
    cipher.getAuthTag(),
  ])
}
