/** How messages of the outbox are signed, sealed and numbered: the same entry gives the same bytes. */
import { fromHex, toHex, utf8 } from '../../protocol/bytes.ts'
import { deterministicIv, sealType0 } from '../../protocol/envelope.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { topicOf } from '../../protocol/topic.ts'

/** A message for the relay; `ttl` in seconds. */
export interface OutgoingMessage {
  topic: string
  message: string
  tag: number
  ttl: number
  prompt: boolean
}

/** Version of our JWTs, as the published clients write it. */
const MJV = '1'

export const sealed = (key: Uint8Array, plaintext: string): string =>
  sealType0({ key, plaintext, iv: deterministicIv(key, plaintext) })

/** `at` in unix ms, `ttl` in seconds. */
export const signed = (
  claims: Record<string, unknown>,
  signer: SigningKey,
  at: number,
  ttl: number,
): string => {
  const iat = Math.floor(at / 1000)
  return signJwt({ iat, exp: iat + ttl, iss: signer.did, mjv: MJV, ...claims }, signer)
}

const MIN_RPC_ID = 1_000_000_000_000_000n
const RPC_ID_COUNT = BigInt(Number.MAX_SAFE_INTEGER) - MIN_RPC_ID

/**
 * A JSON-RPC id of 16 digits that follows from the entry's id. Clients key received messages by it, so it is spread over
 * all such numbers rather than made of the time.
 */
export const rpcIdOf = (entryId: string): number => {
  const hash = toHex(fromHex(topicOf(utf8(entryId))).subarray(0, 8))
  return Number(MIN_RPC_ID + (BigInt(`0x${hash}`) % RPC_ID_COUNT))
}
