import { createPublicClient, getAddress, http } from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createContractWallets } from '../../../src/platform/net/contract-wallets.ts'
import { anyAddress } from '../../../src/platform/net/public-address.ts'
import { createPublicFetch, type PublicFetch } from '../../../src/platform/net/public-fetch.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { parseAccount } from '../../../src/protocol/caip.ts'
import { type Chain, startChain } from '../../support/chain.ts'
import { manualClock } from '../../support/clock.ts'
import { newOwner } from '../../support/owner.ts'

const TEXT = 'wallet.example wants you to sign in with your Ethereum account: grüezi'
const WALLET = getAddress('0x00000000000000000000000000000000c0ffee00')

let chain: Chain
beforeEach(async () => {
  chain = await startChain()
})
afterEach(() => chain[Symbol.asyncDispose]())

const createCheck = (wrap: (fetch: PublicFetch) => PublicFetch = (fetch) => fetch) => {
  const clock = manualClock()
  const fetch = wrap(createPublicFetch({ rules: anyAddress }))
  const verify = createContractWallets({ fetch, clock, log: silent }, { rpcUrls: { 'eip155:1': chain.url } })
  const check = (address: string, signature: string, reference = '1') =>
    verify({ account: parseAccount(`eip155:${reference}:${address}`), text: TEXT, signature })
  return { check, clock }
}

describe('a contract wallet', () => {
  it('that is deployed has signed what its owner signed, and nothing else', async () => {
    const owner = newOwner()
    chain.deploy(WALLET, () => owner.address)
    const { check } = createCheck()
    expect(await check(WALLET, owner.sign(TEXT))).toBe(true)
    expect(await check(WALLET.toLowerCase(), owner.sign(TEXT))).toBe(true)
    expect(await check(WALLET, owner.sign(`${TEXT}.`))).toBe(false)
    expect(await check(WALLET, newOwner().sign(TEXT))).toBe(false)
    for (const nonsense of [
      '0x',
      '0x00',
      `0x${'00'.repeat(65)}`,
      `0x${'ff'.repeat(65)}`,
      `0x${'11'.repeat(300)}`,
    ]) {
      expect(await check(WALLET, nonsense)).toBe(false)
    }
    // Somebody else's wallet with the same owner's signature over the same text is another question.
    expect(await check(getAddress('0x00000000000000000000000000000000c0ffee01'), owner.sign(TEXT))).toBe(
      false,
    )
  })

  it('that is not deployed yet has signed too, with the same signature once it is', async () => {
    const owner = newOwner()
    const wallet = chain.counterfactual(owner.address)
    const { check } = createCheck()
    const signature = wallet.wrap(owner.sign(TEXT))
    expect(await check(wallet.address, signature)).toBe(true)
    // Asking deploys nothing.
    expect(await check(wallet.address, owner.sign(TEXT))).toBe(false)
    expect(await check(wallet.address, wallet.wrap(newOwner().sign(TEXT)))).toBe(false)
    const other = chain.counterfactual(newOwner().address)
    expect(await check(wallet.address, other.wrap(owner.sign(TEXT)))).toBe(false)
    await wallet.deploy()
    expect(await check(wallet.address, signature)).toBe(true)
    expect(await check(wallet.address, owner.sign(TEXT))).toBe(true)
  })

  it('is judged as viem itself judges it', async () => {
    const owner = newOwner()
    const wallet = chain.counterfactual(owner.address)
    chain.deploy(WALLET, () => owner.address)
    const client = createPublicClient({ transport: http(chain.url, { retryCount: 0 }) })
    const { check } = createCheck()
    for (const address of [WALLET, wallet.address]) {
      for (const signer of [owner, newOwner()]) {
        for (const signed of [signer.sign(TEXT), wallet.wrap(signer.sign(TEXT)), '0x1234'] as const) {
          const signature = `0x${signed.slice(2)}` as const
          const theirs = await client.verifyMessage({ address, message: TEXT, signature })
          expect(await check(address, signature)).toBe(theirs)
        }
      }
    }
  })

  it('of a chain without a node is refused', async () => {
    const { check } = createCheck()
    await expect(check(WALLET, newOwner().sign(TEXT), '10')).rejects.toMatchObject({
      code: 'identity_invalid',
      message: expect.stringContaining('contract wallets of eip155:10 cannot be verified here'),
    })
    expect(chain.calls).toBe(0)
  })
})

describe('what the chain said', () => {
  it('is asked for once by everybody at the same time, and believed for five minutes', async () => {
    let owner = newOwner()
    chain.deploy(WALLET, () => owner.address)
    const { check, clock } = createCheck()
    const signature = owner.sign(TEXT)
    expect(await Promise.all([check(WALLET, signature), check(WALLET, signature)])).toEqual([true, true])
    owner = newOwner()
    await clock.advance(299_999)
    expect(await check(WALLET, signature)).toBe(true)
    expect(chain.calls).toBe(1)
    // The wallet has another owner now: the signature of the old one has ended.
    await clock.advance(1)
    expect(await check(WALLET, signature)).toBe(false)
  })

  it('is not kept when it was no', async () => {
    const owner = newOwner()
    const { check } = createCheck()
    expect(await check(WALLET, owner.sign(TEXT))).toBe(false)
    chain.deploy(WALLET, () => owner.address)
    expect(await check(WALLET, owner.sign(TEXT))).toBe(true)
  })
})

describe('a node', () => {
  const answers = (value: unknown, status = 200): Parameters<Chain['failWith']>[0] => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return (_, response) => void response.writeHead(status).end(text)
  }
  it.each<[string, Parameters<Chain['failWith']>[0]]>([
    ['hangs up', (_, response) => void response.destroy()],
    ['is overloaded', answers({ error: { code: -32005, message: 'rate limited' } }, 429)],
    ['answers no JSON', answers('<html>', 502)],
    ['answers something else', answers({ hello: 1 })],
    ['does not know the method', answers({ error: { code: -32601, message: 'not found' } })],
    ['does not run calls without a contract', answers({ result: '0x' })],
    ['answers too much', answers(' '.repeat(70_000))],
    ['redirects', (_, response) => void response.writeHead(307, { location: chain.url }).end()],
  ])('that %s leaves the question open', async (_, how) => {
    const owner = newOwner()
    chain.deploy(WALLET, () => owner.address)
    const { check } = createCheck()
    chain.failWith(how)
    await expect(check(WALLET, owner.sign(TEXT))).rejects.toMatchObject({ code: 'unavailable' })
    chain.failWith(undefined)
    expect(await check(WALLET, owner.sign(TEXT))).toBe(true)
  })

  it.each([
    { code: 3, message: 'execution reverted' },
    { code: -32000, message: 'execution reverted' },
    { code: -32015, message: 'VM execution error: Reverted 0x' },
    { code: -32000, message: 'invalid opcode: opcode 0xfe not defined' },
    { code: -32000, message: 'out of gas' },
  ])('that says %j says no', async (error) => {
    chain.failWith(answers({ jsonrpc: '2.0', id: 1, error }))
    expect(await createCheck().check(WALLET, newOwner().sign(TEXT))).toBe(false)
  })

  it('that does not answer is not waited for', async () => {
    chain.failWith(() => {})
    const { check } = createCheck((fetch) => (url, request) => {
      expect(request.milliseconds).toBeLessThanOrEqual(5_000)
      return fetch(url, { ...request, milliseconds: 100 })
    })
    await expect(check(WALLET, newOwner().sign(TEXT))).rejects.toMatchObject({ code: 'unavailable' })
  })
})
