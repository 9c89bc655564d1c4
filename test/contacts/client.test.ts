import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { contactsClient } from '../../src/sdk/contacts.ts'
import { type ContactsWorld, HEX, newSigner, startContacts } from '../support/world/contacts.ts'

let town: ContactsWorld
beforeAll(async () => {
  town = await startContacts()
})
afterAll(() => town?.[Symbol.asyncDispose]())

const clientOf = (of: ContactsWorld) =>
  contactsClient({ url: of.world.server.url, serverDid: of.serverDid }, { clock: of.clock })
const bytes = (...all: number[]) => Uint8Array.from(all)

describe('a client', () => {
  it('grants, fetches and revokes with an identity key', async () => {
    const { did, key: identityKey } = await town.newPerson()
    const contacts = contactsClient({ url: `${town.world.server.url}/` }, { clock: town.clock })
    await contacts.grant(did, { name: HEX, value: bytes(1, 2) }, { identityKey })
    await contacts.grant(did, { name: 'xmtp/installation/base64', value: bytes(3) }, { identityKey }, 60)
    expect(await contacts.fetch(did)).toEqual(['0102', 'Aw=='])
    await contacts.revoke(did, { name: HEX, value: bytes(1, 2) }, { identityKey })
    expect(await contacts.fetch(did)).toEqual(['Aw=='])
    await town.clock.advance(60_000)
    expect(await contacts.fetch(did)).toEqual([])
  })

  it("grants and revokes with an account's own key", async () => {
    const { address, sign } = newSigner()
    const signer = { signDigest: async (digest: Uint8Array) => sign(digest) }
    const contacts = clientOf(town)
    const first = await contacts.nonce(address)
    await contacts.grant(address, { name: HEX, value: bytes(1) }, signer)
    await contacts.grant(address, { name: HEX, value: bytes(2) }, signer, 60)
    expect(await contacts.nonce(address)).toBe(first + 2)
    await contacts.revoke(address, { name: HEX, value: bytes(1) }, signer)
    expect(await contacts.fetch(`did:ethr:${address}`)).toEqual(['02'])
  })

  it('is told what is wrong in the vocabulary of all', async () => {
    const contacts = clientOf(town)
    const { did, key } = await town.newPerson()
    const attribute = { name: HEX, value: bytes(1) }
    const refusal = async (refused: Promise<unknown>) => {
      await expect(refused).rejects.toMatchObject({ name: 'ProtocolError' })
      return refused.catch(({ code }: { code: string }) => code)
    }
    const stranger = { identityKey: generateSigningKey() }
    expect(await refusal(contacts.grant(did, attribute, stranger))).toBe('forbidden')
    expect(await refusal(contacts.fetch('nobody'))).toBe('bad_params')
    expect(await refusal(contacts.grant(did, attribute, { identityKey: key }, 40_000_000))).toBe('bad_params')
    const { address, sign } = newSigner()
    const signer = { signDigest: async (digest: Uint8Array) => sign(digest) }
    expect(await refusal(contacts.grant(key.did, attribute, signer))).toBe('bad_params')
    for (let at = 0; at < 20; at++) await contacts.grant(address, { name: HEX, value: bytes(at) }, signer)
    const more = contacts.grant(address, { name: HEX, value: bytes(99) }, signer)
    expect(await refusal(more)).toBe('too_many_installations')
    const nowhere = contactsClient({ url: 'http://127.0.0.1:9' }, { clock: town.clock })
    expect(await refusal(nowhere.fetch(did))).toBe('unavailable')
    const notThere = contactsClient({ url: `${town.world.url}/elsewhere` }, { clock: town.clock })
    expect(await refusal(notThere.fetch(did))).toBe('not_found')
  })

  it('signs for no registry but the one of the name that it was given', async () => {
    const { address, sign } = newSigner()
    const signed: Uint8Array[] = []
    const signDigest = async (digest: Uint8Array) => {
      signed.push(digest)
      return sign(digest)
    }
    const serverDid = 'did:web:belfry.example'
    const contacts = contactsClient({ url: town.world.server.url, serverDid }, { clock: town.clock })
    const grant = contacts.grant(address, { name: HEX, value: bytes(1) }, { signDigest })
    await expect(grant).rejects.toMatchObject({ code: 'unavailable' })
    expect(signed).toEqual([])
  })
})

it('changes are limited by account, and a stranger uses up nothing', async () => {
  await using limited = await startContacts({ limits: { installations: '2, 1/min' } })
  const contacts = clientOf(limited)
  const { did, key } = await limited.newPerson()
  const grant = (value: number, identityKey = key) =>
    contacts.grant(did, { name: HEX, value: bytes(value) }, { identityKey })
  for (let at = 0; at < 5; at++) {
    await expect(grant(at, generateSigningKey())).rejects.toMatchObject({ code: 'forbidden' })
  }
  await grant(1)
  await grant(2)
  await expect(grant(3)).rejects.toMatchObject({ code: 'rate_limited' })
  await limited.clock.advance(60_000)
  await grant(4)
  expect(await contacts.fetch(did)).toEqual(['01', '02', '04'])
})
