import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { freePort } from '../support/process.ts'
import { startWorld, type World } from '../support/world.ts'
import { expectAccessible, openContext, startBrowser, type Watched } from './browser.ts'

const owned = createReleaseStack()
let world: World
let browser: Browser
let watched: Watched

beforeAll(async () => {
  const port = await freePort()
  world = owned.use(await startWorld({ config: { port, publicUrl: `http://127.0.0.1:${port}` } }))
  browser = owned.use(await startBrowser())
  watched = await openContext(browser, world.url)
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it.for(['/', '/console'])(
  '%s opens without complaint, asks this server only, and axe finds nothing serious',
  async (path) => {
    const page = await watched.context.newPage()
    await page.goto(path)
    await page.locator('main').waitFor()
    expect(await page.title()).toContain('Belfry')
    await expectAccessible(page)
    watched.expectClean()
  },
)

it('the API page is as wide as a phone', async () => {
  const page = await watched.context.newPage()
  await page.setViewportSize({ width: 320, height: 568 })
  await page.goto('/docs')
  await page.getByRole('heading', { name: 'notify', exact: true }).waitFor()
  await page.evaluate(() => scrollTo(100, 0))
  expect(await page.evaluate(() => scrollX)).toBe(0)
})

it('without JavaScript each page says that it needs it', async () => {
  const context = await browser.newContext({ baseURL: world.url, javaScriptEnabled: false })
  for (const path of ['/', '/console', '/docs']) {
    const page = await context.newPage()
    await page.goto(path)
    expect(await page.locator('body').innerText()).toContain('needs JavaScript')
  }
  await context.close()
})
