/**
 * `wr-data-approval`: has the person approve a microblock that an operator wants to anchor, and signs it.
 *
 *     handshake ─► (actor key required ─► actor key ─►) the microblock ─► the person ─► signature ─► hashes, height
 *
 * Guarantees: the person is asked before anything is signed, and shown all that the microblock says (see `carmentis/microblock`);
 * what the operator answers in the end is the hash of exactly that, with this signature in it, or the call fails.
 */
import * as z from 'zod'
import { fromBase64, toBase64, toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ActorKeys, CarmentisKey } from '../carmentis/keys.ts'
import {
  type Microblock,
  type MicroblockHeader,
  type MicroblockSection,
  microblockHash,
  readMicroblock,
  sealMicroblock,
  signedBytes,
} from '../carmentis/microblock.ts'
import { sectionName } from '../carmentis/section-names.ts'
import { type MethodContext, SessionError, type SessionMethod } from '../wallet/method.ts'
import { askOperator, type WiapPost, type WiapRequest, type WiapResponse } from './wiap.ts'

export const DATA_APPROVAL = 'wr-data-approval'

export interface DataApprovalDeps {
  post: WiapPost
  /** The wallet's keys in the virtual blockchain of that seed (`deriveActorKeys`). */
  actorKeys: (genesisSeed: Uint8Array) => Promise<ActorKeys>
  /** The key to sign with where the operator knows it already and asks for none. */
  knownKey: (microblock: Microblock) => Promise<CarmentisKey>
}

const isServerUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return /^https?:$/.test(protocol) && username + password + search + hash === ''
}

const Params = z.object({
  serverUrl: z.string().max(2048).refine(isServerUrl),
  anchorRequestId: z.string().min(1).max(256),
})

export interface DataApprovalResult {
  b64VbHash: string
  b64MbHash: string
  height: number
}

/** What a person is shown. */
export interface DataApprovalDetails {
  operator: string
  header: MicroblockHeader
  sections: (MicroblockSection & { name: string })[]
  /** Of the microblock before it is signed, hex. */
  hash: string
}

const MAX_REASON_LENGTH = 200

/** What a failure between us and the operator is to the dapp that named the operator. */
const ask = async (post: WiapPost, serverUrl: string, request: WiapRequest): Promise<WiapResponse> => {
  let response: WiapResponse
  try {
    response = await askOperator(post, serverUrl, request)
  } catch (error) {
    const code = error instanceof ProtocolError ? error.code : undefined
    if (code === 'forbidden' || code === 'bad_params') {
      throw new SessionError('invalid_params', 'This wallet does not talk to that operator')
    }
    throw new SessionError('internal', 'The operator gave no answer that makes sense')
  }
  if (response.type !== 'WALLET_OPERATOR_RESPONSE_ERROR') return response
  const reason = response.errorMessage.replace(/\p{C}+/gu, ' ').slice(0, MAX_REASON_LENGTH)
  throw new SessionError('internal', `The operator refused${reason === '' ? '' : `: ${reason}`}`)
}

const unexpected = (): never => {
  throw new SessionError('internal', 'The operator answered something else than it was asked')
}

const read = (response: WiapResponse): Microblock => {
  if (response.type !== 'WALLET_OPERATOR_RESPONSE_APPROVAL_DATA') return unexpected()
  try {
    return readMicroblock(fromBase64(response.b64SerializedMicroblock))
  } catch {
    throw new SessionError('internal', 'The operator gave no microblock that can be approved')
  }
}

/**
 * The method `wr-data-approval` of a wallet.
 *
 * @param deps how to reach operators, and the wallet's keys
 * @returns the method, for `walletSession`
 */
export const dataApproval = ({
  post,
  actorKeys,
  knownKey,
}: DataApprovalDeps): SessionMethod<z.output<typeof Params>, DataApprovalResult> => ({
  schema: Params,
  approval: 'handler',
  async handler({ serverUrl, anchorRequestId }, context: MethodContext) {
    let key: CarmentisKey | undefined
    let response = await ask(post, serverUrl, {
      type: 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE',
      anchorRequestId,
    })
    if (response.type === 'WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED') {
      const { signature, encryptionPublicKey } = await actorKeys(fromBase64(response.b64GenesisSeed))
      key = signature
      response = await ask(post, serverUrl, {
        type: 'WALLET_OPERATOR_REQUEST_ACTOR_KEY',
        anchorRequestId,
        actorSignaturePublicKey: signature.publicKey,
        actorPkePublicKey: encryptionPublicKey,
      })
    }
    const microblock = read(response)
    const { header, sections } = microblock
    key ??= await knownKey(microblock)

    const details: DataApprovalDetails = {
      operator: serverUrl,
      header,
      sections: sections.map((section) => ({ ...section, name: sectionName(section.type) })),
      hash: toHex(microblockHash(microblock)),
    }
    // A copy: whoever shows it may change what is given to them.
    await context.approve({ details: structuredClone(details) })

    const signature = await key.sign(signedBytes(microblock))
    const outcome = await ask(post, serverUrl, {
      type: 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE',
      anchorRequestId,
      b64Signature: toBase64(signature),
    })
    if (outcome.type !== 'WALLET_OPERATOR_RESPONSE_APPROVAL_SIGNATURE') return unexpected()
    const { b64VbHash, b64MbHash, height } = outcome
    const anchored = toBase64(microblockHash(sealMicroblock(microblock, signature)))
    // A virtual blockchain is named by the hash of its first microblock.
    const isOther = height !== header.height || b64MbHash !== anchored
    if (isOther || (height === 1 && b64VbHash !== anchored)) {
      throw new SessionError('internal', 'The operator anchored something else than was approved')
    }
    return { b64VbHash, b64MbHash, height }
  },
})
