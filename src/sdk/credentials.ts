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

export {
  type ActorKeys,
  type CarmentisKey,
  carmentisKey,
  deriveActorKeys,
  isSignedByCarmentisKey,
} from '../sessions/carmentis/keys.ts'
export {
  bodyHashOf,
  type Microblock,
  microblockHash,
  readMicroblock,
  writeMicroblock,
} from '../sessions/carmentis/microblock.ts'
export { type HolderKey, holderKeyOf } from '../sessions/credentials/keys.ts'
export {
  PresentationError,
  type PresentationExpectations,
  type PresentationRefusal,
  type VerifiedPresentation,
  verifyPresentation,
} from '../sessions/credentials/verify.ts'
export {
  CREDENTIAL_PRESENTATION,
  credentialPresentation,
  type HeldCredential,
} from '../sessions/methods/credential-presentation.ts'
export {
  DATA_APPROVAL,
  type DataApprovalDetails,
  type DataApprovalResult,
  dataApproval,
} from '../sessions/methods/data-approval.ts'
export type { WiapPost } from '../sessions/methods/wiap.ts'
export { isWrAuthPkAnswer, WR_AUTH_PK, wrAuthPk } from '../sessions/methods/wr-auth-pk.ts'
export { browserPost } from '../sessions/wallet/browser-post.ts'
