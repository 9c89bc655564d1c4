/** The house with an app, and a browser that opens its inbox. What a person does again and again has a name here. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { freePort } from '../../support/process.ts'
import { type PushWorld, startPushWorld } from '../../support/push/push-world.ts'
import type { WorldOptions } from '../../support/world.ts'
import { openContext, startBrowser, type Watched } from '../browser.ts'

export const APP = 'app.example.com'
const APP_NAME = 'Example shop'

export interface InboxWorld extends AsyncDisposable {
  push: PushWorld
  browser: Browser
  /** A browser's profile: a device. Its push subscription is one of the push service of this machine. */
  device(options?: BrowserContextOptions): Promise<Watched>
  /** As an operator types it, with more flags. */
  belfryNotify(title: string, body: string, flags?: readonly string[]): Promise<void>
  /** Over HTTP, to one account. */
  send(
    account: string,
    message: { title: string; body: string; url?: string; domain?: string },
  ): Promise<void>
  /** Declares an app that the server lists. */
  addApp(app: { domain: string; name: string; description: string; types: readonly object[] }): Promise<void>
  /** The server is gone, or back on the same port. */
  cut(context: BrowserContext, isCut: boolean): Promise<void>
}

const run = promisify(execFile)

/** Headless browsers have no push service: the page is given a subscription of another one. */
const usePushService = async ({ context }: Watched, { web, world }: PushWorld): Promise<void> => {
  await context.grantPermissions(['notifications'], { origin: world.url })
  await context.addInitScript((json) => {
    if (!('PushManager' in globalThis)) return
    PushManager.prototype.subscribe = () =>
      Promise.resolve(Object.assign(Object.create(PushSubscription.prototype), { toJSON: () => json }))
  }, web.subscribe())
}

export const startInboxWorld = async (options: Pick<WorldOptions, 'rooms'> = {}): Promise<InboxWorld> => {
  const owned = createReleaseStack()
  const port = await freePort()
  const config = { port, publicUrl: `http://127.0.0.1:${port}` }
  const push = owned.use(await startPushWorld({ ...options, config }))
  const { world } = push
  const addApp: InboxWorld['addApp'] = async (app) => {
    const body = { ...app, listed: true }
    const { status } = await world.http('POST', '/admin/apps', { token: world.adminToken, body })
    if (status !== 200) throw new Error(`The app was not added: ${status}`)
  }
  await addApp({
    ...{ domain: APP, name: APP_NAME, description: 'Everything for the garden' },
    types: [
      { id: 'news', name: 'News', description: 'What is new in the shop' },
      { id: 'orders', name: 'Orders', description: 'Where your order is' },
    ],
  })
  const browser = owned.use(await startBrowser())
  const { id, secret } = world.project
  return {
    ...{ push, browser, addApp },
    async device(options = {}) {
      const watched = await openContext(browser, world.url, { locale: 'en-GB', ...options })
      await usePushService(watched, push)
      return watched
    },
    async belfryNotify(title, body, flags = []) {
      const words = ['notify', APP, '--type', 'News', '--title', title, '--body', body, '--all', ...flags]
      const where = ['--server', world.url, '--token', world.adminToken]
      await run(process.execPath, ['dist/cli/main.js', ...words, ...where], {
        env: { PATH: process.env.PATH },
      })
    },
    async send(account, { domain = APP, ...message }) {
      const body = [{ appDomain: domain, notification: { type: 'news', ...message }, accounts: [account] }]
      const answer = await world.http('POST', `/v1/${id}/notify`, { token: secret, body })
      if (answer.status !== 200) throw new Error(`It was not sent: ${JSON.stringify(answer.body)}`)
    },
    cut: (context, isCut) => context.setOffline(isCut),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

export const enterWithDemoKey = async (page: Page): Promise<void> => {
  await page.goto('/')
  await page.getByRole('button', { name: 'Try it with a demo key' }).click()
  await page.getByText('Connected', { exact: true }).waitFor()
}

/** Subscribes to the app by way of the list of apps, to all that it sends. */
export const subscribe = async (page: Page, app = APP_NAME): Promise<void> => {
  await page.getByRole('link', { name: 'Discover apps' }).first().click()
  await page.getByRole('button', { name: `Subscribe to ${app}` }).click()
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click()
  await page.getByRole('button', { name: `Change the subscription to ${app}` }).waitFor()
}

/** The list of all messages. */
export const openList = (page: Page): Promise<void> =>
  page.getByRole('navigation').getByRole('link', { name: 'All messages' }).click()

export const row = (page: Page, title: string) =>
  page.getByRole('listitem').filter({ has: page.getByText(title, { exact: true }) })

/** The account of the demo key, as CAIP-10. */
export const accountOf = async (page: Page): Promise<string> => {
  await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click()
  return `eip155:1:${await page.getByLabel(/^0x/).inputValue()}`
}
