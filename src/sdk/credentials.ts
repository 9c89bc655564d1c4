/**
 * What a wallet session can show and approve besides a signature: `belfry/credentials`. Node and browsers. By itself,
 * because it brings along DCQL, SD-JWT and CBOR.
 *
 *     // a wallet: methods for its session
 *     const methods = {
 *       [CREDENTIAL_PRESENTATION]: credentialPresentation({ credentials: () => load() }),
 *       [DATA_APPROVAL]: dataApproval({ post: browserPost(), actorKeys, knownKey }),
 *     }
 *
 *     // a dapp: what came back
 *     const { claims } = await verifyPresentation({ vpToken, query, audience, nonce, issuerKeys, now: Date.now() })
 */
export { browserPost } from '../sessions/browser-post.ts'
export {
  type ActorKeys,
  type CarmentisKey,
  carmentisKey,
  deriveActorKeys,
  isSignedByCarmentisKey,
} from '../sessions/carmentis-keys.ts'
export { type HolderKey, holderKeyOf } from '../sessions/credential-keys.ts'
export {
  CREDENTIAL_PRESENTATION,
  credentialPresentation,
  type HeldCredential,
} from '../sessions/credential-presentation.ts'
export {
  PresentationError,
  type PresentationExpectations,
  type PresentationRefusal,
  type VerifiedPresentation,
  verifyPresentation,
} from '../sessions/credential-verifier.ts'
export {
  DATA_APPROVAL,
  type DataApprovalDetails,
  type DataApprovalResult,
  dataApproval,
} from '../sessions/data-approval.ts'
export {
  bodyHashOf,
  type Microblock,
  microblockHash,
  readMicroblock,
  writeMicroblock,
} from '../sessions/microblock.ts'
export type { WiapPost } from '../sessions/wiap.ts'
export { isWrAuthPkAnswer, WR_AUTH_PK, wrAuthPk } from '../sessions/wr-auth-pk.ts'
