import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/protocol/bytes.ts'
import { accountKey, checksumAddress, parseAccount, parseChain } from '../../src/protocol/caip.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

// https://eips.ethereum.org/EIPS/eip-55#test-cases
const CHECKSUMMED = [
  '0x52908400098527886E0F7030069857D2E4169EE7',
  '0x8617E340B3D01FA5F11F306F4090FD50E238070D',
  '0xde709f2102306220921060314715629080e2fb77',
  '0x27b1fdb04752bbc536007a920d24acb045561c26',
  '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
  '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
  '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
]

describe('EIP-55', () => {
  it.each(CHECKSUMMED)('spells %s', (address) => {
    expect(checksumAddress(address.toLowerCase())).toBe(address)
    expect(checksumAddress(address)).toBe(address)
    expect(parseAccount(`eip155:1:${address}`).address).toBe(address)
  })

  it('takes lower case and the right checksum, and no other spelling', () => {
    const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => `0x${toHex(bytes)}`)
    fc.assert(
      fc.property(address, fc.nat({ max: 39 }), (lower, at) => {
        const right = checksumAddress(lower)
        expect(parseAccount(`eip155:1:${lower}`).address).toBe(lower)
        expect(parseAccount(`eip155:1:${right}`).address).toBe(right)
        const char = right.charAt(at + 2)
        const other = char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase()
        const wrong = right.slice(0, at + 2) + other + right.slice(at + 3)
        if (wrong === right || wrong === lower) return
        expectCode(() => parseAccount(`eip155:1:${wrong}`), 'bad_params')
      }),
      { numRuns: runs(300) },
    )
  })

  it('takes an address in capitals only where that is its checksum', () => {
    expect(parseAccount('eip155:1:0x52908400098527886E0F7030069857D2E4169EE7').address).toContain('EE7')
    expectCode(() => parseAccount('eip155:1:0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED'), 'bad_params')
    expectCode(() => parseAccount('eip155:1:0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'), 'bad_params')
  })

  it.each(['', '0x', `0x${'0'.repeat(39)}`, `0x${'g'.repeat(40)}`, '0'.repeat(42)])(
    'refuses %j as an address',
    (address) => expectCode(() => checksumAddress(address), 'bad_params'),
  )
})

describe('accounts', () => {
  it('reads the parts and keeps the text', () => {
    const text = 'eip155:137:0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A'
    expect(parseAccount(text)).toEqual({
      namespace: 'eip155',
      reference: '137',
      address: '0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A',
      text,
    })
  })

  it('knows one person by one key, on whatever chain', () => {
    const one = 'eip155:1:0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A'
    const two = 'eip155:10:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a'
    expect(accountKey(one)).toBe('eip155:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a')
    expect(accountKey(parseAccount(two))).toBe(accountKey(one))
  })

  it('tells Solana accounts apart that differ in case only, and knows one on every cluster', () => {
    const key = (cluster: string, address: string) => accountKey(`solana:${cluster}:${address}`)
    const address = 'GwAF45zjfyGzUbd3i3hXxzGeuchzEZXwpRYHZM5912F1'
    const other = 'GwAF45zjfyGzUbd3i3hXxzGeuchzEZXwpRYHZM5912f1'
    expect(key('5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', address)).toBe(`solana:${address}`)
    expect(key('EtWTRABZaYq6iMfeYKouRu166VU2xqa1', address)).toBe(`solana:${address}`)
    expect(key('5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', other)).toBe(`solana:${other}`)
  })

  it.each([
    '',
    'ab12',
    '0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a',
    // Not base58, 31 bytes, 33 bytes.
    'GwAF45zjfyGzUbd3i3hXxzGeuchzEZXwpRYHZM5912F0',
    '44aLB2AXRPXCkyeVpyU8kHr4p56Vhwfy8cdz1unGjHR',
    '22eS8EtzV245szybe3fqk3tDmsoXmthLRuUo5GoFNKi8jZ',
  ])('refuses %j as a Solana address', (address) =>
    expectCode(() => parseAccount(`solana:mainnet:${address}`), 'bad_params'),
  )

  it('takes accounts of other namespaces as they are', () => {
    const text = 'cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0'
    expect(parseAccount(text)).toMatchObject({ namespace: 'cosmos', reference: 'cosmoshub-3', text })
  })

  it.each([
    '',
    ':::',
    'eip155',
    'eip155:1',
    'eip155:1:',
    'eip155::0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a',
    'ei:1:abc',
    'eip155toolong:1:abc',
    'EIP155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a',
    'eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2',
    'eip155:1:19e7e376e7c213b7e7e7e46cc70a5dd086daff2a',
    'eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a\n',
    ' eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a',
    'eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a:more',
    `cosmos:hub:${'a'.repeat(129)}`,
    `cosmos:${'a'.repeat(33)}:abc`,
    'cosmos:hub:äöü',
  ])('refuses %j', (text) => expectCode(() => parseAccount(text), 'bad_params'))
})

describe('chains', () => {
  it('reads a chain', () => expect(parseChain('eip155:1')).toEqual({ namespace: 'eip155', reference: '1' }))

  it.each(['', 'eip155', 'eip155:', ':1', 'eip155:1:2', 'EIP155:1', 'eip155:1 ', `eip155:${'1'.repeat(33)}`])(
    'refuses %j',
    (text) => expectCode(() => parseChain(text), 'bad_params'),
  )
})
