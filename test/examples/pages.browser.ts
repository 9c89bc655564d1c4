/** Examples of pages: built by their own script, in a real browser, before a real server. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
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
import { start } from './example.ts'

/** A browser's first start, and a build, on a busy machine. */
const SLOW = 120_000
const APP = 'shop.test'
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

const owned = createReleaseStack()
let world: ClientWorld
let browser: Browser
let type: string

/** Runs its `build`, and serves what that left. */
const served = async (name: string): Promise<string> => {
  const out = join(owned.use(await temporaryHome()).path, 'dist')
  const env = { VITE_BELFRY_URL: world.url, VITE_APP_DOMAIN: APP }
  await using built = start(name, 'build', { env, args: ['--outDir', out] })
  expect(await built.end(), built.output()).toBe(0)
  const server = createServer(async ({ url = '/' }, response) => {
    const path = join(out, url === '/' ? 'index.html' : new URL(url, 'http://localhost').pathname)
    const content = await readFile(path).catch(() => undefined)
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

/** A page, and what it did not catch. */
const opened = async (url: string, prepare: (page: Page) => Promise<void> = async () => {}) => {
  const context = await browser.newContext()
  const thrown: string[] = []
  context.on('weberror', (error) => thrown.push(error.error().message))
  const page = await context.newPage()
  await prepare(page)
  await page.goto(url)
  return { page, thrown }
}

const send = async (title: string) => {
  const accounts = await world.dapp(APP).subscribers()
  await world.dapp(APP).notify({ type, title, body: `${title}, body` }, accounts, { id: title })
}
const reads = (page: Page, text: string) =>
  eventually(async () => expect(await page.textContent('main')).toContain(text))
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

beforeAll(async () => {
  world = owned.use(await startClientWorld())
  const [id = ''] = await world.app(APP)
  type = id
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
    const { page, thrown } = await opened(await served('dapp-front'), async (empty) => {
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
    const { page, thrown } = await opened(await served('wallet-browser'))
    await reads(page, 'The shop')
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
    expect(await page.textContent('#account')).toBe(account)
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
