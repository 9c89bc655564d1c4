/** `@belfry/react` as it is published, in a page of vite in a real browser, before a real server. */
import { createServer } from 'node:http'
import { resolve } from 'node:path'
import type { Browser, BrowserContext, Page as BrowserPage } from 'playwright-core'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import type { Owner } from '../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'
import { expectAccessible, startBrowser } from '../web/browser.ts'
import { Page, type Scene } from './page.tsx'

/** A browser's first start, and a build, on a busy machine. */
const SLOW = 120_000
const APP = 'react.test'
const OTHER = 'other.test'

const owned = createReleaseStack()
let world: ClientWorld
let browser: Browser
let owner: Owner
let scene: Scene
let script: string
let types: string[]
/** What pages wrote to their consoles: React warns there of everything that it finds wrong. */
const said: string[] = []
let signed = 0

const builtScript = async (): Promise<string> => {
  const built = await build({
    ...{ configFile: false, logLevel: 'error', mode: 'development', root: import.meta.dirname },
    define: { 'process.env.NODE_ENV': '"development"' },
    oxc: { jsx: { runtime: 'automatic', importSource: 'react' } },
    build: {
      ...{ write: false, minify: false, target: 'es2022' },
      rolldownOptions: { input: resolve(import.meta.dirname, 'main.tsx') },
    },
  })
  const [output] = Array.isArray(built) ? built : [built]
  const chunk = output && 'output' in output ? output.output[0] : undefined
  if (!chunk) throw new Error('vite built nothing')
  return chunk.code
}

const pageOf = (it: Scene): string => `<!doctype html><html lang="en"><title>A dapp</title>
<link rel="icon" href="data:,"><div id="root">${renderToString(
  createElement(Page, { ...it, sign: async () => '' }),
)}</div>
<script>globalThis.scene = ${JSON.stringify(it)}</script><script type="module" src="/page.js"></script></html>`

const serve = async (): Promise<string> => {
  const server = createServer(({ url }, response) => {
    const [type, body] = url === '/page.js' ? ['text/javascript', script] : ['text/html', pageOf(scene)]
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = z.object({ port: z.number() }).parse(server.address())
  return `http://127.0.0.1:${port}/`
}

const Shown = z.looseObject({
  status: z.string(),
  isConnected: z.boolean(),
  isEnabled: z.boolean(),
  unread: z.number(),
  unreadOfApp: z.number(),
  hasMore: z.boolean(),
  subscriptions: z.array(z.string()),
  titles: z.array(z.string()),
  apps: z.array(z.string()),
})

let context: BrowserContext
let page: BrowserPage
const shown = async () => Shown.parse(JSON.parse((await page.textContent('#probe')) ?? ''))
const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
const openSockets = () => page.evaluate(() => globalThis.sockets.filter((one) => one.readyState <= 1).length)
const send = (title: string, domain = APP) =>
  world.dapp(domain).notify({ type: types[0] ?? '', title, body: `${title}, body` }, [owner.account])

beforeAll(async () => {
  world = await startClientWorld()
  owned.use(world)
  types = await world.app(APP, ['News', 'Alarms'])
  await world.dapp(APP).describe(APP, { name: 'The app', listed: true })
  owner = world.newOwner()
  scene = { url: world.url, account: owner.account, domain: APP }
  script = await builtScript()
  browser = await startBrowser()
  owned.defer(() => browser.close())
  context = await browser.newContext()
  context.on('console', (message) => {
    // The app has no did.json at its own domain, which Chromium says by itself.
    const isOfChromium = message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && !isOfChromium) said.push(message.text())
  })
  context.on('weberror', (error) => said.push(error.error().message))
  await context.exposeFunction('signInTest', (text: string) => {
    signed++
    return owner.sign(text)
  })
  page = await context.newPage()
  await page.goto(await serve())
}, INSTALL_TIMEOUT + SLOW)

afterAll(() => owned[Symbol.asyncDispose](), SLOW)

describe('a page in StrictMode that a server rendered', () => {
  test('opens one session, and asks for nothing', async () => {
    await eventually(async () => expect(await shown()).toMatchObject({ status: 'open', isConnected: true }))
    expect(await shown()).toMatchObject({ isEnabled: false, unread: 0, subscriptions: [] })
    expect(await page.evaluate(() => globalThis.sockets.length)).toBe(1)
    expect(signed).toBe(0)
    await eventually(async () => expect((await shown()).apps).toEqual(['The app']))
    expect(said).toEqual([])
  })

  test('asks once when its button is pressed, and subscribes', async () => {
    await press('Turn on notifications')
    await eventually(async () => expect((await shown()).isEnabled).toBe(true))
    await press('Subscribe')
    await eventually(async () => expect(await shown()).toMatchObject({ subscriptions: [APP], scope: 2 }))
    expect(signed).toBe(1)
  })

  test('shows what comes, counts it, and marks it as read', async () => {
    await send('First')
    await send('Second')
    await eventually(async () =>
      expect(await shown()).toMatchObject({ titles: ['Second', 'First'], unread: 2, unreadOfApp: 2 }),
    )
    const items = page.locator('.belfry-item')
    await eventually(async () => expect(await items.count()).toBe(2))
    await eventually(async () => expect(await items.first().textContent()).toContain('Second, body'))
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Mark as read: Second' }).click()
    await eventually(async () => expect((await shown()).unread).toBe(1))
    await eventually(async () =>
      expect(await page.locator('.belfry-bar [role=status]').textContent()).toBe('1 unread'),
    )
    await eventually(async () =>
      expect(await page.getByRole('button', { name: 'Mark as read: Second' }).count()).toBe(0),
    )
  })

  test('shows what is read elsewhere, and another app', async () => {
    const phone = world.device(owner)
    await phone.wallet.watch()
    await phone.wallet.markRead(APP, 'all')
    await eventually(async () => expect((await shown()).unread).toBe(0))
    await eventually(async () =>
      expect(await page.getByText('Mark as read', { exact: true }).count()).toBe(0),
    )
    await world.app(OTHER)
    await phone.wallet.subscribe(OTHER)
    await eventually(async () => expect((await shown()).subscriptions.toSorted()).toEqual([OTHER, APP]))
    await page.getByRole('navigation').getByRole('button', { name: OTHER }).click()
    await eventually(async () => expect(await page.getByText('There is nothing yet.').count()).toBe(1))
    await page.getByRole('navigation').getByRole('button', { name: APP }).click()
  })

  test('asks what an action asks, and shows the answer', async () => {
    const actions = [
      { id: 'yes', title: 'Yes', answer: true },
      { id: 'see', title: 'See', url: 'https://react.test/' },
    ] as const
    const question = { type: types[0] ?? '', title: 'Shall we?', body: 'Well?', actions }
    await world.dapp(APP).notify(question, [owner.account], { id: 'vote' })
    await press('Yes')
    await eventually(async () => expect(await page.getByText('Answered: Yes').count()).toBe(1))
    expect((await world.dapp(APP).notification('vote')).answers).toEqual({ yes: 1 })
    // Told of by a view of the account. One that is still on its way may count what is sent next, and nobody can tell then.
    await eventually(async () => expect((await shown()).unread).toBe(0))
  })

  test('is the same device when it is opened again, and reads the history by pages', async () => {
    for (const title of ['3', '4', '5', '6']) await send(title)
    await eventually(async () => expect((await shown()).unread).toBe(4))
    await page.reload()
    await eventually(async () => expect(await shown()).toMatchObject({ isEnabled: true, unread: 4 }))
    await eventually(async () =>
      expect(await shown()).toMatchObject({ titles: ['6', '5', '4', '3', 'Shall we?'], hasMore: true }),
    )
    await press('More of the probe')
    await eventually(async () =>
      expect(await shown()).toMatchObject({
        titles: ['6', '5', '4', '3', 'Shall we?', 'Second', 'First'],
        hasMore: false,
      }),
    )
    await eventually(async () => expect(await page.getByText('Answered: Yes').count()).toBe(1))
    expect(await page.evaluate(() => globalThis.sockets.length)).toBe(1)
    expect(signed).toBe(1)
  })

  test('closes its session when it goes, and opens another one when it comes back', async () => {
    await press('Come and go')
    await eventually(async () => expect(await openSockets()).toBe(0))
    await press('Come and go')
    await eventually(async () => expect(await shown()).toMatchObject({ isConnected: true, unread: 4 }))
    expect(await openSockets()).toBe(1)
    expect(signed).toBe(1)
  })

  test('leaves the session to the page that is looked at', async () => {
    const other = await context.newPage()
    await other.goto(page.url())
    const probeOf = async (one: BrowserPage) =>
      Shown.parse(JSON.parse((await one.textContent('#probe')) ?? ''))
    await eventually(async () => expect((await probeOf(page)).status).toBe('elsewhere'))
    await eventually(async () => expect(await probeOf(other)).toMatchObject({ isConnected: true, unread: 4 }))
    await eventually(async () => expect(await openSockets()).toBe(0))
    await page.getByText('Another tab shows your notifications.').waitFor()
    // Playwright has every page think that it is looked at.
    await page.evaluate(() => dispatchEvent(new Event('focus')))
    await eventually(async () => expect(await shown()).toMatchObject({ isConnected: true, unread: 4 }))
    await eventually(async () => expect((await probeOf(other)).status).toBe('elsewhere'))
    await other.close()
    expect(signed).toBe(1)
  })

  test('unsubscribes, and has warned of nothing', async () => {
    await press('Unsubscribe')
    await eventually(async () => expect((await shown()).subscriptions).toEqual([OTHER]))
    expect(said).toEqual([])
  })
})
