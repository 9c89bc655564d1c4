/**
 * The published clients of the hosted service in Chromium, unmodified: @web3inbox/core 1.4.0 and 1.1.0, and notify-client 1.4.1.
 * They find the server by `redirectWalletConnect`, or by the names of the fixed hosts alone.
 */
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FIXED_HOSTS } from '../../src/platform/net/fixed-hosts.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { startChain } from '../support/chain.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld } from '../support/world.ts'
import { type Hosts, startHosts } from './hosts.ts'

const DOMAIN = 'app.example.com'
const PROJECT = 'p'.repeat(32)

/** Wherever they run, these clients want the page to have Node's Buffer. */
const BEGINNING = `
import { Buffer } from 'buffer/'
import { redirectWalletConnect } from './packages/compat/src/index.ts'
globalThis.Buffer = Buffer
`

const web3inbox = (name: string) => `${BEGINNING}
let client
let registration
const messages = []
export const redirect = redirectWalletConnect
export const begin = async () => {
  const { Web3InboxClient } = await import('${name}')
  client = await Web3InboxClient.init({ projectId: '${PROJECT}', domain: '${DOMAIN}', allApps: false })
  client.on('notify_message', ({ params }) => messages.push(params.message))
}
export const prepare = async (account) => {
  registration = await client.prepareRegistration({ account })
  return registration.message
}
export const register = async (signature, account) => {
  await client.register({ registerParams: registration.registerParams, signature })
  await client.setAccount(account)
}
export const isRegistered = (account) => client.getAccountIsRegistered(account)
export const subscribe = () => client.subscribeToDapp()
export const subscriptions = () => client.getSubscriptions().map(({ metadata, unreadNotificationCount }) =>
  ({ domain: metadata.appDomain, name: metadata.name, unread: unreadNotificationCount }))
export const received = () => messages
export const history = async () => (await client.getNotificationHistory(10)).notifications
export const markAsRead = (ids) => client.markNotificationsAsRead?.(ids)
export const canMarkAsRead = () => 'markNotificationsAsRead' in client
export const unsubscribe = () => client.unsubscribeFromDapp()
`

const NOTIFY_CLIENT = `${BEGINNING}
let client
let registration
let account
const messages = []
export const redirect = redirectWalletConnect
export const begin = async () => {
  const { NotifyClient } = await import('@walletconnect/notify-client')
  client = await NotifyClient.init({ projectId: '${PROJECT}', keyserverUrl: 'https://keys.walletconnect.com' })
  client.on('notify_message', ({ params }) => messages.push(params.message))
}
const only = () => Object.values(client.getActiveSubscriptions({ account }))[0]
export const prepare = async (ofAccount) => {
  account = ofAccount
  const { message, registerParams } = await client.prepareRegistration({ account, domain: '${DOMAIN}' })
  registration = registerParams
  return message
}
export const register = (signature) => client.register({ registerParams: registration, signature })
export const isRegistered = (account) => client.isRegistered({ account, domain: '${DOMAIN}' })
export const subscribe = () => client.subscribe({ account, appDomain: '${DOMAIN}' })
export const subscriptions = () => Object.values(client.getActiveSubscriptions({ account })).map(({ metadata, unreadNotificationCount }) =>
  ({ domain: metadata.appDomain, name: metadata.name, unread: unreadNotificationCount }))
export const received = () => messages
export const history = async () => (await client.getNotificationHistory({ topic: only().topic, limit: 10 })).notifications
export const markAsRead = (notificationIds) => client.markNotificationsAsRead({ topic: only().topic, notificationIds })
export const canMarkAsRead = () => true
export const unsubscribe = () => client.deleteSubscription({ topic: only().topic })
`
const SCRIPTS = {
  '@web3inbox/core 1.4.0': web3inbox('@web3inbox/core'),
  '@web3inbox/core 1.1.0': web3inbox('web3inbox-core-1.1'),
  '@walletconnect/notify-client 1.4.1': NOTIFY_CLIENT,
}
const CLIENTS = Object.keys(SCRIPTS).map((name): [string, number] => [
  name,
  Object.keys(SCRIPTS).indexOf(name),
])

const bundles = async (): Promise<Record<string, string>> => {
  const made = await Promise.all(Object.values(SCRIPTS).map((text) => bundleForBrowser(text)))
  return Object.fromEntries(made.map(({ text }, at) => [`/${at}.js`, text]))
}

const owned = createReleaseStack()
let scripts: Record<string, string>
beforeAll(async () => {
  scripts = await bundles()
}, 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

const startServer = async (config: NonNullable<Parameters<typeof startWorld>[0]>['config']) => {
  const world = owned.use(
    await startWorld({ config: { keyServers: ['https://keys.walletconnect.com'], ...config } }),
  )
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News' }] })
  await world.http('PUT', `/admin/apps/${DOMAIN}`, { token: world.adminToken, body: { name: 'Example' } })
  return { world, app }
}

/** Runs a function that the page's script exports. */
const call = (page: Page, name: string, ...args: unknown[]): Promise<unknown> =>
  page.evaluate(`page.${name}(${args.map((arg) => JSON.stringify(arg)).join()})`)

/** All that the client's API allows, from the first signature to the end of the subscription. */
const useAll = async (
  page: Page,
  { world, app }: Awaited<ReturnType<typeof startServer>>,
  owner: { account: string; sign(text: string): string } = newOwner(),
): Promise<void> => {
  await call(page, 'begin')
  expect(await call(page, 'isRegistered', owner.account)).toBe(false)
  const text = String(await call(page, 'prepare', owner.account))
  await call(page, 'register', owner.sign(text), owner.account)
  expect(await call(page, 'isRegistered', owner.account)).toBe(true)
  await call(page, 'subscribe')
  await eventually(async () =>
    expect(await call(page, 'subscriptions')).toEqual([{ domain: DOMAIN, name: 'Example', unread: 0 }]),
  )
  const notification = { type: app.types[0]?.id, title: 'Hello', body: 'About Hello' }
  const body = { notification, accounts: [owner.account] }
  const sent = await world.http('POST', `/${app.projectId}/notify`, { token: app.secret ?? '', body })
  expect(sent.body).toMatchObject({ sent: [owner.account] })
  await eventually(async () => expect(await call(page, 'received')).toMatchObject([{ title: 'Hello' }]))
  const unread = (await call(page, 'history')) as { id: string }[]
  expect(unread).toMatchObject([{ title: 'Hello', body: 'About Hello' }])
  if (await call(page, 'canMarkAsRead')) {
    await call(
      page,
      'markAsRead',
      unread.map(({ id }) => id),
    )
    await eventually(async () => expect(await call(page, 'history')).toMatchObject([{ isRead: true }]))
  }
  await call(page, 'unsubscribe')
  await eventually(async () => expect(await call(page, 'subscriptions')).toEqual([]))
  await page.context().close()
}

describe('with redirectWalletConnect, against a server without a public URL', () => {
  let server: Awaited<ReturnType<typeof startServer>>
  let hosts: Hosts
  beforeAll(async () => {
    server = await startServer({})
    hosts = owned.use(await startHosts({ url: server.world.url, scripts }))
  }, INSTALL_TIMEOUT + 60_000)

  it.each(CLIENTS)(
    '%s registers, subscribes, receives, reads its history and unsubscribes',
    async (_, at) => {
      const page = await hosts.open(DOMAIN, String(at))
      await call(page, 'redirect', server.world.url)
      await useAll(page, server)
      expect([...hosts.asked].filter((host) => FIXED_HOSTS.some((fixed) => fixed === host))).toEqual([])
    },
    60_000,
  )
})

/** What `docs/wallets.md` says of each fixed host: the alias that it needs, or none. */
const documented = async (): Promise<Map<string, string | undefined>> => {
  const rows = (await readFile('docs/wallets.md', 'utf8')).matchAll(
    /^\| (`[a-z-]+\.walletconnect\.[^|]*) \|[^|]*\| ([^|]*) \|$/gm,
  )
  return new Map(
    [...rows].flatMap(([, names = '', alias = '']) =>
      names.split(', ').map((name): [string, string | undefined] => {
        const host = name.replaceAll('`', '')
        return [host, alias === 'none' ? undefined : `https://${host}`]
      }),
    ),
  )
}

describe('by names alone, against a server with a public URL and the documented aliases', () => {
  let server: Awaited<ReturnType<typeof startServer>>
  let hosts: Hosts
  beforeAll(async () => {
    const aliases = [...(await documented()).values()].filter((alias) => alias !== undefined)
    server = await startServer({ publicUrl: 'https://belfry.example.com', aliases })
    hosts = owned.use(await startHosts({ url: server.world.url, leads: FIXED_HOSTS, scripts }))
  }, INSTALL_TIMEOUT + 60_000)

  it('the document names the hosts that the package moves', async () => {
    expect([...(await documented()).keys()].sort()).toEqual([...FIXED_HOSTS].sort())
  })

  it.each(CLIENTS)(
    '%s registers, subscribes, receives, reads its history and unsubscribes',
    async (_, at) => {
      hosts.asked.clear()
      await useAll(await hosts.open(DOMAIN, String(at)), server)
      const said = ['relay', 'notify', 'keys', 'explorer-api'].map((name) => `${name}.walletconnect.com`)
      expect([...hosts.asked]).toEqual(expect.arrayContaining(said))
    },
    60_000,
  )
})

describe('an account that is a contract', () => {
  const start = async (rpcProxy: 'on' | 'off') => {
    const chain = owned.use(await startChain())
    const server = await startServer({ rpcProxy, rpcUrls: { 'eip155:1': chain.url } })
    const hosts = owned.use(await startHosts({ url: server.world.url, scripts }))
    const page = await hosts.open(DOMAIN, '0')
    await call(page, 'redirect', server.world.url)
    const owner = newOwner()
    const contract = chain.counterfactual(owner.address)
    await contract.deploy()
    return { server, page, account: `eip155:1:${contract.address}`, sign: owner.sign }
  }

  it('does all of it where the server passes calls on to the node of its chain', async () => {
    const { server, page, account, sign } = await start('on')
    await useAll(page, server, { account, sign })
  }, 60_000)

  it('is taken for one of a key where the server passes nothing on, and is refused', async () => {
    const { page, account, sign } = await start('off')
    await call(page, 'begin')
    const signature = sign(String(await call(page, 'prepare', account)))
    await expect(call(page, 'register', signature, account)).rejects.toThrow('Failed to register')
    expect(await call(page, 'isRegistered', account)).toBe(false)
  }, 60_000)
})
