/**
 * The statement by which an account lets a device's identity key manage its notifications (CACAO).
 */
import { toHex } from '../../protocol/bytes.ts'
import { type Cacao, cacaoTexts } from '../../protocol/cacao.ts'
import { didPkh } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'

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

/** `sign` gets the text that the account's owner is to see, and answers an EIP-191 signature, hex. */
export const grantedCacao = async (
  { account, domain, allApps, identityKey, keysUrl }: Grant,
  { now, nonce, sign }: { now: number; nonce: Uint8Array; sign: (text: string) => Promise<string> },
): Promise<Cacao> => {
  const cacao: Cacao = {
    h: { t: 'eip4361' },
    p: {
      aud: identityKey,
      domain,
      iss: didPkh(account),
      statement: allApps ? ALL_APPS : THIS_APP,
      version: '1',
      nonce: toHex(nonce),
      iat: new Date(now).toISOString(),
      resources: [keysUrl],
    },
    s: { t: 'eip191', s: '' },
  }
  const [text] = cacaoTexts(cacao)
  if (text === undefined) throw new ProtocolError('identity_invalid')
  return { ...cacao, s: { t: 'eip191', s: await sign(text) } }
}
