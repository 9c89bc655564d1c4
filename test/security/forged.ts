import { crypto } from '#crypto'
import { toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import { x25519Did } from '../../src/protocol/did.ts'
import { generateAgreementKey, generateSigningKey } from '../../src/protocol/keys.ts'

const part = (text: string) => toBase64url(utf8(text))
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

/**
 * Tokens that nobody may be let in with, each with one fault, and the code that they get. `claims`: those of a good one,
 * beside `iss`, `iat` and `exp`.
 */
export const forgedTokens = (
  claims: Record<string, unknown> = {},
  now = Date.now(),
): [string, string, string][] => {
  const key = generateSigningKey()
  const iat = Math.floor(now / 1000)
  const good = { iss: key.did, iat, exp: iat + 3600, ...claims }
  const header = '{"typ":"JWT","alg":"EdDSA"}'
  /** Signed well, whatever the parts say. */
  const signed = (payload: string, head = header, signer = key): string => {
    const input = `${part(head)}.${part(payload)}`
    return `${input}.${toBase64url(crypto.ed25519Sign(utf8(input), signer.seed))}`
  }
  const text = JSON.stringify(good)
  /** With the raw text of one claim replaced: JSON has no Infinity, but 1e400. */
  const having = (name: string, raw: string) =>
    signed(
      `{${Object.entries(good).map(([each, value]) => `"${each}":${each === name ? raw : JSON.stringify(value)}`)}}`,
    )
  const right = signed(text)
  const [rightHeader = '', rightPayload = '', rightSignature = ''] = right.split('.')
  const withSignature = (signature: string) => `${rightHeader}.${rightPayload}.${signature}`
  const invalid = 'jwt_invalid'
  return [
    ['a word', 'x', invalid],
    ['dots', '..', invalid],
    ['8000 dots', '.'.repeat(8000), invalid],
    ['four parts', `${right}.x`, invalid],
    ['junk of 8000 characters', `${'x'.repeat(4000)}.${'y'.repeat(4000)}.z`, invalid],
    ['alg none without a signature', `${part('{"alg":"none"}')}.${rightPayload}.`, invalid],
    ['alg none with one', `${part('{"alg":"none"}')}.${rightPayload}.${rightSignature}`, invalid],
    ['alg HS256', signed(text, '{"alg":"HS256"}'), invalid],
    ['a header that is a list', signed(text, '[]'), invalid],
    ['a header that is nested', signed(text, nested(2000)), invalid],
    ['a header with crit', signed(text, '{"alg":"EdDSA","crit":["x"]}'), invalid],
    ['a payload that is no JSON', signed('{'), invalid],
    ['a payload that is null', signed('null'), invalid],
    ['a payload that is nested', signed(nested(2000)), invalid],
    [
      'a payload that is not UTF-8',
      `${rightHeader}.${toBase64url(Uint8Array.of(0x22, 0xff, 0x22))}.${rightSignature}`,
      invalid,
    ],
    ['a prototype for a payload', signed(`{"__proto__":${text}}`), invalid],
    ['no signature', withSignature(''), invalid],
    ['half a signature', withSignature(rightSignature.slice(0, 43)), invalid],
    ['a signature and a half', withSignature(rightSignature.repeat(2)), invalid],
    ['a signature of zeros', withSignature('A'.repeat(86)), invalid],
    ['a signature that is no base64', withSignature('!'.repeat(86)), invalid],
    ['the signature of another key', signed(text, header, generateSigningKey()), invalid],
    ['an issuer that is a word', having('iss', '"x"'), invalid],
    ['an issuer that is a number', having('iss', '7'), invalid],
    [
      'an issuer that cannot sign',
      having('iss', `"${x25519Did(generateAgreementKey().publicKey)}"`),
      invalid,
    ],
    ['a very long issuer', having('iss', `"did:key:z${'6'.repeat(4000)}"`), invalid],
    ['an infinite exp', having('exp', '1e400'), invalid],
    ['an infinite iat', having('iat', '1e400'), invalid],
    ['a negative exp', having('exp', '-1'), invalid],
    ['an exp that is text', having('exp', '"2099"'), invalid],
    ['an exp that is null', having('exp', 'null'), invalid],
    ['an iat of 2^64', having('iat', '18446744073709551616'), 'jwt_expired'],
    ['an exp long ago', having('exp', '1'), 'jwt_expired'],
  ]
}
