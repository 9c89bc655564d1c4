/**
 * `wr-auth-pk`, deprecated: proves possession of the wallet's Carmentis key. A wallet has it only if it puts it among its
 * methods; dapps should ask `/v1/auth/pk`, whose signature names who asked.
 */
import * as z from 'zod'
import { fromHex, toHex, utf8 } from '../../protocol/bytes.ts'
import { type CarmentisKey, isSignedByCarmentisKey } from '../carmentis/keys.ts'
import type { SessionMethod } from '../wallet/method.ts'

export const WR_AUTH_PK = 'wr-auth-pk'

const Params = z.object({
  base64EncodedChallenge: z
    .string()
    .min(1)
    .max(64 * 1024),
})

export interface WrAuthPkResult {
  /** `SIG:SECP256K1:PK{…}`. */
  publicKey: string
  /** Hex of 64 bytes, over the challenge as it was sent, not decoded. */
  signature: string
}

/**
 * The deprecated method `wr-auth-pk` of a wallet.
 *
 * @param deps the wallet's Carmentis key
 * @returns the method, for `walletSession`
 */
export const wrAuthPk = ({
  key,
}: {
  key: CarmentisKey
}): SessionMethod<z.output<typeof Params>, WrAuthPkResult> => ({
  schema: Params,
  approval: 'first',
  handler: async ({ base64EncodedChallenge }) => ({
    publicKey: key.publicKey,
    signature: toHex(await key.sign(utf8(base64EncodedChallenge))),
  }),
})

/**
 * Whether an answer is one to the challenge. The dapp must know whose key it is.
 *
 * @param base64EncodedChallenge as it was sent
 * @param answer what the wallet answered
 * @returns false for a wrong signature
 */
export const isWrAuthPkAnswer = (base64EncodedChallenge: string, answer: WrAuthPkResult): boolean => {
  if (!/^[0-9a-f]{128}$/i.test(answer.signature)) return false
  return isSignedByCarmentisKey(answer.publicKey, utf8(base64EncodedChallenge), fromHex(answer.signature))
}
