/**
 * A dapp's page and a wallet's page in Chromium, with the clients that dapps and wallets use today, unmodified: universal-provider
 * and ethereum-provider for the dapp, walletkit for the wallet. They find the relay by `relayUrl`, or by `redirectWalletConnect`.
 */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { type Chain, SOME_CODE, startChain } from '../support/chain.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Hosts, startHosts } from './hosts.ts'

const VERIFY = 'verify.walletconnect.org'
const DAPP = 'app.example.com'
const WALLET = 'wallet.example.com'
const PROJECT = 'p'.repeat(32)

const metadata = (host: string) =>
  JSON.stringify({ name: host, description: host, url: `https://${host}`, icons: [] })

const BEGINNING = `
import { redirectWalletConnect } from './packages/compat/src/index.ts'
export const redirect = redirectWalletConnect
const told = []
export const events = () => told
`

const WALLETKIT = `${BEGINNING}
let kit
export const begin = async (options) => {
  const { Core } = await import('@walletconnect/core')
  const { WalletKit } = await import('@reown/walletkit')
  const core = new Core({ projectId: '${PROJECT}', ...options })
  kit = await WalletKit.init({ core, metadata: ${metadata(WALLET)} })
  for (const name of ['session_proposal', 'session_request', 'session_delete']) kit.on(name, (event) => told.push({ name, ...event }))
}
export const pair = (uri) => kit.pair({ uri })
export const approve = (id, namespaces) => kit.approveSession({ id, namespaces })
export const respond = (topic, id, result) => kit.respondSessionRequest({ topic, response: { id, jsonrpc: '2.0', result } })
`

/** \`connect\` resolves with the URI, \`connected\` with the accounts. */
const UNIVERSAL = `${BEGINNING}
let provider
let session
export const begin = async (options) => {
  const { UniversalProvider } = await import('@walletconnect/universal-provider')
  provider = await UniversalProvider.init({ projectId: '${PROJECT}', metadata: ${metadata(DAPP)}, ...options })
  provider.on('session_delete', () => told.push('disconnect'))
}
export const connect = () => new Promise((resolve) => {
  provider.on('display_uri', resolve)
  const eip155 = { chains: ['eip155:1'], methods: ['personal_sign'], events: ['chainChanged', 'accountsChanged'] }
  session = provider.connect({ optionalNamespaces: { eip155 } })
})
export const connected = async () => (await session).namespaces.eip155.accounts
export const ask = (request) => provider.request(request, 'eip155:1')
export const end = () => provider.disconnect()
`

const ETHEREUM = `${BEGINNING}
let provider
let session
export const begin = async (options) => {
  const { EthereumProvider } = await import('@walletconnect/ethereum-provider')
  provider = await EthereumProvider.init({ projectId: '${PROJECT}', metadata: ${metadata(DAPP)}, optionalChains: [1], showQrModal: false, ...options })
  provider.on('disconnect', () => told.push('disconnect'))
}
export const connect = () => new Promise((resolve) => {
  provider.on('display_uri', resolve)
  session = provider.connect()
})
export const connected = async () => {
  await session
  return provider.accounts.map((address) => 'eip155:' + provider.chainId + ':' + address)
}
export const ask = (request) => provider.request(request)
export const end = () => provider.disconnect()
`

const owned = createReleaseStack()
let chain: Chain
let world: World
let hosts: Hosts
beforeAll(async () => {
  const [wallet, universal, ethereum] = await Promise.all(
    [WALLETKIT, UNIVERSAL, ETHEREUM].map(async (text) => (await bundleForBrowser(text)).text),
  )
  chain = owned.use(await startChain())
  world = owned.use(await startWorld({ config: { rpcProxy: 'on', rpcUrls: { 'eip155:1': chain.url } } }))
  const scripts = {
    ...{ '/wallet.js': wallet ?? '', '/universal.js': universal ?? '', '/ethereum.js': ethereum ?? '' },
  }
  hosts = owned.use(await startHosts({ url: world.url, leads: [VERIFY], scripts }))
}, INSTALL_TIMEOUT + 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

const call = (page: Page, name: string, ...args: unknown[]): Promise<unknown> =>
  page.evaluate(`page.${name}(${args.map((arg) => JSON.stringify(arg)).join()})`)

interface Event {
  name: string
  id: number
  topic: string
  params: { request: { method: string; params: unknown[] } }
}

/** What the wallet was told first under that name. */
const heard = async (page: Page, name: string): Promise<Event> => {
  let found: Event | undefined
  await eventually(async () => {
    found = ((await call(page, 'events')) as Event[]).find((event) => event.name === name)
    expect(found).toBeDefined()
  })
  if (!found) throw new Error('unreachable')
  return found
}

/** Two pages of profiles of their own, whose clients have begun. */
const begin = async (dappScript: string, way: 'relayUrl' | 'redirect') => {
  const [dapp, wallet] = await Promise.all([hosts.open(DAPP, dappScript), hosts.open(WALLET, 'wallet')])
  for (const page of [dapp, wallet]) {
    if (way === 'redirect') await call(page, 'redirect', world.url)
    await call(page, 'begin', way === 'relayUrl' ? { relayUrl: world.wsUrl } : {})
  }
  return { dapp, wallet }
}

const namespacesOf = (account: string) => ({
  eip155: {
    ...{ chains: ['eip155:1'], accounts: [account] },
    ...{ methods: ['personal_sign'], events: ['chainChanged', 'accountsChanged'] },
  },
})

describe.each(['universal', 'ethereum'])('%s-provider and walletkit', (dappScript) => {
  it.each(['relayUrl', 'redirect'] as const)(
    'pair, connect, ask, answer and disconnect by %s',
    async (way) => {
      hosts.asked.clear()
      const owner = newOwner()
      const { dapp, wallet } = await begin(dappScript, way)
      await call(wallet, 'pair', await call(dapp, 'connect'))
      const proposal = await heard(wallet, 'session_proposal')
      await call(wallet, 'approve', proposal.id, namespacesOf(owner.account))
      expect(await call(dapp, 'connected')).toEqual([owner.account])

      const asked = call(dapp, 'ask', { method: 'personal_sign', params: ['0x6869', owner.address] })
      const { id, topic, params } = await heard(wallet, 'session_request')
      expect(params.request).toMatchObject({ method: 'personal_sign', params: ['0x6869', owner.address] })
      await call(wallet, 'respond', topic, id, owner.sign('hi'))
      expect(await asked).toBe(owner.sign('hi'))

      if (way === 'redirect') {
        // What reads a chain goes to `rpc.walletconnect.org`, and from the server to the operator's node.
        const contract = chain.counterfactual(owner.address)
        await contract.deploy()
        const read = { method: 'eth_getCode', params: [contract.address, 'latest'] }
        expect(await call(dapp, 'ask', read)).toBe(SOME_CODE)
      }

      await call(dapp, 'end')
      expect((await heard(wallet, 'session_delete')).topic).toBe(topic)
      const fixed = hosts.fixedAsked()
      if (way === 'redirect') expect(fixed).toEqual([])
      else expect(fixed).toContain(VERIFY)
      await Promise.all([dapp.context().close(), wallet.context().close()])
    },
    60_000,
  )
})

it('a session goes on at another relay, once both ends have come', async () => {
  await using other = await startWorld()
  const owner = newOwner()
  const { dapp, wallet } = await begin('universal', 'redirect')
  await call(wallet, 'pair', await call(dapp, 'connect'))
  const proposal = await heard(wallet, 'session_proposal')
  await call(wallet, 'approve', proposal.id, namespacesOf(owner.account))
  await call(dapp, 'connected')

  for (const page of [dapp, wallet]) {
    await page.reload()
    await call(page, 'redirect', other.url)
    await call(page, 'begin', {})
  }
  const asked = call(dapp, 'ask', { method: 'personal_sign', params: ['0x6869', owner.address] })
  const { id, topic } = await heard(wallet, 'session_request')
  await call(wallet, 'respond', topic, id, owner.sign('hi'))
  expect(await asked).toBe(owner.sign('hi'))
  await Promise.all([dapp.context().close(), wallet.context().close()])
}, 60_000)
