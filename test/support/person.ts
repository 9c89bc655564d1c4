import { type Cacao, cacaoTexts } from '../../src/protocol/cacao.ts'
import { didPkh } from '../../src/protocol/did.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { newOwner } from './owner.ts'

/** Somebody with an Ethereum account, who signs in and speaks through identity keys. */
export const createPerson = () => {
  const { account, sign } = newOwner()

  const cacao = (
    key: SigningKey,
    now: number,
    { rendering = 0, ...payload }: Partial<Cacao['p']> & { rendering?: number } = {},
  ): Cacao => {
    const unsigned: Cacao = {
      h: { t: 'eip4361' },
      p: {
        aud: key.did,
        domain: 'app.example.com',
        iss: didPkh(account),
        statement:
          'I further authorize this app to send me notifications. Read more at https://walletconnect.com/notifications',
        version: '1',
        nonce: '0123456789abcdef',
        iat: new Date(now).toISOString(),
        resources: ['https://keys.example.com'],
        ...payload,
      },
      s: { t: 'eip191', s: '' },
    }
    return { ...unsigned, s: { t: 'eip191', s: sign(cacaoTexts(unsigned)[rendering] ?? '') } }
  }

  return { account, cacao, newKey: generateSigningKey }
}

/** A JWT as the published clients make them for a key server; `life` and times in seconds unless `unit` is 1000. */
export const idAuth = (
  key: SigningKey,
  now: number,
  claims: Record<string, unknown> & { act: string },
  { unit = 1, life = 3600 }: { unit?: 1 | 1000; life?: number } = {},
): string => {
  const iat = Math.floor(now / 1000) * unit
  return signJwt({ iss: key.did, aud: 'http://localhost:8080', iat, exp: iat + life * unit, ...claims }, key)
}
