/**
 * Who is behind an identity key: the CACAO that a key server has for it, verified here, whoever that server is.
 */
import { accountOf, type Cacao, identityKeyOf, verifyCacao } from '../protocol/cacao.ts'
import { type Account, accountKey } from '../protocol/caip.ts'
import { didPkh } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { ContractWalletCheck } from '../protocol/signatures.ts'

/**
 * Asks the key server for the CACAO of an identity key (did:key). Throws `identity_unknown`, `key_server_refused` (not
 * one that this server asks) or `unavailable`.
 */
export type IdentityLookup = (
  keyServerUrl: string,
  identityKey: string,
  signal?: AbortSignal,
) => Promise<Cacao>

/** Throws unless the CACAO is good now, is about this identity key, and was signed by this account. */
export const verifyIdentity = async (
  cacao: Cacao,
  claimed: { identityKey: string; account: Account },
  options: { now: number; verifySignature?: ContractWalletCheck | undefined },
): Promise<void> => {
  if (identityKeyOf(cacao) !== claimed.identityKey) {
    throw new ProtocolError('identity_invalid', 'it was registered for another key')
  }
  // Chain-agnostic, as people are everywhere here: a wallet signs in on one chain and names the account on another. So a
  // contract that stands at one address on two chains is one person, and only chains that the operator names are asked.
  if (accountKey(accountOf(cacao)) !== accountKey(claimed.account)) {
    throw new ProtocolError(
      'account_mismatch',
      `the identity key is not one of ${didPkh(claimed.account.text)}`,
    )
  }
  await verifyCacao(cacao, options)
}
