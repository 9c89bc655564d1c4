/**
 * WIAP, the Wallet Interactive Anchoring Protocol: `POST {serverUrl}/api/protocols/wiap/v1` with `{"data": request}`, the
 * answer bare. Types and members as the published SDK has them.
 *
 * | request              | members                                     | answers                               |
 * |----------------------|---------------------------------------------|---------------------------------------|
 * | …APPROVAL_HANDSHAKE  | anchorRequestId                             | …ACTOR_KEY_REQUIRED, …APPROVAL_DATA   |
 * | …ACTOR_KEY           | + actorSignaturePublicKey, actorPkePublicKey | …APPROVAL_DATA                       |
 * | …APPROVAL_SIGNATURE  | + b64Signature                              | …APPROVAL_SIGNATURE                   |
 *
 * and …RESPONSE_ERROR, with a sentence, to each of them.
 */
import * as z from 'zod'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'
import { MAX_MICROBLOCK_BYTES } from '../carmentis/microblock.ts'

export const WIAP_PATH = '/api/protocols/wiap/v1'

const id = z.string().min(1).max(256)
/** Base64 of so many bytes at most. */
const base64 = (most: number) => z.base64().max(Math.ceil(most / 3) * 4)
const hash = z.base64().length(44)

export const WiapRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE'), anchorRequestId: id }),
  z.object({
    type: z.literal('WALLET_OPERATOR_REQUEST_ACTOR_KEY'),
    anchorRequestId: id,
    actorSignaturePublicKey: z.string().max(8192),
    actorPkePublicKey: z.string().max(8192),
  }),
  z.object({
    type: z.literal('WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE'),
    anchorRequestId: id,
    b64Signature: base64(64).length(88),
  }),
])
export type WiapRequest = z.output<typeof WiapRequest>

export const WiapResponse = z.discriminatedUnion('type', [
  z.object({ type: z.literal('WALLET_OPERATOR_RESPONSE_ERROR'), errorMessage: z.string().default('') }),
  z.object({
    type: z.literal('WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED'),
    b64GenesisSeed: base64(64).min(1),
  }),
  z.object({
    type: z.literal('WALLET_OPERATOR_RESPONSE_APPROVAL_DATA'),
    b64SerializedMicroblock: base64(MAX_MICROBLOCK_BYTES).min(1),
  }),
  z.object({
    type: z.literal('WALLET_OPERATOR_RESPONSE_APPROVAL_SIGNATURE'),
    b64VbHash: hash,
    b64MbHash: hash,
    height: z.int().min(1),
  }),
])
export type WiapResponse = z.output<typeof WiapResponse>

/**
 * Posts a body and answers the status and the body of what came back, within bounds: the platform's public fetch, which
 * talks to public addresses only, or `browserPost`. Follows no redirect. Throws a `ProtocolError`: `forbidden` for an
 * address that is not talked to, `unavailable` when no answer came.
 */
export type WiapPost = (
  url: string,
  request: { headers: Record<string, string>; body: string; milliseconds: number; bytes: number },
) => Promise<{ status: number; body: string }>

/** For everything of one request together, ms. */
const OPERATOR_TIMEOUT_MS = 15_000
/** The longest answer is a microblock in base64. */
const MAX_RESPONSE_BYTES = MAX_MICROBLOCK_BYTES * 2

/** What stands between a wallet and one operator. Throws what `post` throws, and for an answer that is none. */
export const askOperator = async (
  post: WiapPost,
  serverUrl: string,
  request: WiapRequest,
): Promise<WiapResponse> => {
  const { status, body } = await post(`${withoutTrailingSlashes(serverUrl)}${WIAP_PATH}`, {
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: JSON.stringify({ data: request }),
    milliseconds: OPERATOR_TIMEOUT_MS,
    bytes: MAX_RESPONSE_BYTES,
  })
  if (status < 200 || status > 299) throw new Error(`The operator answered HTTP ${status}`)
  return WiapResponse.parse(JSON.parse(body))
}
