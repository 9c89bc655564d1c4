import { secp256k1 } from '@noble/curves/secp256k1.js'
import { describe, expect, it } from 'vitest'
import { holderOf } from '../../src/contacts/account-key.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { checksumAddress } from '../../src/protocol/caip.ts'
import { x25519Did } from '../../src/protocol/did.ts'
import { generateAgreementKey, generateSigningKey } from '../../src/protocol/keys.ts'
import edges from '../vectors/edges.json' with { type: 'json' }

const address = edges.erc1056.address.toLowerCase()
const mixed = checksumAddress(address)
const publicKey = `0x${toHex(secp256k1.getPublicKey(fromHex(edges.erc1056.privateKey.slice(2))))}`
const SOLANA = '7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv'

describe('one account has one key', () => {
  it.each([
    address,
    mixed,
    address.slice(2),
    `did:pkh:eip155:1:${address}`,
    `did:pkh:eip155:8453:${mixed}`,
    `did:ethr:${address}`,
    `did:ethr:${mixed}`,
    `did:ethr:mainnet:${mixed}`,
    `did:ethr:0x5:${address}`,
    `did:ethr:rsk:testnet:${address}`,
    `did:ethr:${publicKey}`,
    `did:ethr:goerli:${publicKey}`,
  ])('as %s', (did) => {
    expect(holderOf(did)).toEqual({ kind: 'account', key: `eip155:${address}`, address })
  })

  it('of another namespace, which signs no ERC-1056', () => {
    const holder = { kind: 'account', key: `solana:${SOLANA}`, address: undefined }
    expect(holderOf(`did:pkh:solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${SOLANA}`)).toEqual(holder)
  })

  it('of a key and of a domain', () => {
    const { did } = generateSigningKey()
    expect(holderOf(did)).toEqual({ kind: 'key', key: did })
    expect(holderOf('did:web:Example.com%3A8443')).toEqual({
      ...{ kind: 'web', key: 'did:web:example.com%3A8443', domain: 'example.com:8443' },
    })
  })
})

it.each([
  ...['', '12345', 'did:', 'did:pkh:', 'did:pkh:eip155:1', `did:pkh:eip155:${address}`, 'did:example:123'],
  ...[`${address}00`, address.slice(0, -1), `0X${address.slice(2)}`, `0x${address.slice(2).toUpperCase()}`],
  ...[`did:ethr:${address.slice(2)}`, `did:ethr:${address}#controller`, `did:ethr:0x${'00'.repeat(33)}`],
  ...[
    `did:ethr:0x02${'ff'.repeat(32)}`,
    'did:ethr:',
    `did:ethr:a b:${address}`,
    ` ${address}`,
    `${address}\n`,
  ],
  ...['did:key:z6Mk', 'did:key:', x25519Did(generateAgreementKey().publicKey), 'did:key:zQ3shokFTS3brHcDQrn'],
  ...['did:web:', 'did:web:a b', 'did:web:example.com:path', 'did:web:example.com/../x', 'did:web:a%2Fb'],
])('%j is nobody', (did) => {
  expect(() => holderOf(did)).toThrow(expect.objectContaining({ code: 'bad_params' }))
})
