/**
 * A dapp's page with the published sign-client in Chromium, and a wallet with the same in Node. Both ask
 * `verify.walletconnect.org`, which is fixed in their package and leads here.
 */
import type { Page } from 'playwright-core'
import type { ReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { startWorld } from '../support/world.ts'
import { startHosts } from './hosts.ts'
import { type Peer, startPeer } from './peer.ts'

const VERIFY = 'verify.walletconnect.org'
export const DECLARED = 'app.example.com'
export const OTHER = 'shop.example.com'
/** Without the room sign-client gives up after five seconds, at each connect and each request; with it nothing is given up. */
const PATIENCE_FACTOR = 10
const account = 'eip155:1:0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb'
const wanted = { eip155: { chains: ['eip155:1'], methods: ['personal_sign'], events: [] } }

const PAGE = `
import { SignClient } from '@walletconnect/sign-client'
let client
// A page that stands still for a while is no server that does not answer: what ends a wait does so ten times later, and is counted.
const later = globalThis.setTimeout
globalThis.givenUp = 0
globalThis.setTimeout = (task, ms, ...given) => {
  if (!String(task).includes('.abort()')) return later(task, ms, ...given)
  return later(() => {
    globalThis.givenUp += 1
    task()
  }, ms * ${PATIENCE_FACTOR})
}
export const init = async (options) => {
  const said = { ...options.metadata }
  client = await SignClient.init(options)
  // The client has put down where it runs; a page that lies changes that.
  client.metadata.url = said.url
}
export const connect = async (namespaces) => {
  const { uri, approval } = await client.connect({ optionalNamespaces: namespaces })
  globalThis.settled = approval()
  return uri
}
export const topic = async () => (await globalThis.settled).topic
export const ask = (params) => client.request(params)
`

/** A server with two apps, and browsers to which their domains and that of verify lead there. */
export const startVerifyWorld = async (owned: ReleaseStack) => {
  const world = owned.use(await startWorld())
  await world.addApp(DECLARED)
  await world.addApp(OTHER)
  const page = (await bundleForBrowser(PAGE)).text
  const hosts = owned.use(
    await startHosts({ url: world.url, leads: [VERIFY], scripts: { '/page.js': page } }),
  )
  const startWallet = async (): Promise<Peer> => {
    const wallet = await startPeer('sign', {
      client: '@walletconnect/sign-client',
      routes: { [VERIFY]: world.url },
    })
    const metadata = { name: 'wallet', description: 'wallet', url: 'https://wallet.example', icons: [] }
    await wallet.call('init', { relayUrl: world.wsUrl, projectId: 'p', metadata })
    return wallet
  }
  /** A page on the host that says it is `said`. */
  const openDapp = async (host: string, said = host): Promise<Page> => {
    const page = await hosts.open(host)
    const metadata = { name: 'dapp', description: 'dapp', url: `https://${said}`, icons: [] }
    const init = { relayUrl: world.wsUrl, projectId: 'p', metadata }
    await page.evaluate(`page.init(${JSON.stringify(init)})`)
    return page
  }
  return { startWallet, openDapp }
}
export type VerifyWorld = Awaited<ReturnType<typeof startVerifyWorld>>

interface Verified {
  verifyContext: { verified: { validation: string; origin: string } }
}
interface Proposal extends Verified {
  id: number
}
interface Request extends Verified {
  id: number
  topic: string
}

/** One session from the link to a signed answer: what the wallet is told of the page, and how long the dapp waits, ms. */
export const playSession = async (page: Page, wallet: Peer) => {
  const begun = performance.now()
  const uri = String(await page.evaluate(`page.connect(${JSON.stringify(wanted)})`))
  await wallet.call('pair', { uri })
  const proposal = await wallet.next<Proposal>('session_proposal')
  const namespaces = { eip155: { ...wanted.eip155, accounts: [account] } }
  await wallet.call('approve', { id: proposal.id, namespaces })
  const topic = String(await page.evaluate('page.topic()'))
  const connectMs = performance.now() - begun

  const asked = {
    topic,
    chainId: 'eip155:1',
    request: { method: 'personal_sign', params: ['0x68', account] },
  }
  const from = performance.now()
  const answer = page.evaluate(`page.ask(${JSON.stringify(asked)})`)
  const { id, verifyContext } = await wallet.next<Request>('session_request')
  await wallet.call('respond', { topic, response: { id, jsonrpc: '2.0', result: '0xsigned' } })
  const said = await answer
  const requestMs = performance.now() - from
  return {
    connectMs,
    requestMs,
    answer: said,
    proposed: proposal.verifyContext.verified,
    requested: verifyContext.verified,
    givenUp: await page.evaluate('givenUp'),
  }
}
