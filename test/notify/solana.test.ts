/** An account of another namespace does everything that an Ethereum account does. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fromBase58, toBase64 } from '../../src/protocol/bytes.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, newSolanaOwner } from '../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'

const APP = 'app.example.com'
const DEVNET = 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1'

let world: ClientWorld
let news: string
beforeEach(async () => {
  world = await startClientWorld()
  const [type] = await world.app(APP)
  news = type ?? ''
})
afterEach(() => world[Symbol.asyncDispose]())

it('a Solana account registers, watches, subscribes, is notified, reads, updates and leaves', async () => {
  const owner = newSolanaOwner()
  const { wallet, titles, signed } = world.device(owner)
  expect(await wallet.watch()).toEqual([])
  expect(signed[0]).toMatch(/^wallet\.test wants you to sign in with your Solana account:\n/)
  expect(signed[0]).toContain(`\n${owner.address}\n`)
  expect(await wallet.subscribe(APP)).toMatchObject({ account: owner.account, scope: [news] })

  const dapp = world.dapp(APP)
  const notification = { type: news, title: 'Hello', body: 'there' }
  // The dapp knows the person on another cluster.
  const known = owner.on(DEVNET)
  expect(await dapp.notify(notification, [known])).toMatchObject({ sent: [known], failed: [], notFound: [] })
  await eventually(() => expect(titles()).toEqual(['Hello']))

  const page = await wallet.history(APP)
  expect(page.notifications).toMatchObject([{ title: 'Hello', isRead: false }])
  await wallet.markRead(APP, 'all')
  expect((await wallet.history(APP)).notifications).toMatchObject([{ isRead: true }])
  expect(await wallet.update(APP, [])).toMatchObject({ scope: [] })
  await wallet.delete(APP)
  expect(wallet.subscriptions()).toEqual([])
  expect(await dapp.notify(notification, [owner.account])).toMatchObject({ notFound: [owner.account] })
  await wallet.unregister()
})

it('its second device, on another cluster, sees the same; a stranger whose address looks alike does not', async () => {
  const owner = newSolanaOwner()
  await world.device(owner).wallet.subscribe(APP)
  const second = world.device({ ...owner, account: owner.on(DEVNET) })
  expect(await second.wallet.watch()).toMatchObject([{ domain: APP, account: owner.on(DEVNET) }])

  const notification = { type: news, title: 'Hello', body: 'there' }
  const alike = [...owner.address].map((letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  )
  // Not every letter has a counterpart in base58; the last that has one will do.
  const at = alike.findLastIndex((letter, i) => letter !== owner.address[i] && !'IOl'.includes(letter))
  const stranger = owner.account.replace(
    owner.address,
    owner.address.slice(0, at) + alike[at] + owner.address.slice(at + 1),
  )
  const answer = await world.dapp(APP).notify(notification, [stranger, owner.account])
  expect(answer).toMatchObject({ sent: [owner.account], notFound: [stranger] })
})

it('a wallet may say of what type its signature is', async () => {
  const owner = newSolanaOwner()
  const sign = async (text: string) => ({ t: 'ed25519', s: toBase64(fromBase58(owner.sign(text))) })
  expect(await world.device(owner, { sign }).wallet.watch()).toEqual([])
})

it('who signs with the key of another account is refused', async () => {
  const owner = newSolanaOwner()
  const thief = newSolanaOwner()
  await expect(world.device({ ...owner, sign: thief.sign }).wallet.watch()).rejects.toMatchObject({
    code: 'identity_invalid',
  })
  await expect(world.device({ ...owner, sign: newOwner().sign }).wallet.watch()).rejects.toMatchObject({
    code: 'identity_invalid',
  })
})

it('an account of a namespace that nobody here can verify is refused in words', async () => {
  const account = 'cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0'
  const refusal = {
    code: 'identity_invalid',
    message: expect.stringContaining(
      'accounts of cosmos cannot be verified here, only those of eip155 and solana',
    ),
  }
  await expect(world.device({ account, sign: () => '' }).wallet.watch()).rejects.toMatchObject(refusal)
  // The server says the same to who asks it all the same.
  const cacao = {
    h: { t: 'caip122' },
    p: {
      aud: world.device(newOwner()).wallet.identityKey,
      domain: APP,
      iss: `did:pkh:${account}`,
      version: '1',
      nonce: '1',
      iat: new Date().toISOString(),
    },
    s: { t: 'eip191', s: '0x' },
  }
  const response = await fetch(`${world.url}/identity`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cacao }),
  })
  expect({ status: response.status, body: await response.json() }).toMatchObject({
    status: 400,
    body: { error: { name: 'identity_invalid', message: refusal.message } },
  })
})
