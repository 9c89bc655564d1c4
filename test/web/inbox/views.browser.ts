/** How the inbox looks, reads and sounds: every view in light and dark, on a phone and a desktop, in two languages, by keyboard. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { expectAccessible, SIZES, takeScreenshots, type Watched } from '../browser.ts'
import {
  APP,
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

const OTHER_APPS = [
  { domain: 'trains.example.org', name: 'Night trains', description: 'Tickets and times of the sleeper' },
  { domain: 'library.example.net', name: 'City library', description: 'Loans, holds and readings' },
]
const MESSAGES = [
  {
    domain: 'trains.example.org',
    title: 'Your train leaves at 21:40',
    body: 'Coach 12, berth 31, platform 4. The conductor wakes you half an hour before you arrive.',
  },
  {
    domain: APP,
    title: 'The tulips are here',
    body: 'Sixteen kinds, from early April on. Members may come a day before everybody else, with a friend.',
  },
  {
    domain: 'library.example.net',
    title: 'Two books wait for you',
    body: 'They are kept until Friday at the desk on the first floor.',
  },
  {
    domain: APP,
    title: 'A workshop on grafting',
    body: 'Saturday at ten. Bring gloves and a sharp knife; the rest is there. There are nine places left, and coffee.',
  },
  { domain: APP, title: 'Frost tonight', body: 'Down to minus four. Cover what you planted this week.' },
]

beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  for (const app of OTHER_APPS) await inbox.addApp({ ...app, types: [{ id: 'news', name: 'News' }] })
  device = await inbox.device({ viewport: SIZES.desktop })
  page = await device.context.newPage()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

/** In every view that follows. */
const look = async (name: string): Promise<void> => {
  await takeScreenshots(page, `inbox-${name}`)
  for (const width of [320, SIZES.phone.width]) {
    await page.setViewportSize({ width, height: SIZES.phone.height })
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(await overflow(), `${name} at ${width} px`).toBeLessThanOrEqual(0)
  }
  await page.setViewportSize(SIZES.desktop)
  await expectAccessible(page)
}

describe('the views', () => {
  it('the first visit', async () => {
    await page.goto('/')
    await page.getByRole('button', { name: 'Try it with a demo key' }).waitFor()
    await look('welcome')
  })

  it('apps, the choice of types, messages, one message, settings', async () => {
    await enterWithDemoKey(page)
    await page.getByText('Choose your first app').waitFor()
    await look('empty')
    await page.getByRole('link', { name: 'Discover apps' }).first().click()
    await page.getByRole('button', { name: 'Subscribe to Example shop' }).click()
    await page.getByRole('checkbox', { name: 'News' }).waitFor()
    await look('types')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await subscribe(page)
    await look('discover')
    for (const { name } of OTHER_APPS) await subscribe(page, name)
    const account = await accountOf(page)
    await look('settings')
    await openList(page)
    for (const message of MESSAGES)
      await inbox.send(account, { url: 'https://app.example.com/a', ...message })
    for (const { title } of MESSAGES) await row(page, title).waitFor()
    await look('messages')
    await row(page, 'A workshop on grafting').click()
    await page.getByRole('heading', { name: 'A workshop on grafting' }).waitFor()
    await look('message')
    // The picture of the documents.
    if (process.env.BELFRY_PICTURE) await page.screenshot({ path: process.env.BELFRY_PICTURE })
    const link = page.getByRole('link', { name: 'Open app.example.com' })
    expect(await link.getAttribute('rel')).toContain('noopener')
    device.expectClean()
  })

  it('can be installed', async () => {
    const session = await device.context.newCDPSession(page)
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
    await session.detach()
    // Profiles of tests are private ones, in which nothing is installed.
    expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual(['in-incognito'])
    for (const size of [192, 512]) {
      const icon = await page.request.get(`/icon-${size}.png`)
      expect(icon.headers()['content-type']).toBe('image/png')
    }
  })

  it('by keyboard alone', async () => {
    await openList(page)
    await page.getByText('Choose a message').waitFor()
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
    await page.getByRole('navigation').getByRole('link', { name: 'Nachrichten' }).click()
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
