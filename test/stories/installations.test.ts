/** A wallet has devices, and a dapp that knows nothing but the account finds all of them. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { generateAgreementKey, signingKeyFrom } from '../../src/protocol/keys.ts'
import { contactsClient } from '../../src/sdk/contacts.ts'
import { HEX } from '../contacts/town.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld, type World } from '../support/world.ts'
import { newDevice } from './town.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

it('a wallet registers its identity key, grants two installations, a dapp fetches both, one goes', async () => {
  const owner = newOwner()
  await using wallet = newDevice(world, owner)
  await wallet.register()
  const identityKey = signingKeyFrom(fromHex(wallet.export().identitySeed))
  const did = `did:pkh:${owner.account}`

  const devices = [generateAgreementKey(), generateAgreementKey()]
  const atHome = contactsClient({ url: world.server.url })
  for (const { publicKey } of devices) {
    await atHome.grant(did, { name: HEX, value: publicKey }, { identityKey })
  }

  const dapp = contactsClient({ url: world.server.url })
  const keys = devices.map(({ publicKey }) => toHex(publicKey))
  // On another chain, and without its DID: the account is the same.
  for (const known of [did, `did:pkh:${owner.on(10)}`, owner.address]) {
    expect(await dapp.fetch(known)).toEqual(keys)
  }
  const [lost] = devices
  if (!lost) throw new Error('There are two')
  await atHome.revoke(did, { name: HEX, value: lost.publicKey }, { identityKey })
  expect(await dapp.fetch(did)).toEqual(keys.slice(1))
})
