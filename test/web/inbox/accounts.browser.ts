/** Accounts of wallets in the browser: of Ethereum, announced by EIP-6963 or injected, and of Solana, by the Wallet Standard. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { fromBase58, fromHex, fromUtf8 } from '../../../src/protocol/bytes.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { newOwner, newSolanaOwner } from '../../support/owner.ts'
import { expectAccessible, type Watched } from '../browser.ts'
import { type InboxWorld, row, startInboxWorld, subscribe } from './world.ts'

const owned = createReleaseStack()
let inbox: InboxWorld
beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

/** What the wallet was asked, as often as it was. */
interface Wallet {
  texts: string[]
  declines: boolean
}

type Announced = 'announced' | 'injected'

/** A wallet whose key is outside of the page, as in an extension. */
const injectEthereum = async ({ context }: Watched, owner: ReturnType<typeof newOwner>, how: Announced) => {
  const wallet: Wallet = { texts: [], declines: false }
  await context.exposeFunction('askWallet', (method: string, params: unknown) => {
    if (method === 'eth_requestAccounts') return { result: [owner.address.toLowerCase()] }
    const [hex] = Array.isArray(params) ? params : []
    const text = fromUtf8(fromHex(String(hex).slice(2)))
    wallet.texts.push(text)
    return wallet.declines ? { declined: true } : { result: owner.sign(text) }
  })
  await context.addInitScript((announced) => {
    const provider = {
      async request({ method, params }: { method: string; params?: unknown }) {
        const ask: unknown = Reflect.get(globalThis, 'askWallet')
        const answer = typeof ask === 'function' ? await ask(method, params) : undefined
        if (answer?.declined) throw Object.assign(new Error('User rejected'), { code: 4001 })
        return answer.result
      },
    }
    if (announced === 'injected') Reflect.set(globalThis, 'ethereum', provider)
    else {
      const info = { rdns: 'com.example.fox', name: 'Fox', uuid: '1', icon: 'data:image/svg+xml,<svg/>' }
      const tell = () =>
        dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: { info, provider } }))
      addEventListener('eip6963:requestProvider', tell)
      tell()
    }
  }, how)
  return wallet
}

const injectSolana = async ({ context }: Watched, owner: ReturnType<typeof newSolanaOwner>) => {
  const texts: string[] = []
  await context.exposeFunction('askSolana', (text: string) => {
    texts.push(text)
    return [...fromBase58(owner.sign(text))]
  })
  await context.addInitScript((address) => {
    const account = { address, publicKey: new Uint8Array(32), chains: ['solana:mainnet'], features: [] }
    const wallet = {
      ...{ version: '1.0.0', name: 'Sun', icon: 'data:image/svg+xml,<svg/>', chains: ['solana:mainnet'] },
      accounts: [account],
      features: {
        'standard:connect': { connect: async () => ({ accounts: [account] }) },
        'solana:signMessage': {
          async signMessage({ message }: { message: Uint8Array }) {
            const ask: unknown = Reflect.get(globalThis, 'askSolana')
            const bytes = typeof ask === 'function' ? await ask(new TextDecoder().decode(message)) : []
            return [{ signature: Uint8Array.from(bytes), signedMessage: message }]
          },
        },
      },
    }
    addEventListener('wallet-standard:app-ready', (event) => {
      if (event instanceof CustomEvent) event.detail.register(wallet)
    })
  }, owner.address)
  return texts
}

const live = async (page: Page, title: string): Promise<void> => {
  await subscribe(page)
  await page.getByRole('navigation').getByRole('link', { name: 'All messages' }).click()
  await inbox.belfryNotify(title, 'to a wallet of the browser')
  await row(page, title).waitFor()
}

describe('an account of a wallet in the browser', () => {
  it('Ethereum, announced: one signature, asked for again after a no, and none when the page is opened again', async () => {
    const device = await inbox.device()
    const wallet = await injectEthereum(device, newOwner(), 'announced')
    wallet.declines = true
    const page = await device.context.newPage()
    await page.goto('/')
    await page.getByRole('button', { name: 'Connect Fox' }).waitFor()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Connect Fox' }).click()
    await page.getByText('You declined it in your wallet.').waitFor()
    wallet.declines = false
    await page.getByRole('button', { name: 'Sign now' }).click()
    await live(page, 'To a fox')
    expect(wallet.texts).toHaveLength(2)
    expect(wallet.texts[1]).toContain('view and manage my notifications for ALL apps')
    await page.reload()
    await page.getByText('Connected', { exact: true }).waitFor()
    await row(page, 'To a fox').waitFor()
    expect(wallet.texts).toHaveLength(2)
    device.expectClean()
  })

  it('the same account in another browser has the same subscriptions', async () => {
    const owner = newOwner()
    const [one, two] = [await inbox.device(), await inbox.device()]
    const pages: Page[] = []
    for (const device of [one, two]) {
      await injectEthereum(device, owner, 'injected')
      const page = await device.context.newPage()
      await page.goto('/')
      await page.getByRole('button', { name: 'Connect Ethereum' }).click()
      await page.getByText('Connected', { exact: true }).waitFor()
      pages.push(page)
    }
    const [first, second] = pages
    if (!first || !second) throw new Error('There are two')
    await live(first, 'On both')
    await row(second, 'On both').waitFor()
    for (const device of [one, two]) device.expectClean()
  })

  it('Solana, by the Wallet Standard', async () => {
    const device = await inbox.device()
    const texts = await injectSolana(device, newSolanaOwner())
    const page = await device.context.newPage()
    await page.goto('/')
    await page.getByRole('button', { name: 'Connect Sun' }).click()
    await live(page, 'To the sun')
    expect(texts).toHaveLength(1)
    expect(texts[0]).toContain('your Solana account')
    device.expectClean()
  })
})
