/** How the inbox looks, reads and sounds: every view in light and dark, on a phone and a desktop, in two languages, by keyboard. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { expectAccessible, SIZES, takeScreenshots, type Watched } from '../browser.ts'
import {
  accountOf,
  enterWithDemoKey,
  type InboxWorld,
  openList,
  row,
  startInboxWorld,
  subscribe,
} from './world.ts'

const owned = createReleaseStack()
let inbox: InboxWorld
let device: Watched
let page: Page

const MESSAGES = [
  [
    'The tulips are here',
    'Sixteen kinds, from early April on. Members may come a day before everybody else, with a friend.',
  ],
  [
    'Your order is on its way',
    'It leaves the nursery today. Keep the pots out of the frost tonight, and water them tomorrow morning.',
  ],
  [
    'A workshop on grafting',
    'Saturday at ten. Bring gloves and a sharp knife; the rest is there. There are nine places left, and coffee.',
  ],
  ['Frost tonight', 'Down to minus four. Cover what you planted this week.'],
] as const

beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  device = await inbox.device({ viewport: SIZES.desktop })
  page = await device.context.newPage()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

/** In every view that follows. */
const look = async (name: string): Promise<void> => {
  await takeScreenshots(page, `inbox-${name}`)
  await expectAccessible(page)
}

describe('the views', () => {
  it('the first visit can be used within a second of asking for it', async () => {
    // The server is warm, the browser has nothing of it.
    await (await inbox.device()).context.newPage().then((warm) => warm.goto('/'))
    await page.goto('/')
    const button = page.getByRole('button', { name: 'Try it with a demo key' })
    await button.waitFor()
    const took = await page.evaluate(() => performance.now())
    expect(took).toBeLessThan(1_000)
    await look('welcome')
  })

  it('apps, the choice of types, messages, one message, settings', async () => {
    await enterWithDemoKey(page)
    await page.getByText('Choose your first app').waitFor()
    await look('empty')
    await page.getByRole('link', { name: 'Discover apps' }).first().click()
    await page.getByRole('button', { name: /^Subscribe to/ }).click()
    await page.getByRole('checkbox', { name: 'News' }).waitFor()
    await look('types')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await subscribe(page)
    await look('discover')
    const account = await accountOf(page)
    await look('settings')
    await openList(page)
    for (const [title, body] of MESSAGES)
      await inbox.send(account, { title, body, url: 'https://app.example.com/a' })
    await row(page, 'Frost tonight').waitFor()
    await row(page, 'The tulips are here').waitFor()
    await look('messages')
    await row(page, 'A workshop on grafting').click()
    await page.getByRole('heading', { name: 'A workshop on grafting' }).waitFor()
    await look('message')
    const link = page.getByRole('link', { name: 'Open app.example.com' })
    expect(await link.getAttribute('rel')).toContain('noopener')
    device.expectClean()
  })

  it('by keyboard alone', async () => {
    await openList(page)
    await page.keyboard.press('j')
    await eventually(async () =>
      expect(await page.locator('.row-link:focus').textContent()).toContain('Frost'),
    )
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'A workshop on grafting' }).waitFor()
    await page.keyboard.press('Escape')
    await eventually(async () =>
      expect(await page.locator('.row-link:focus').textContent()).toContain('A workshop'),
    )
    await page.keyboard.press('/')
    await page.keyboard.type('tulip')
    await eventually(async () => expect(await page.locator('.row').count()).toBe(1))
    await page.keyboard.press('Escape')
    await page.keyboard.press('k')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'The tulips are here' }).waitFor()
    device.expectClean()
  })

  it('in German, which is kept', async () => {
    await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click()
    await page.getByRole('combobox', { name: 'Language' }).selectOption('de')
    await page.getByRole('heading', { name: 'Einstellungen' }).waitFor()
    expect(await page.locator('html').getAttribute('lang')).toBe('de')
    await look('settings-german')
    await page.reload()
    await page.getByRole('link', { name: 'Alle Nachrichten' }).click()
    await row(page, 'Frost tonight').waitFor()
    await look('messages-german')
    const german = await inbox.device({ locale: 'de-DE' })
    const other = await german.context.newPage()
    await other.goto('/')
    await other.getByRole('button', { name: 'Mit einem Demo-Schlüssel ausprobieren' }).waitFor()
    german.expectClean()
    device.expectClean()
  })
})
