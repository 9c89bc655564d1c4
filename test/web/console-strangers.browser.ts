/** The console as it is opened elsewhere than on its makers' desks: over plain http, behind other tabs, at addresses of nothing. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/process.ts'
import { startWorld, type World } from '../support/world.ts'
import { openContext, startBrowser, type Watched } from './browser.ts'

const owned = createReleaseStack()
let world: World
let watched: Watched

const signIn = async (page: Page): Promise<void> => {
  await page.goto('/console')
  await page.getByLabel('Admin token').fill(world.adminToken)
  await page.getByRole('button', { name: 'Sign in with the token' }).click()
  await page.getByRole('navigation').waitFor()
}

beforeAll(async () => {
  const port = await freePort()
  world = owned.use(await startWorld({ config: { port, publicUrl: `http://127.0.0.1:${port}` } }))
  await world.addApp('shop.example', { types: [{ name: 'News' }] })
  watched = await openContext(owned.use(await startBrowser()), world.url)
  await signIn(await watched.context.newPage())
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it('sends over plain http, where browsers have neither randomUUID nor a clipboard', async () => {
  const page = await watched.context.newPage()
  await page.addInitScript(() => {
    Object.defineProperty(Crypto.prototype, 'randomUUID', { value: undefined })
    Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })
  })
  await page.goto('/console#/send')
  await page.getByRole('heading', { name: 'New notification' }).waitFor()
  await page.goto('/console#/apps/shop.example')
  await page.getByText('Authentication key').waitFor()
  await eventually(async () => expect(await page.getByRole('button', { name: 'Copy' }).count()).toBe(0))
})

it('a view that was opened behind another tab is asked for when it is seen', async () => {
  const page = await watched.context.newPage()
  await page.addInitScript(() => {
    let state = 'hidden'
    Object.defineProperty(Document.prototype, 'visibilityState', { get: () => state })
    Reflect.set(globalThis, 'see', () => {
      state = 'visible'
      document.dispatchEvent(new Event('visibilitychange'))
    })
  })
  await page.goto('/console#/apps')
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor()
  await page.getByText('Loading').waitFor()
  await page.evaluate(() => Reflect.get(globalThis, 'see')())
  await page.getByRole('link', { name: 'shop.example' }).waitFor()
})

it('what is not there is said, and not waited for', async () => {
  const page = await watched.context.newPage()
  await page.goto('/console#/webhooks/nobody')
  await page.getByText('There is nothing here by that name').waitFor()
  await page.getByText('Loading').waitFor({ state: 'detached' })
})

it('a notification whose title is blank can be opened', async () => {
  const { status } = await world.http('POST', '/admin/broadcasts', {
    token: world.adminToken,
    body: {
      domain: 'shop.example',
      notification: { type: 'News', title: ' ', body: 'Only a text' },
      notificationId: 'blank-1',
    },
  })
  expect(status).toBe(200)
  const page = await watched.context.newPage()
  await page.goto('/console#/notifications/shop.example')
  await page.getByRole('link', { name: 'blank-1' }).click()
  await page.getByRole('heading', { name: 'blank-1' }).waitFor()
})

it('what was being written is there again when the session ended meanwhile, and gone when one leaves', async () => {
  const { context } = watched
  const page = await context.newPage()
  const title = page.getByLabel('Title').first()
  await page.goto('/console#/send')
  await title.fill('Ten minutes of work')
  await page.getByLabel('Text', { exact: true }).fill('A long text')
  await context.clearCookies()
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  await page.getByText('The session has ended').waitFor()
  await page.getByLabel('Admin token').fill(world.adminToken)
  await page.getByRole('button', { name: 'Sign in with the token' }).click()
  await title.waitFor()
  await eventually(async () => expect(await title.inputValue()).toBe('Ten minutes of work'))
  await page.getByRole('link', { name: 'Audit' }).click()
  await page.getByRole('heading', { level: 1, name: 'Audit' }).waitFor()
  await page.getByRole('link', { name: 'Send', exact: true }).click()
  await title.waitFor()
  await eventually(async () => expect(await title.inputValue()).toBe(''))
})
