/** Two keys that belong together, of an app or of the server, and those they replaced. */
import type { KeyPair, SigningKey } from '../../protocol/keys.ts'

export interface Keys {
  /** Ed25519: signs what its owner says. */
  authentication: SigningKey
  /** X25519: requests are sealed to it. */
  subscribe: KeyPair
}

/** The present keys, and former ones that still count because wallets may have cached them. */
export interface KeyRing extends Keys {
  readonly previous: readonly Keys[]
}

/** All that count, the present ones first. */
export const allKeys = (ring: KeyRing): readonly Keys[] => [ring, ...ring.previous]

/** Those with this authentication key (did:key); undefined when it does not count, or no longer. */
export const keysOf = (ring: KeyRing, did: string | undefined): Keys | undefined =>
  allKeys(ring).find(({ authentication }) => authentication.did === did)
