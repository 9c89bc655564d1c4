/**
 * A dapp's page with the published sign-client in Chromium, and a wallet with the same in Node. Both ask
 * `verify.walletconnect.org`, which is fixed in their package and leads here.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Hosts, startHosts } from './hosts.ts'
import { type Peer, startPeer } from './peer.ts'

const VERIFY = 'verify.walletconnect.org'
const DECLARED = 'app.example.com'
const OTHER = 'shop.example.com'
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

const owned = createReleaseStack()
let world: World
let hosts: Hosts

beforeAll(async () => {
  world = owned.use(await startWorld())
  await world.addApp(DECLARED)
  await world.addApp(OTHER)
  const page = (await bundleForBrowser(PAGE)).text
  hosts = owned.use(await startHosts({ url: world.url, leads: [VERIFY], scripts: { '/page.js': page } }))
}, INSTALL_TIMEOUT + 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

const startWallet = async (): Promise<Peer> => {
  const wallet = await startPeer('sign', {
    client: '@walletconnect/sign-client',
    routes: { [VERIFY]: world.url },
  })
  const metadata = { name: 'wallet', description: 'wallet', url: 'https://wallet.example', icons: [] }
  await wallet.call('init', { relayUrl: world.wsUrl, projectId: 'p', metadata })
  return wallet
}

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

it.each([
  ['its own origin', DECLARED, DECLARED, 'VALID'],
  ['another origin than its own', OTHER, DECLARED, 'INVALID'],
  ['an origin that no app has declared', 'lookalike.example', 'lookalike.example', 'UNKNOWN'],
])(
  'a page that says %s is shown so by the wallet, and pauses nowhere',
  async (_, host, said, validation) => {
    await using wallet = await startWallet()
    const page = await hosts.open(host)
    const metadata = { name: 'dapp', description: 'dapp', url: `https://${said}`, icons: [] }
    const init = { relayUrl: world.wsUrl, projectId: 'p', metadata }
    await page.evaluate(`page.init(${JSON.stringify(init)})`)
    const uri = String(await page.evaluate(`page.connect(${JSON.stringify(wanted)})`))
    await wallet.call('pair', { uri })
    const proposal = await wallet.next<Proposal>('session_proposal')
    expect(proposal.verifyContext.verified).toMatchObject({ validation })

    const namespaces = { eip155: { ...wanted.eip155, accounts: [account] } }
    await wallet.call('approve', { id: proposal.id, namespaces })
    const topic = String(await page.evaluate('page.topic()'))
    const asked = {
      topic,
      chainId: 'eip155:1',
      request: { method: 'personal_sign', params: ['0x68', account] },
    }
    const answer = page.evaluate(`page.ask(${JSON.stringify(asked)})`)
    const { id, verifyContext } = await wallet.next<Request>('session_request')
    expect(verifyContext.verified).toMatchObject({ validation })
    await wallet.call('respond', { topic, response: { id, jsonrpc: '2.0', result: '0xsigned' } })
    expect(await answer).toBe('0xsigned')
    expect(await page.evaluate('givenUp')).toBe(0)
    await page.context().close()
  },
  60_000,
)
