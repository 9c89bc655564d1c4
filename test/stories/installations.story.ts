/**
 * A wallet has devices. A dapp that knows nothing but the account finds all of them and leaves one sealed message for each
 * in the owner's queue; each device takes its own. One is lost: it is told nothing more.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { accountSigner, ed25519Signer, mqClient, type ReceivedMessage } from '../../src/mq/client.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { generateAgreementKey, generateSigningKey, signingKeyFrom } from '../../src/protocol/keys.ts'
import { contactsClient } from '../../src/sdk/contacts.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { newDevice } from '../support/story.ts'
import { HEX } from '../support/world/contacts.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

it('each device of an account takes its own message, and one that is revoked gets no more', async () => {
  const owner = newOwner()
  await using wallet = newDevice(world, owner)
  await wallet.register()
  const identityKey = signingKeyFrom(fromHex(wallet.export().identitySeed))
  const did = `did:pkh:${owner.account}`
  const { url } = world.server
  const contacts = contactsClient({ url })

  const devices = await Promise.all(
    [generateAgreementKey(), generateAgreementKey()].map(async (agreementKey) => {
      await contacts.grant(did, { name: HEX, value: agreementKey.publicKey }, { identityKey })
      const mq = mqClient({ url, ...accountSigner(identityKey, owner.account), agreementKey })
      return { agreementKey, mq, name: toHex(agreementKey.publicKey) }
    }),
  )
  const [phone, lost] = devices
  if (!phone || !lost) throw new Error('There are two')

  const dapp = mqClient({ url, ...ed25519Signer(generateSigningKey()) })
  /** Answers for how many devices there was a message. */
  const tell = async (text: string): Promise<number> => {
    const keys = await contacts.fetch(did)
    for (const key of keys) {
      await dapp.put(did, `${text} for ${key}`, { sealTo: fromHex(String(key)), signed: true })
    }
    return keys.length
  }
  // On another chain, and without its DID: the account is the same.
  for (const known of [did, `did:pkh:${owner.on(10)}`, owner.address]) {
    expect([...(await contacts.fetch(known))].sort()).toEqual(devices.map(({ name }) => name).sort())
  }

  /** A device looks at the head, and takes what it can open. What it cannot is another's, and stays. */
  const takeOwn = async ({ mq }: (typeof devices)[number]): Promise<ReceivedMessage | undefined> => {
    const head = await mq.peek()
    return head?.isSealed ? mq.take({ id: head.id }) : undefined
  }
  expect(await tell('first')).toBe(2)
  const taken = new Map<string, ReceivedMessage>()
  await eventually(async () => {
    for (const device of devices) {
      if (taken.has(device.name)) continue
      const message = await takeOwn(device)
      if (message) taken.set(device.name, message)
    }
    expect(taken.size).toBe(2)
  })
  for (const [name, { text, sender }] of taken) {
    expect(text).toBe(`first for ${name}`)
    expect(sender).toBe(dapp.did)
  }

  await contacts.revoke(did, { name: HEX, value: lost.agreementKey.publicKey }, { identityKey })
  expect(await tell('second')).toBe(1)
  // It still has the account's identity key, so it sees that there is something; what, it cannot read.
  const seen = await lost.mq.peek()
  expect(seen).toMatchObject({ isSealed: false })
  expect(seen?.text).not.toContain('second')
  expect((await takeOwn(phone))?.text).toBe(`second for ${phone.name}`)
})
