/** What the service knows of a request that `requests/dispatch` has verified. */
import type { Account } from '../../protocol/caip.ts'
import type { RequestId, Sealed, VersionedAccount } from '../store/store.ts'

/** A verified request, and where its answer goes. */
export interface VerifiedRequest {
  /** Of the relay message and of its JWT, and until when they could come again. */
  requestId: RequestId
  /** The JWT was made within the last second or so. */
  isFresh: boolean
  /** The JSON-RPC id, as raw JSON text. */
  rpcId: string
  account: Account
  /** did:key of the client's identity key. */
  identityKey: string
  /** Clients of the first protocol version learn of their own changes by 4012, as other watchers do. */
  hearsOwnChanges: boolean
  answer: {
    topic: string
    key: Sealed
    tag: number
    /** Seconds. */
    ttl: number
    /** did:key that the request was addressed to. */
    signerKey: string
    /** Claims that follow from the request alone: `act`, and what is echoed. */
    claims: Record<string, unknown>
  }
}

/** A request about one subscription: it came on the notify topic. */
export interface SubscriptionRequest extends VerifiedRequest {
  subscriptionId: string
  domain: string
  /** The account as it was read to find the topic's key. */
  known: VersionedAccount
}
