/** Pages that hold a published client of the hosted service, and all that is done with one. */
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import type { AddedApp } from '../../src/server/admin/apps.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld, type World, type WorldOptions } from '../support/world.ts'

export const DOMAIN = 'app.example.com'
const PROJECT = 'p'.repeat(32)

/** Wherever they run, these clients want the page to have Node's Buffer. */
const BEGINNING = `
import { Buffer } from 'buffer/'
import { redirectWalletConnect } from './packages/compat/src/index.ts'
globalThis.Buffer = Buffer
export const redirect = redirectWalletConnect
`

export const web3inbox = (name: string, beginning = BEGINNING) => `${beginning}
let client
let registration
const messages = []
export const begin = async () => {
  if (client) return
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
export const setAccount = (account) => client.setAccount(account)
export const unregister = (account) => client.unregister({ account })
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
export const begin = async () => {
  if (client) return
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
export const SCRIPTS = {
  '@web3inbox/core 1.4.0': web3inbox('@web3inbox/core'),
  '@web3inbox/core 1.1.0': web3inbox('web3inbox-core-1.1'),
  '@walletconnect/notify-client 1.4.1': NOTIFY_CLIENT,
}
/** The house with one app. */
export interface Server extends AsyncDisposable {
  world: World
  app: AddedApp
}

export const startServer = async (config: WorldOptions['config'] = {}): Promise<Server> => {
  const world = await startWorld({ config: { keyServers: ['https://keys.walletconnect.com'], ...config } })
  const app = await world.addApp(DOMAIN, { types: [{ name: 'News' }] })
  await world.http('PUT', `/admin/apps/${DOMAIN}`, { token: world.adminToken, body: { name: 'Example' } })
  return { world, app, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

/** Runs a function that the page's script exports. */
export const call = (page: Page, name: string, ...args: unknown[]): Promise<unknown> =>
  page.evaluate(`page.${name}(${args.map((arg) => JSON.stringify(arg)).join()})`)

/** All that the client's API allows, from the first signature to the end of the subscription. */
export const useAll = async (
  page: Page,
  { world, app }: Server,
  owner: { account: string; sign(text: string): string } = newOwner(),
): Promise<void> => {
  await call(page, 'begin')
  expect(await call(page, 'isRegistered', owner.account)).toBe(false)
  const text = String(await call(page, 'prepare', owner.account))
  await call(page, 'register', owner.sign(text), owner.account)
  expect(await call(page, 'isRegistered', owner.account)).toBe(true)
  await eventually(async () => expect(await call(page, 'subscriptions')).toEqual([]))
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
