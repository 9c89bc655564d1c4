/** What people have that the makers of a page do not: other scripts, wrong clocks, narrow windows, links that were cut, plain http. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import {
  accountOf,
  enterWithDemoKey,
  type InboxWorld,
  openList,
  row,
  startInboxWorld,
  subscribe,
} from './world.ts'

const DAY_MS = 86_400_000
const ARABIC = 'وصل طلبك إلى المتجر ويمكنك استلامه غدا في الصباح الباكر من الباب الخلفي'

const owned = createReleaseStack()
let inbox: InboxWorld
beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

const widerBy = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth)

it('a text that is written from right to left begins at the right, in the list and when it is read', async () => {
  const { context } = await inbox.device()
  const page = await context.newPage()
  await enterWithDemoKey(page)
  await subscribe(page)
  await inbox.send(await accountOf(page), { title: ARABIC.slice(0, 60), body: ARABIC })
  await openList(page)
  const title = page.locator('.row-title').first()
  await title.waitFor()
  const directionOf = (selector: string) =>
    page.locator(selector).evaluate((element) => getComputedStyle(element).direction)
  expect(await directionOf('.row-title')).toBe('rtl')
  expect(await directionOf('.row-body')).toBe('rtl')
  await title.click()
  await page.getByRole('article').waitFor()
  expect(await directionOf('.message-title')).toBe('rtl')
  expect(await directionOf('.message-body')).toBe('rtl')
  await context.close()
}, 60_000)

it('a title that is blank is no empty heading', async () => {
  const { context } = await inbox.device()
  const page = await context.newPage()
  await enterWithDemoKey(page)
  await subscribe(page)
  await inbox.send(await accountOf(page), { title: ' ', body: 'Only a text' })
  await openList(page)
  await row(page, 'Only a text').click()
  await page.getByRole('article').getByRole('heading', { name: 'Example shop' }).waitFor()
  await context.close()
}, 60_000)

it('a clock that is wrong by a day is said, and no longer when it is right', async () => {
  const { context } = await inbox.device()
  const page = await context.newPage()
  await page.clock.install({ time: Date.now() - DAY_MS })
  await page.goto('/')
  await page.getByRole('button', { name: 'Try it with a demo key' }).click()
  const said = page.getByText(/The clock of this device shows/)
  await said.waitFor()
  await page.clock.setSystemTime(Date.now())
  await page.clock.runFor(31_000)
  await said.waitFor({ state: 'detached' })
  await context.close()
}, 60_000)

it('a link whose key was cut off is answered in words', async () => {
  const { context } = await inbox.device()
  const page = await context.newPage()
  await page.goto('/#key=0123')
  await page.getByRole('alert').getByText('This is no key of an inbox').waitFor()
  await context.close()
})

it('over plain http it says that it needs https, in place of buttons that fail', async () => {
  const { context } = await inbox.device()
  // A name of this machine is trusted by browsers as https is; the page is told that it is none.
  await context.addInitScript(() => Object.defineProperty(globalThis, 'isSecureContext', { value: false }))
  const page = await context.newPage()
  await page.goto('/')
  await page.getByText('over https only').waitFor()
  expect(await page.getByRole('button').count()).toBe(0)
  await context.close()
})

it('before the server has said which apps it lists, nobody claims that there are none', async () => {
  const { context } = await inbox.device()
  const page = await context.newPage()
  await enterWithDemoKey(page)
  let release = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  await context.route('**/w3i/v1/projects*', async (route) => {
    await held
    await route.continue()
  })
  await page.getByRole('link', { name: 'Discover apps' }).first().click()
  await page.getByText('Asking the server').waitFor()
  expect(await page.getByText('lists no apps').count()).toBe(0)
  release()
  await page.getByRole('button', { name: 'Subscribe to Example shop' }).waitFor()
  await context.close()
}, 60_000)

it('the first page fits into 320 pixels, in German too', async () => {
  const { context } = await inbox.device({ locale: 'de-DE', viewport: { width: 320, height: 568 } })
  const page = await context.newPage()
  await page.goto('/')
  await page.getByRole('button', { name: 'Mit einem Demo-Schlüssel ausprobieren' }).waitFor()
  expect(await widerBy(page)).toBeLessThanOrEqual(0)
  await context.close()
})
