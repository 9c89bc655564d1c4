/** Who may change what, by either authority, and how long it lasts. */

import { secp256k1 } from '@noble/curves/secp256k1.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Action } from '../../src/contacts/erc1056.ts'
import { fromHex, toBase58, toBase64, toHex } from '../../src/protocol/bytes.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { idAuth } from '../support/person.ts'
import { type ContactsWorld, DENIED, HEX, newSigner, startContacts, YEAR } from '../support/world/contacts.ts'

let town: ContactsWorld
beforeAll(async () => {
  town = await startContacts()
})
afterAll(() => town?.[Symbol.asyncDispose]())

const GRANTED = { result: { status: 'success', message: 'Installation granted.' } }
const REVOKED = { result: { status: 'success', message: 'Installation revoked.' } }
const holds = async (did: string, ...installation: string[]) =>
  expect(await town.fetchAll(did)).toEqual({ result: { status: 'success', installation } })
const bytes = (text: string) => fromHex(text)
const set = (value: string, validity = YEAR, name = HEX): Action => ({
  ...{ act: 'set', name, value: bytes(value), validity },
})
const unset = (value: string): Action => ({ act: 'revoke', name: HEX, value: bytes(value) })

describe('an ERC-1056 signature', () => {
  it('grants and revokes, nonce by nonce', async () => {
    const signer = newSigner()
    const did = `did:ethr:${signer.address}`
    const grant = async (value: string) => {
      const signature = await town.signed(signer, set(value))
      return town.rpc('grantInstallation', { did, name: HEX, value, signature, validity: YEAR })
    }
    const { nonce: first } = await town.nonceOf(did)
    expect(await grant('aa')).toEqual(GRANTED)
    expect(await grant('bb')).toEqual(GRANTED)
    await holds(did, 'aa', 'bb')
    expect((await town.nonceOf(did)).nonce).toBe(first + 2)
    const signature = await town.signed(signer, unset('aa'))
    expect(await town.rpc('revokeInstallation', { did, name: HEX, value: 'aa', signature })).toEqual(REVOKED)
    await holds(did, 'bb')
    // All of them know the account by another name.
    for (const same of [
      signer.address,
      `did:pkh:eip155:10:${signer.address}`,
      `did:ethr:0x5:${signer.address}`,
    ]) {
      await holds(same, 'bb')
    }
    expect((await town.nonceOf(signer.address)).nonce).toBe(first + 3)
  })

  it('works once, also when a hundred hand it in at once', async () => {
    const signer = newSigner()
    const signature = await town.signed(signer, set('aa'))
    const params = { did: signer.address, name: HEX, value: 'aa', signature }
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => town.rpc('grantInstallation', params)),
    )
    expect(answers.filter((answer) => JSON.stringify(answer) === JSON.stringify(GRANTED))).toHaveLength(1)
    expect(
      answers.filter((answer) => JSON.stringify(answer) === JSON.stringify({ error: DENIED })),
    ).toHaveLength(99)
    await holds(signer.address, 'aa')
    const gone = await town.signed(signer, unset('aa'))
    await town.rpc('revokeInstallation', { ...params, signature: gone })
    expect(await town.rpc('grantInstallation', params)).toEqual({ error: DENIED })
    await holds(signer.address)
  })

  it('is refused for another registry, nonce, account, value, name or validity, and with a bit flipped', async () => {
    const signer = newSigner()
    const good = { did: signer.address, name: HEX, value: 'aa', validity: 60 }
    const ask = (signature: unknown, change = {}) =>
      town.rpc('grantInstallation', { ...good, signature, ...change })
    const signature = await town.signed(signer, set('aa', 60))
    const { r, s, v } = signature
    const order = secp256k1.Point.Fn.ORDER
    const highS = `0x${(order - BigInt(s)).toString(16)}`
    const flipped = `0x${(BigInt(r) ^ 1n).toString(16).padStart(64, '0')}`
    const refused = [
      await ask(await town.signed(signer, set('aa', 60), { registry: `0x${'00'.repeat(18)}c0de` })),
      await ask(await town.signed(signer, set('aa', 60), { nonce: 1 })),
      await ask(await town.signed(newSigner(), set('aa', 60))),
      await ask(signature, { did: newSigner().address }),
      await ask(signature, { value: 'ab' }),
      await ask(signature, { name: 'xmtp/installation/base64', value: 'qg==' }),
      await ask(signature, { validity: 61 }),
      await ask(signature, { validity: undefined }),
      await ask({ r, s: highS, v: 55 - v }),
      await ask({ r: flipped, s, v }),
      await ask({ r, s, v: 55 - v }),
      await ask(signature, { did: generateSigningKey().did }),
      await ask(signature, {
        did: 'did:pkh:solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:11111111111111111111111111111111',
      }),
      await town.rpc('revokeInstallation', { ...good, validity: undefined, signature }),
    ]
    expect(refused).toEqual(refused.map(() => ({ error: DENIED })))
    expect(await ask(signature)).toEqual(GRANTED)
  })

  it('may be over a name that is filled up with spaces, and come with the name as it is', async () => {
    const signer = newSigner()
    const signature = await town.signed(signer, set('aa'), { padding: 0x20 })
    const params = { did: signer.address, name: HEX.padEnd(32), value: '0xAA', signature }
    expect(await town.rpc('grantInstallation', params)).toEqual(GRANTED)
    await holds(signer.address, 'aa')
  })

  it('comes in a batch with the next one', async () => {
    const signer = newSigner()
    const { nonce: first } = await town.nonceOf(signer.address)
    const grants = await Promise.all(
      ['aa', 'bb', 'cc'].map(async (value, at) => ({
        ...{ jsonrpc: '2.0', id: at, method: 'grantInstallation' },
        params: [signer.address, HEX, value, await town.signed(signer, set(value), { nonce: first + at })],
      })),
    )
    const { body } = await town.world.http('POST', '/rpc/v1/grantInstallation', { body: grants })
    expect(body).toEqual(grants.map(({ id }) => ({ jsonrpc: '2.0', id, ...GRANTED })))
    await holds(signer.address, 'aa', 'bb', 'cc')
  })
})

describe('the dialect of the published gateway', () => {
  it('has attributes as objects, values as bytes, and answers of its own', async () => {
    const signer = newSigner()
    const value = [0x02, 0xb9, 0x7c]
    const attribute = { purpose: 'Installation', encoding: 'Hex' }
    const { nonce: first } = await town.nonceOf(signer.address)
    // Its signers fill up with spaces, write numbers without leading zeros, and mean a year.
    const short = ({ r, s, v }: { r: string; s: string; v: number }) => ({
      ...{ r: `0x${BigInt(r).toString(16)}`, s: `0x${BigInt(s).toString(16)}`, v },
    })
    const sign = async (action: Action) => short(await town.signed(signer, action, { padding: 0x20 }))
    const granted = await town.rpc('xps_grantInstallation', [
      signer.address,
      attribute,
      value,
      await sign(set('02b97c')),
    ])
    expect(granted).toEqual({
      result: {
        status: 'Success',
        message: 'Installation granted.',
        transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/),
      },
    })
    const packages = { status: 'Success', message: expect.any(String), installation: [value] }
    expect(await town.rpc('xps_fetchKeyPackages', [signer.address])).toEqual({ result: packages })
    expect(await town.rpc('xps_fetchKeyPackages', { did: signer.address })).toEqual({ result: packages })
    await holds(signer.address, '02b97c')
    expect(await town.rpc('xps_nonce', { did: signer.address.slice(2) })).toEqual({
      result: `0x${(first + 1).toString(16)}`,
    })
    const revoke = { did: signer.address, name: attribute, value, signature: await sign(unset('02b97c')) }
    expect(await town.rpc('xps_revokeInstallation', revoke)).toEqual({ result: null })
    expect(await town.rpc('xps_revokeInstallation', revoke)).toEqual({ error: DENIED })
    await holds(signer.address)
  })
})

describe('a token of an identity key', () => {
  it('grants and revokes for its account, on whatever chain and by whatever name', async () => {
    const { did, key, account } = await town.newPerson()
    const address = account.split(':')[2] ?? ''
    const grant = (of: string, sub: string, value: string) =>
      town.rpc('grantInstallation', { did: of, jwt: town.jwt(key, sub, value) })
    expect(await grant(did, did, 'aa')).toEqual(GRANTED)
    expect(await grant(address, `did:pkh:eip155:137:${address}`, 'bb')).toEqual(GRANTED)
    expect(await grant(`did:ethr:${address}`, address.toLowerCase(), 'cc')).toEqual(GRANTED)
    await holds(did, 'aa', 'bb', 'cc')
    const jwt = town.jwt(key, did, 'bb', { act: 'revoke_installation' })
    expect(await town.rpc('revokeInstallation', { did, jwt, name: HEX, value: '0xBB' })).toEqual(REVOKED)
    await holds(did, 'aa', 'cc')
  })

  it('works once, also when a hundred hand it in at once', async () => {
    const { did, key } = await town.newPerson()
    const jwt = town.jwt(key, did, 'aa')
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => town.rpc('grantInstallation', { did, jwt })),
    )
    expect(answers.filter((answer) => JSON.stringify(answer) === JSON.stringify(GRANTED))).toHaveLength(1)
    const revoke = town.jwt(key, did, 'aa', { act: 'revoke_installation' })
    expect(await town.rpc('revokeInstallation', { did, jwt: revoke })).toEqual(REVOKED)
    for (const method of ['grantInstallation', 'revokeInstallation']) {
      for (const again of [jwt, revoke])
        expect(await town.rpc(method, { did, jwt: again })).toEqual({ error: DENIED })
    }
    await holds(did)
  })

  it('is refused when anything about it is wrong', async () => {
    const { did, key } = await town.newPerson()
    const other = await town.newPerson()
    const iat = Math.floor(town.clock.now() / 1000)
    const ask = (jwt: string, params = {}) => town.rpc('grantInstallation', { did, jwt, ...params })
    const good = town.jwt(key, did, 'aa')
    const [head = '', body = '', signature = ''] = good.split('.')
    const refused = [
      await ask(town.jwt(other.key, did, 'aa')),
      await ask(town.jwt(key, other.did, 'aa')),
      await ask(town.jwt(key, 'did:example:1', 'aa')),
      await ask(town.jwt(generateSigningKey(), did, 'aa')),
      await ask(town.jwt(key, did, 'aa', { iss: other.key.did })),
      await ask(town.jwt(key, did, 'aa', { aud: 'did:web:other.example' })),
      await ask(town.jwt(key, did, 'aa', { aud: undefined })),
      await ask(town.jwt(key, did, 'aa', { act: 'revoke_installation' })),
      await ask(town.jwt(key, did, 'aa', { act: undefined })),
      await ask(town.jwt(key, did, 'aa', { exp: iat + 301 })),
      await ask(town.jwt(key, did, 'aa', { iat: iat - 700, exp: iat - 400 })),
      await ask(town.jwt(key, did, 'aa', { iat: iat + 400, exp: iat + 500 })),
      await ask(town.jwt(key, did, 'aa', { jti: undefined })),
      await ask(town.jwt(key, did, 'aa', { jti: '' })),
      await ask(town.jwt(key, did, 'aa', { name: undefined })),
      await ask(town.jwt(key, did, 'aa', { value: undefined })),
      await ask(town.jwt(key, did, 'aa', { validity: '60' })),
      await ask(good, { name: HEX, value: 'ab' }),
      await ask(good, { name: 'xmtp/installation/base64', value: 'qg==' }),
      await ask(`${head}.${body}.${signature.slice(0, -4)}AAAA`),
      await ask(`${head}.${body}`),
      await ask('token'),
    ]
    expect(refused).toEqual(refused.map(() => ({ error: DENIED })))
    expect(await ask(town.jwt(key, did, 'zz'))).toMatchObject({ error: { code: -32602 } })
    expect(await ask(town.jwt(key, did, 'aa', { validity: YEAR + 1 }))).toMatchObject({
      error: { code: -32602 },
    })
    expect(await ask(good, { name: HEX, value: 'aa' })).toEqual(GRANTED)
  })

  it('is refused as soon as its key is taken back, and when what registered it has expired', async () => {
    const { did, key, account, cacao, newKey, register } = await town.newPerson()
    expect(await town.rpc('grantInstallation', { did, jwt: town.jwt(key, did, 'aa') })).toEqual(GRANTED)
    const auth = { act: 'unregister_identity', sub: 'identity_keys', pkh: `did:pkh:${account}` }
    const token = idAuth(key, town.clock.now(), auth, { unit: 1000 })
    const { status } = await town.world.http('DELETE', '/identity', { body: { idAuth: token } })
    expect(status).toBe(200)
    expect(await town.rpc('grantInstallation', { did, jwt: town.jwt(key, did, 'bb') })).toEqual({
      error: DENIED,
    })

    const brief = newKey()
    const now = town.clock.now()
    await register(cacao(brief, now, { exp: new Date(now + 10_000).toISOString() }))
    expect(await town.rpc('grantInstallation', { did, jwt: town.jwt(brief, did, 'cc') })).toEqual(GRANTED)
    await town.clock.advance(100_000)
    expect(await town.rpc('grantInstallation', { did, jwt: town.jwt(brief, did, 'dd') })).toEqual({
      error: DENIED,
    })
    await holds(did, 'aa', 'cc')
  })

  it('is not needed to be registered where the DID is the key', async () => {
    const key = generateSigningKey()
    expect(await town.rpc('grantInstallation', { did: key.did, jwt: town.jwt(key, key.did, 'aa') })).toEqual(
      GRANTED,
    )
    const stranger = generateSigningKey()
    const jwt = town.jwt(stranger, key.did, 'bb')
    expect(await town.rpc('grantInstallation', { did: key.did, jwt })).toEqual({ error: DENIED })
    await holds(key.did, 'aa')
  })

  it('is never taken from another kind of signature', async () => {
    const { did, key } = await town.newPerson()
    const [, body = ''] = town.jwt(key, did, 'aa').split('.')
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
    const hs = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${body}.${Buffer.alloc(32).toString('base64url')}`
    for (const jwt of [none, hs])
      expect(await town.rpc('grantInstallation', { did, jwt })).toEqual({ error: DENIED })
    const claims = { iss: key.did, iat: 0, exp: 9_999_999_999, sub: did, act: 'grant_installation' }
    expect(await town.rpc('grantInstallation', { did, jwt: signJwt(claims, key) })).toEqual({ error: DENIED })
  })
})

describe('installations', () => {
  it('are answered in the encoding that their name states, in the order of their grants', async () => {
    const key = generateSigningKey()
    const value = Uint8Array.from({ length: 40 }, (_, at) => 255 - at * 5)
    const texts: [string, string][] = [
      ['base64', toBase64(value)],
      ['hex', toHex(value)],
      ['base58', toBase58(value)],
    ]
    for (const [encoding, text] of texts) {
      const jwt = town.jwt(key, key.did, text, { name: `xmtp/installation/${encoding}` })
      expect(await town.rpc('grantInstallation', { did: key.did, jwt })).toEqual(GRANTED)
    }
    await holds(key.did, ...texts.map(([, text]) => text))
  })

  it('have up to 16 KiB, and 256 bytes in base58', async () => {
    const signer = newSigner()
    const grant = async (encoding: 'hex' | 'base64' | 'base58', length: number) => {
      const name = `xmtp/installation/${encoding}`
      const value = new Uint8Array(length).fill(7)
      const signature = await town.signed(signer, { act: 'set', name, value, validity: YEAR })
      const text = { hex: toHex, base64: toBase64, base58: toBase58 }[encoding](value)
      return town.rpc('grantInstallation', { did: signer.address, name, value: text, signature })
    }
    for (const [encoding, most] of [
      ['hex', 16_384],
      ['base64', 16_384],
      ['base58', 256],
    ] as const) {
      expect(await grant(encoding, most)).toEqual(GRANTED)
      expect(await grant(encoding, most + 1)).toMatchObject({ error: { code: -32602 } })
    }
  })

  it('are 20 at most, and one that goes makes room', async () => {
    const key = generateSigningKey()
    const ask = (value: string) =>
      town.rpc('grantInstallation', { did: key.did, jwt: town.jwt(key, key.did, value) })
    const values = Array.from({ length: 20 }, (_, at) => `${at + 10}`)
    for (const value of values) expect(await ask(value)).toEqual(GRANTED)
    expect(await ask('ff')).toMatchObject({ error: { code: 409 } })
    expect(await ask('10')).toEqual(GRANTED)
    await holds(key.did, ...values)
    const jwt = town.jwt(key, key.did, '15', { act: 'revoke_installation' })
    expect(await town.rpc('revokeInstallation', { did: key.did, jwt })).toEqual(REVOKED)
    expect(await ask('ff')).toEqual(GRANTED)
    await holds(key.did, ...values.filter((value) => value !== '15'), 'ff')
  })

  it('end when they were granted to end, unless they are granted again', async () => {
    const key = generateSigningKey()
    const ask = (value: string, validity: number) =>
      town.rpc('grantInstallation', { did: key.did, jwt: town.jwt(key, key.did, value, { validity }) })
    await ask('aa', 100)
    await ask('bb', 60)
    await town.clock.advance(59_000)
    await ask('aa', 100)
    await holds(key.did, 'aa', 'bb')
    await town.clock.advance(1_000)
    await holds(key.did, 'aa')
    await town.clock.advance(98_999)
    await holds(key.did, 'aa')
    await town.clock.advance(1)
    await holds(key.did)
    // The duty removes it from the store, too.
    const sizeOf = () => town.world.stores.transfer.read.contactToken.size()
    const before = (await sizeOf()) ?? 0
    expect(before).toBeGreaterThan(0)
    await eventually(async () => {
      await town.clock.advance(700_000)
      expect((await sizeOf()) ?? before).toBeLessThan(before)
    })
  })
})
