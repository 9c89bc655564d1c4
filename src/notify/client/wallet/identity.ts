/**
 * The statement by which an account lets a device's identity key manage its notifications (CACAO).
 */
import { toHex } from '../../../protocol/bytes.ts'
import type { Cacao } from '../../../protocol/cacao.ts'
import { parseAccount } from '../../../protocol/caip.ts'
import { didPkh } from '../../../protocol/did.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { namespaceOf, type Signature, textsWith } from '../../../protocol/namespaces.ts'

// Literally these; the server decides by them what the key may do.
const THIS_APP =
  'I further authorize this app to send me notifications. Read more at https://walletconnect.com/notifications'
const ALL_APPS =
  'I further authorize this app to view and manage my notifications for ALL apps. Read more at https://walletconnect.com/notifications-all-apps'

export interface Grant {
  /** CAIP-10. */
  account: string
  /** Who asks: the wallet's, or the app's, own domain. */
  domain: string
  allApps: boolean
  /** did:key of the identity key. */
  identityKey: string
  /** The key server where it will be registered. */
  keysUrl: string
}

/**
 * Signs the statement by which the account lets this device act for it.
 *
 * @param text shown to the account's owner, who signs it.
 * @returns the signature: of an Ethereum key by EIP-191 in hex, of a Solana key in base58. Another kind, like that of a
 * contract wallet, comes with its type: `{ t: 'eip1271', s: '0x…' }`.
 * @throws when the owner declines.
 */
export type Sign = (text: string) => Promise<string | Signature>

/** Throws `identity_invalid` for an account that no server can verify. */
export const grantedCacao = async (
  { account, domain, allApps, identityKey, keysUrl }: Grant,
  { now, nonce, sign }: { now: number; nonce: Uint8Array; sign: Sign },
): Promise<Cacao> => {
  const { header, signatureType } = namespaceOf(parseAccount(account))
  const statement = allApps ? ALL_APPS : THIS_APP
  const cacao: Cacao = {
    h: { t: header },
    p: {
      aud: identityKey,
      domain,
      iss: didPkh(account),
      statement,
      version: '1',
      nonce: toHex(nonce),
      iat: new Date(now).toISOString(),
      resources: [keysUrl],
    },
    s: { t: signatureType, s: '' },
  }
  const [text] = textsWith(cacao, statement)
  if (text === undefined) throw new ProtocolError('identity_invalid')
  const signature = await sign(text)
  return { ...cacao, s: typeof signature === 'string' ? { t: signatureType, s: signature } : signature }
}
