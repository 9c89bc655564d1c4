import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.ts'
import { x25519Did } from '../../src/protocol/did.ts'
import { generateAgreementKey, signingKeyFrom } from '../../src/protocol/keys.ts'
import { createKeysClient } from '../../src/sdk/wallet.ts'
import { type ClientWorld, netDeps, startClientWorld } from '../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

test('an identity and an invite key are registered, found, and taken back', async () => {
  const keys = createKeysClient(netDeps, { url: world.url })
  const owner = world.newOwner()
  const { wallet } = world.device(owner)
  const identity = signingKeyFrom(fromHex(wallet.export().identitySeed))
  expect(await keys.identity(identity.did)).toBeUndefined()
  await wallet.register()
  expect((await keys.identity(identity.did))?.p.aud).toBe(identity.did)

  const inviteKey = x25519Did(generateAgreementKey().publicKey)
  expect(await keys.invite(owner.account)).toBeUndefined()
  await keys.registerInvite(identity, owner.account, inviteKey)
  expect(await keys.invite(owner.account)).toBe(inviteKey)
  await keys.unregisterInvite(identity, owner.account)
  expect(await keys.invite(owner.account)).toBeUndefined()

  await keys.unregisterIdentity(identity, owner.account)
  expect(await keys.identity(identity.did)).toBeUndefined()
})

test('what the registry refuses is an error of the same vocabulary', async () => {
  const keys = createKeysClient(netDeps, { url: world.url })
  const owner = world.newOwner()
  const { wallet } = world.device(owner)
  const identity = signingKeyFrom(fromHex(wallet.export().identitySeed))
  const inviteKey = x25519Did(generateAgreementKey().publicKey)
  await expect(keys.registerInvite(identity, owner.account, inviteKey)).rejects.toMatchObject({
    name: 'ProtocolError',
  })
  const nobody = createKeysClient(netDeps, { url: 'http://127.0.0.1:9' })
  await expect(nobody.identity(identity.did)).rejects.toMatchObject({ code: 'unavailable' })
})
