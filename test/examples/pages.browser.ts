/** Examples of pages: built by their own script, in a real browser, before a real server. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Browser, Page, WebSocket } from 'playwright-core'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryHome } from '../support/story.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'
import { expectAccessible, startBrowser } from '../web/browser.ts'
import { folderOf, manifestOf, start } from './example.ts'

/** A browser's first start, and a build, on a busy machine. */
const SLOW = 120_000
const APP = 'shop.test'
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

const owned = createReleaseStack()
let world: ClientWorld
let browser: Browser

/** Serves what `find` finds, by its path. */
const served = async (find: (path: string) => Promise<string | Buffer | undefined>): Promise<string> => {
  const server = createServer(async ({ url = '/' }, response) => {
    const path = url === '/' ? '/index.html' : new URL(url, 'http://localhost').pathname
    const content = await find(path)
    response.writeHead(content ? 200 : 404, { 'content-type': TYPES[extname(path)] ?? 'text/plain' })
    response.end(content)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = z.object({ port: z.number() }).parse(server.address())
  return `http://127.0.0.1:${port}/`
}

/** Runs its `build`, and serves what that left. */
const builtAndServed = async (name: string): Promise<string> => {
  const out = join(owned.use(await temporaryHome()).path, 'dist')
  const env = { VITE_BELFRY_URL: world.url, VITE_APP_DOMAIN: APP }
  await using built = start(name, 'build', { env, args: ['--outDir', out] })
  expect(await built.end(), built.output()).toBe(0)
  return served((path) => readFile(join(out, path)).catch(() => undefined))
}

/** A page, and what it did not catch. */
const opened = async (
  url: string,
  prepare: (page: Page, thrown: string[]) => Promise<void> = async () => {},
) => {
  const context = await browser.newContext()
  const thrown: string[] = []
  context.on('weberror', (error) => thrown.push(error.error().message))
  const page = await context.newPage()
  await prepare(page, thrown)
  await page.goto(url)
  return { page, thrown }
}

const send = async (title: string, domain = APP) => {
  const accounts = await world.dapp(domain).subscribers()
  await world.dapp(domain).notify({ type: 'News', title, body: `${title}, body` }, accounts, { id: title })
}
const reads = (page: Page, text: string) =>
  eventually(async () => expect(await page.textContent('main')).toContain(text))
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

beforeAll(async () => {
  world = owned.use(await startClientWorld())
  await world.app(APP)
  await world.dapp(APP).describe(APP, { name: 'The shop', listed: true })
  browser = await startBrowser()
  owned.defer(() => browser.close())
}, INSTALL_TIMEOUT + SLOW)

afterAll(() => owned[Symbol.asyncDispose](), SLOW)

const Asked = z.object({ method: z.string(), params: z.array(z.string()).optional() })

/** A provider of EIP-1193, whose account is in this process. */
const newProvider = () => {
  const key = generatePrivateKey()
  knownSecret('private key of an account', key)
  const account = privateKeyToAccount(key)
  const methods: string[] = []
  const request = async (given: unknown): Promise<unknown> => {
    const { method, params: [text = ''] = [] } = Asked.parse(given)
    methods.push(method)
    if (method === 'eth_requestAccounts') return [account.address.toLowerCase()]
    if (method === 'personal_sign')
      return account.signMessage({ message: { raw: z.templateLiteral(['0x', z.string()]).parse(text) } })
    throw new Error(`Nobody has told what ${method} is`)
  }
  return { account: `eip155:1:${account.address}`, methods, request }
}

describe('dapp-front', () => {
  test('connects, subscribes when it is told to, counts and shows what comes', async () => {
    const provider = newProvider()
    const { page, thrown } = await opened(await builtAndServed('dapp-front'), async (empty) => {
      await empty.exposeFunction('requestInTest', provider.request)
      await empty.addInitScript(() => {
        Object.assign(globalThis, { ethereum: { request: Reflect.get(globalThis, 'requestInTest') } })
      })
    })
    await press(page, 'Connect')
    await page.getByRole('button', { name: 'Get notifications' }).waitFor()
    expect(provider.methods).toEqual(['eth_requestAccounts'])
    await press(page, 'Get notifications')
    await reads(page, 'Notifications: 0 unread')
    expect(provider.methods).toEqual(['eth_requestAccounts', 'personal_sign'])
    expect(await world.dapp(APP).subscribers()).toEqual([provider.account])
    await send('First')
    await reads(page, 'Notifications: 1 unread')
    await reads(page, 'First, body')
    await expectAccessible(page)
    await press(page, 'Mark as read: First')
    await reads(page, 'Notifications: 0 unread')

    // The same device after a reload: nothing is signed again.
    await page.reload()
    await press(page, 'Connect')
    await reads(page, 'First, body')
    expect(provider.methods.filter((method) => method === 'personal_sign')).toHaveLength(1)
    expect(thrown).toEqual([])
    await page.context().close()
  })
})

describe('wallet-browser', () => {
  test('lists apps, subscribes, shows what comes, and once only after a reload', async () => {
    const { page, thrown } = await opened(await builtAndServed('wallet-browser'))
    await reads(page, 'The shop')
    await page.locator('#account', { hasText: /^eip155:/ }).waitFor()
    const account = (await page.textContent('#account')) ?? ''
    knownSecret('private key of an account', await page.evaluate(() => localStorage.getItem('key') ?? ''))
    expect(account).toMatch(/^eip155:1:0x[\da-fA-F]{40}$/)
    await press(page, 'Subscribe')
    await page.getByRole('button', { name: 'Unsubscribe' }).waitFor()
    expect(await world.dapp(APP).subscribers()).toContain(account)
    await send('<b>Second</b>')
    await reads(page, `${APP}: <b>Second</b>: <b>Second</b>, body`)
    await reads(page, '1 unread')
    await expectAccessible(page)

    await page.reload()
    await reads(page, '1 unread')
    await page.locator('#account', { hasText: account }).waitFor()
    await reads(page, `${APP}: <b>Second</b>: <b>Second</b>, body`)
    await send('Third')
    await reads(page, 'Third, body')
    expect(await page.locator('#messages li').allTextContents()).toEqual([
      `${APP}: Third: Third, body`,
      `${APP}: <b>Second</b>: <b>Second</b>, body`,
    ])

    await press(page, 'Unsubscribe')
    await page.getByRole('button', { name: 'Subscribe', exact: true }).waitFor()
    expect(await world.dapp(APP).subscribers()).not.toContain(account)
    expect(thrown).toEqual([])
    await page.context().close()
  })
})

/** Its bundle as Metro resolves it, with the server that who copies it would write into it, and a page for a phone. */
const phoneApp = async (): Promise<string> => {
  const app = join(folderOf('react-native'), 'App.tsx')
  const phone = resolve('test/examples/phone.tsx')
  const brought = Object.keys(manifestOf('react-native').dependencies).filter((one) =>
    /react-native/.test(one),
  )
  const { outputFiles } = await build({
    stdin: {
      contents: `import App from ${JSON.stringify(app)}
        import { createElement } from 'react'
        import { createRoot } from 'react-dom/client'
        createRoot(document.querySelector('main')).render(createElement(App))`,
      resolveDir: process.cwd(),
    },
    ...{ bundle: true, platform: 'neutral', conditions: ['react-native', 'require', 'import'] },
    mainFields: ['react-native', 'browser', 'main'],
    alias: Object.fromEntries(brought.map((name) => [name, phone])),
    define: { 'process.env.NODE_ENV': '"development"' },
    plugins: [
      {
        name: 'its server',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\/App\.tsx$/ }, async ({ path }) => ({
            contents: (await readFile(path, 'utf8')).replace('https://belfry.example.com', world.url),
            loader: 'tsx',
          })),
      },
    ],
    ...{ format: 'esm', target: 'es2020', write: false, logLevel: 'error', jsx: 'automatic' },
  })
  return z.string().parse(outputFiles[0]?.text)
}

describe('react-native', () => {
  test('opens in front, closes in the background, and misses nothing meanwhile', async () => {
    const domain = 'app.example.com'
    await world.app(domain)
    const files: Record<string, string> = {
      '/app.js': await phoneApp(),
      '/index.html':
        '<!doctype html><link rel="icon" href="data:,"><main></main><script type="module" src="/app.js"></script>',
    }
    const sockets: WebSocket[] = []
    const { page, thrown } = await opened(await served(async (path) => files[path]), async (empty, said) => {
      empty.on('websocket', (socket) => sockets.push(socket))
      empty.on('console', (message) => {
        // Chromium says by itself that a name is unknown, and that a socket was closed before it was open.
        const isOfChromium = /ERR_NAME_NOT_RESOLVED|closed before the connection is established/.test(
          message.text(),
        )
        if (message.type() === 'error' && !isOfChromium) said.push(message.text())
      })
    })
    const setAppState = (state: string) => page.evaluate(`setAppState('${state}')`)
    const isOpen = () => sockets.filter((socket) => !socket.isClosed()).length
    const subscribed = () =>
      eventually(async () => expect(await world.dapp(domain).subscribers()).toHaveLength(1))
    await subscribed()
    for (const service of ['account', 'seal'])
      knownSecret(
        `key of ${service}`,
        await page.evaluate((one) => localStorage.getItem(`keychain ${one}`) ?? '', service),
      )
    await send('In front', domain)
    await reads(page, 'In front: In front, body')

    await setAppState('background')
    await eventually(() => expect(isOpen()).toBe(0))
    await send('In the background', domain)
    await setAppState('active')
    await reads(page, 'In the background: In the background, body')
    await eventually(() => expect(isOpen()).toBe(1))

    // Whatever the person does meanwhile, one wallet at a time is open.
    for (const state of ['background', 'active', 'inactive', 'active', 'background', 'active'])
      await setAppState(state)
    await send('After that', domain)
    await reads(page, 'After that: After that, body')
    await eventually(() => expect(isOpen()).toBe(1))

    const state = await page.evaluate(() => localStorage.getItem('belfry-wallet'))
    expect(state).toMatch(/^1\.key\./)
    await page.reload()
    await send('After a restart', domain)
    await reads(page, 'After a restart: After a restart, body')
    await subscribed()
    expect(thrown).toEqual([])
    await page.context().close()
  })
})
