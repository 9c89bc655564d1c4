/**
 * A small operator for WIAP: it stores microblocks until they are approved, and approved ones in append-only logs, where
 * each microblock has the hash of the one before it. So the flow works without a blockchain; this server alone vouches for
 * the log.
 *
 * | use case  | by             | does                                                                  |
 * |-----------|----------------|-----------------------------------------------------------------------|
 * | `create`  | a dapp's server | stores a microblock for approval, by a named signer or a future actor |
 * | `answer`  | a wallet        | the three requests of WIAP                                             |
 * | `approval`, `chain` | a dapp's server | what became of it; the log                                  |
 *
 * Guarantees: a microblock is anchored only with a signature of its signer over exactly its bytes, behind the head of its
 * chain, once, also with concurrent requests. What was answered is durable. A refused request changes nothing.
 */
import { equalBytes, fromBase64, toBase64, toBase64url } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { isSignedByCarmentisKey, publicKeyBytes } from '../carmentis/keys.ts'
import {
  ACTOR_SUBSCRIPTION_SECTION,
  type Microblock,
  microblockHash,
  readMicroblock,
  SECP256K1_SCHEME,
  sealMicroblock,
  signedBytes,
  withSection,
  writeMicroblock,
} from '../carmentis/microblock.ts'
import type { WiapRequest, WiapResponse } from '../methods/wiap.ts'
import type { Approval, Chain, OperatorStore } from './store.ts'

export interface OperatorDeps {
  store: OperatorStore
  clock: { now(): number }
  randomBytes: (length: number) => Uint8Array
}

export interface NewApproval {
  /** Serialised, without the signature that it is kept for. */
  microblock: Uint8Array
  /** The chain that it extends, base64; not for the first microblock of one. */
  vbHash?: string | undefined
  /** Whose signature it needs; or the number of the actor who will give its keys, which the microblock then tells. */
  by: { signer: string } | { actorId: number }
  /** s. */
  expiresIn: number
}

export interface Operator {
  /** Throws `bad_params` for what is no microblock, `conflict` for one that does not follow the last one of its chain. */
  create(projectId: string, approval: NewApproval): Promise<{ id: string; expiresAt: number }>
  /** Throws `not_found`. */
  approval(projectId: string, id: string): Promise<Approval & { isExpired: boolean }>
  /** `vbHash` in base64. Throws `not_found`. */
  chain(
    projectId: string,
    vbHash: string,
    page: { after: number; limit: number },
  ): Promise<Chain & { microblocks: { height: number; microblock: string }[] }>
  /** Throws a `ProtocolError` for what it refuses. */
  answer(request: WiapRequest): Promise<WiapResponse>
}

/** How long an approval stays readable after it has expired. */
const RETENTION_AFTER_EXPIRY_MS = 7 * 24 * 3_600_000

const APPROVAL_ID = /^[\w-]{1,64}$/
const PKE = /^PKE:MLKEM768AES256GCM:PK\{([A-Za-z0-9+/]+=*)\}$/
const PKE_SCHEME = 0
const PKE_BYTES = 1184
const NO_ORGANISATION = new Uint8Array(32)
const UNKNOWN_ACTOR_TYPE = 0

const badParams = (why: string): ProtocolError => new ProtocolError('bad_params', why)
const headMoved = (): ProtocolError =>
  new ProtocolError('conflict', 'the microblock does not follow the last one of its chain')

/** With the keys that an actor gave. Throws `bad_params` for what are none. */
const subscribed = (
  microblock: Microblock,
  actorId: number,
  keys: { sig: string; pke: string },
): Microblock => {
  const signaturePublicKey = publicKeyBytes(keys.sig)
  if (!signaturePublicKey) throw badParams('actorSignaturePublicKey is no secp256k1 key')
  const pkePublicKey = fromBase64(PKE.exec(keys.pke)?.[1] ?? '')
  if (pkePublicKey.length !== PKE_BYTES) throw badParams('actorPkePublicKey is no ML-KEM-768 key')
  return withSection(microblock, {
    type: ACTOR_SUBSCRIPTION_SECTION,
    actorId,
    actorType: UNKNOWN_ACTOR_TYPE,
    organizationId: NO_ORGANISATION,
    signatureSchemeId: SECP256K1_SCHEME,
    signaturePublicKey,
    pkeSchemeId: PKE_SCHEME,
    pkePublicKey,
  })
}

/** Throws `conflict` for a microblock that fits no chain. Returns the chain that it extends, undefined when it begins one. */
const findChain = async (
  store: OperatorStore,
  projectId: string,
  { header }: Microblock,
  vbHash: string | undefined,
): Promise<Chain | undefined> => {
  const chain = vbHash === undefined ? undefined : await store.chain(projectId, vbHash)
  if (vbHash === undefined ? header.height !== 1 : chain === undefined) throw headMoved()
  if (!chain) return undefined
  const follows = equalBytes(header.previousHash, fromBase64(chain.head))
  if (header.height !== chain.height + 1 || !follows) throw headMoved()
  return chain
}

const microblockOf = (approval: Approval): Microblock => readMicroblock(fromBase64(approval.microblock))

const approvalData = ({ microblock }: Approval): WiapResponse => ({
  type: 'WALLET_OPERATOR_RESPONSE_APPROVAL_DATA',
  b64SerializedMicroblock: microblock,
})

/** Appends the approved microblock to its chain. */
const anchor = async (
  { store, clock, randomBytes }: OperatorDeps,
  approval: Approval,
  signature: Uint8Array,
): Promise<WiapResponse> => {
  const { id, projectId, signer, vbHash } = approval
  const microblock = microblockOf(approval)
  if (signer === undefined) throw badParams('a key must be given first')
  if (!isSignedByCarmentisKey(signer, signedBytes(microblock), signature)) {
    throw new ProtocolError('forbidden', 'the signature is not one of its signer')
  }
  const sealed = sealMicroblock(microblock, signature)
  const mbHash = toBase64(microblockHash(sealed))
  const previousHash = toBase64(microblock.header.previousHash)
  const { height } = microblock.header
  const outcome = { vbHash: vbHash ?? mbHash, mbHash, height }
  const done = await store.anchor(
    {
      ...{ id, projectId, outcome, previousHash },
      attempt: toBase64url(randomBytes(16)),
      // Only of the first microblock of a chain.
      genesisSeed: previousHash,
      microblock: toBase64(writeMicroblock(sealed)),
    },
    clock.now(),
  )
  if (done === 'unknown') throw new ProtocolError('not_found', 'the approval has expired')
  if (done === 'finished') throw new ProtocolError('conflict', 'it was approved already')
  if (done === 'moved') throw headMoved()
  return {
    type: 'WALLET_OPERATOR_RESPONSE_APPROVAL_SIGNATURE',
    b64VbHash: outcome.vbHash,
    b64MbHash: mbHash,
    height,
  }
}

/** The three requests of WIAP, in the order in which a wallet makes them. */
const createWalletRequests = (deps: OperatorDeps): Pick<Operator, 'answer'> => {
  const { store, clock } = deps
  const openApproval = async (id: string): Promise<Approval> => {
    const approval = APPROVAL_ID.test(id) ? await store.approval(id) : undefined
    if (!approval) throw new ProtocolError('not_found', 'no such approval')
    if (approval.outcome) throw new ProtocolError('conflict', 'it was approved already')
    if (approval.expiresAt <= clock.now()) throw new ProtocolError('not_found', 'the approval has expired')
    return approval
  }

  const handshake = async (approval: Approval): Promise<WiapResponse> => {
    if (approval.signer !== undefined) return approvalData(approval)
    const microblock = microblockOf(approval)
    const chain = await findChain(store, approval.projectId, microblock, approval.vbHash)
    return {
      type: 'WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED',
      b64GenesisSeed: chain?.genesisSeed ?? toBase64(microblock.header.previousHash),
    }
  }

  const nameSigner = async (approval: Approval, sig: string, pke: string): Promise<WiapResponse> => {
    const { id, actorId, signer } = approval
    if (actorId === undefined) throw badParams('no key is asked for')
    if (signer === undefined) {
      const microblock = subscribed(microblockOf(approval), actorId, { sig, pke })
      await store.nameSigner(id, sig, toBase64(writeMicroblock(microblock)))
    }
    const named = await openApproval(id)
    if (named.signer !== sig) throw new ProtocolError('conflict', 'another key was given for it')
    return approvalData(named)
  }

  return {
    async answer(request) {
      const approval = await openApproval(request.anchorRequestId)
      switch (request.type) {
        case 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE':
          return handshake(approval)
        case 'WALLET_OPERATOR_REQUEST_ACTOR_KEY':
          return nameSigner(approval, request.actorSignaturePublicKey, request.actorPkePublicKey)
        case 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE':
          return anchor(deps, approval, fromBase64(request.b64Signature))
      }
    },
  }
}

export const createOperator = (deps: OperatorDeps): Operator => {
  const { store, clock, randomBytes } = deps
  return {
    async create(projectId, { microblock: serialized, vbHash, by, expiresIn }) {
      const microblock = readMicroblock(serialized)
      if ('signer' in by && !publicKeyBytes(by.signer)) throw badParams('signer is no secp256k1 key')
      await findChain(store, projectId, microblock, vbHash)
      const now = clock.now()
      const id = toBase64url(randomBytes(24))
      const expiresAt = now + expiresIn * 1000
      const approval: Approval = {
        ...{ id, projectId, expiresAt, keptUntil: expiresAt + RETENTION_AFTER_EXPIRY_MS, ...by },
        microblock: toBase64(serialized),
        ...(vbHash !== undefined && { vbHash }),
      }
      await store.createApproval(approval, now)
      return { id, expiresAt }
    },

    async approval(projectId, id) {
      const approval = APPROVAL_ID.test(id) ? await store.approval(id) : undefined
      if (approval?.projectId !== projectId) throw new ProtocolError('not_found', 'no such approval')
      return { ...approval, isExpired: !approval.outcome && approval.expiresAt <= clock.now() }
    },

    async chain(projectId, vbHash, page) {
      const chain = await store.chain(projectId, vbHash)
      if (!chain) throw new ProtocolError('not_found', 'no such chain')
      return { ...chain, microblocks: await store.microblocks(projectId, vbHash, page) }
    },

    ...createWalletRequests(deps),
  }
}
