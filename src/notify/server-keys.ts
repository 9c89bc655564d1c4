/**
 * The notify server's own keys. They are made once and kept for ever: wallets cache them for their lifetime, and the
 * relay holds subscriptions in the name of the client id.
 */
import {
  agreementKeyFrom,
  generateAgreementKey,
  generateSigningKey,
  type KeyPair,
  type SigningKey,
  signingKeyFrom,
} from '../protocol/keys.ts'
import type { NotifyStore, Sealed } from './store.ts'
import type { Vault } from './vault.ts'

export interface ServerKeys {
  /** Ed25519: signs what the server says for itself. */
  authentication: SigningKey
  /** X25519: watch requests are sealed to it. */
  subscribe: KeyPair
  /** Ed25519: who the server is on the relay. */
  relay: SigningKey
}

/** Reads the keys, or makes them; of several processes that start at once all get the same. */
export const loadServerKeys = async (deps: {
  store: Pick<NotifyStore, 'serverKeys'>
  vault: Vault
}): Promise<ServerKeys> => {
  const { store, vault } = deps
  const kept = await store.serverKeys({
    authentication: vault.seal(generateSigningKey().seed),
    subscribe: vault.seal(generateAgreementKey().privateKey),
    relay: vault.seal(generateSigningKey().seed),
  })
  const open = (sealed: Sealed | undefined): Uint8Array => {
    if (sealed === undefined) throw new Error('The store holds no complete set of server keys')
    return vault.open(sealed)
  }
  return {
    authentication: signingKeyFrom(open(kept.authentication)),
    subscribe: agreementKeyFrom(open(kept.subscribe)),
    relay: signingKeyFrom(open(kept.relay)),
  }
}
