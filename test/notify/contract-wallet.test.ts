/** Smart accounts: a contract says who signs for them, and a node of their chain is asked. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.ts'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { createKeysClient } from '../../src/sdk/wallet.ts'
import { type Chain, startChain } from '../support/chain.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { type ClientWorld, netDeps, startClientWorld } from '../support/world/wallets.ts'

const APP = 'app.example.com'

let chain: Chain
let world: ClientWorld
let news: string
beforeEach(async () => {
  chain = await startChain()
  world = await startClientWorld({ rpcUrls: { 'eip155:1': `${chain.url}/v3/a-key` } })
  const [type] = await world.app(APP)
  news = type ?? ''
})
afterEach(async () => {
  await world[Symbol.asyncDispose]()
  await chain[Symbol.asyncDispose]()
})

/** A device of the smart account that the factory makes for the owner. */
const deviceOf = (owner = newOwner(), { t = 'eip6492', on = 1, signer = owner } = {}) => {
  const contract = chain.counterfactual(owner.address)
  const sign = async (text: string) => {
    const signature = signer.sign(text)
    return { t, s: t === 'eip6492' ? contract.wrap(signature) : signature }
  }
  const account = `eip155:${on}:${contract.address}`
  const options = { account, sign }
  return { ...world.device(owner, options), contract, options }
}
const notification = () => ({ type: news, title: 'Hello', body: 'there' })

it.each([
  ['not deployed yet (EIP-6492)', 'eip6492', false],
  ['deployed, with the signature from before (EIP-6492)', 'eip6492', true],
  ['deployed (EIP-1271)', 'eip1271', true],
])('one that is %s registers, subscribes, is notified and reads', async (_, t, isDeployed) => {
  const { wallet, contract, titles, options } = deviceOf(newOwner(), { t })
  if (isDeployed) await contract.deploy()
  expect(await wallet.watch()).toEqual([])
  expect(await wallet.subscribe(APP)).toMatchObject({ account: options.account })
  const { sent } = await world.dapp(APP).notify(notification(), [options.account])
  expect(sent).toEqual([options.account])
  await eventually(() => expect(titles()).toEqual(['Hello']))
  expect((await wallet.history(APP)).notifications).toMatchObject([{ title: 'Hello' }])
  // Once for the registry, which verified what the notify server then believed.
  expect(chain.calls).toBe(1)
})

describe('one is refused', () => {
  const refusal = (sentence: string) => ({
    code: 'identity_invalid',
    message: expect.stringContaining(sentence),
  })

  it('when somebody else signed for it', async () => {
    const { wallet } = deviceOf(newOwner(), { signer: newOwner() })
    await expect(wallet.watch()).rejects.toMatchObject(refusal('the account did not sign it'))
  })

  it('when it claims to be there and is not', async () => {
    const { wallet } = deviceOf(newOwner(), { t: 'eip1271' })
    await expect(wallet.watch()).rejects.toMatchObject(refusal('the account did not sign it'))
  })

  it('when its signature is said to be of a key: that one is not asked about', async () => {
    const { wallet, contract } = deviceOf(newOwner(), { t: 'eip191' })
    await contract.deploy()
    await expect(wallet.watch()).rejects.toMatchObject(refusal('the account did not sign it'))
    expect(chain.calls).toBe(0)
  })

  it('on a chain of which no node is known', async () => {
    const { wallet } = deviceOf(newOwner(), { on: 10 })
    const sentence = 'contract wallets of eip155:10 cannot be verified here'
    await expect(wallet.watch()).rejects.toMatchObject(refusal(sentence))
  })
})

it('a node that fails refuses nobody: the same request succeeds when it is back', async () => {
  const { wallet } = deviceOf()
  chain.failWith((_, response) => void response.writeHead(503).end())
  await expect(wallet.watch()).rejects.toMatchObject({ code: 'unavailable' })
  chain.failWith(undefined)
  await wallet.subscribe(APP)

  // Another process has not asked yet.
  await world.restart()
  chain.failWith((_, response) => void response.destroy())
  await expect(wallet.update(APP, [])).rejects.toMatchObject({ code: 'internal' })
  chain.failWith(undefined)
  expect(await wallet.update(APP, [])).toMatchObject({ scope: [] })
})

it('a key that is taken back stops at once, although the chain is still believed', async () => {
  const { wallet, options } = deviceOf()
  await wallet.subscribe(APP)
  const { calls } = chain
  const key = signingKeyFrom(fromHex(wallet.export().identitySeed))
  await createKeysClient(netDeps, { url: world.url }).unregisterIdentity(key, options.account)
  await expect(wallet.update(APP, [])).rejects.toMatchObject({ code: 'identity_unknown' })
  expect(chain.calls).toBe(calls)
})
