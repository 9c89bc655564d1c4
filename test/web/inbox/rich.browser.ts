/** What a notification may have beside its texts, and quiet hours: on two devices of one account, in two languages. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { verifyAnswer } from '../../../src/sdk/answers.ts'
import { createDapp, type Dapp } from '../../../src/sdk/dapp.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { expectAccessible, SIZES, takeScreenshots, type Watched } from '../browser.ts'
import { deliver, deliverAndPress } from './pushed.ts'
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
let dapp: Dapp
let account: string
let english: Watched
let page: Page
let german: Watched
let other: Page

beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  const { url, project } = inbox.push.world
  dapp = createDapp({ url, projectId: project.id, secret: project.secret })
  english = await inbox.device({ viewport: SIZES.desktop, timezoneId: 'Europe/Berlin' })
  page = await english.context.newPage()
  await enterWithDemoKey(page)
  await subscribe(page)
  account = await accountOf(page)
  await page.getByRole('button', { name: 'Show the key' }).click()
  const link = await page.getByLabel('Link', { exact: true }).inputValue()
  await openList(page)
  german = await inbox.device({ locale: 'de-AT', timezoneId: 'America/New_York' })
  other = await german.context.newPage()
  await other.goto(link)
  await other.getByText('Verbunden', { exact: true }).waitFor()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

const ANSWERS = [
  { id: 'yes', title: 'Yes, please', answer: true },
  { id: 'no', title: 'No, thanks', answer: true },
] as const

/** A question of the app, to this account. */
const ask = async (id: string, title: string): Promise<void> => {
  const notification = { type: 'news', title, body: 'Answer until Friday.', actions: ANSWERS }
  const { sent } = await dapp.notify(notification, [account], { id })
  expect(sent).toHaveLength(1)
}

/** What the account answered, as its proof says. */
const verified = async (notificationId: string): Promise<string> => {
  const { receipts } = await dapp.receipts(notificationId)
  const proof = receipts[0]?.answer
  if (!proof) throw new Error('There is no answer yet')
  const answer = await verifyAnswer(proof, { domain: APP, notificationId })
  expect(answer.account).toBe(account)
  return answer.action
}

const back = (on: Page, name: string): Promise<void> =>
  on.getByRole('navigation').getByRole('link', { name }).click()

describe('a message with extras', () => {
  it('says how urgent it is, what it is about, and where its links lead', async () => {
    const flags = [
      ...[
        '--priority',
        'urgent',
        '--tag',
        'order',
        '--tag',
        'garden',
        '--image',
        'https://cdn.example.com/a.png',
      ],
      ...['--action', 'track=Track it=https://app.example.com/orders/1', '--action', 'yes=I am at home'],
      ...['--locale', 'de=Deine Bestellung=Sie ist unterwegs', '--url', '/orders'],
    ]
    await inbox.belfryNotify('Your order', 'It is on its way', flags)
    await eventually(async () => expect(await row(page, 'Your order').textContent()).toContain('Urgent'))
    await row(page, 'Your order').click()
    await page.getByRole('heading', { name: 'Your order' }).waitFor()
    await page.getByRole('article').getByText('Urgent').waitFor()
    expect(await page.getByRole('list', { name: 'Tags' }).getByRole('listitem').allTextContents()).toEqual([
      'order',
      'garden',
    ])
    const picture = page.getByRole('link', { name: 'Show the picture cdn.example.com' })
    expect(await picture.getAttribute('href')).toBe('https://cdn.example.com/a.png')
    expect(await picture.getAttribute('rel')).toBe('noopener noreferrer')
    await takeScreenshots(page, 'inbox-rich')
    await expectAccessible(page)
    await page.getByRole('searchbox').fill('garden')
    await eventually(async () => expect(await page.locator('.row').count()).toBe(1))
    await page.getByRole('searchbox').fill('unterwegs')
    await page.getByText('No message on this device').waitFor()
    await page.getByRole('searchbox').fill('')
    await row(page, 'Your order').waitFor()
  })

  it('is German for a German reader, in the list, alone and in the search', async () => {
    await row(other, 'Deine Bestellung').waitFor()
    await other.getByRole('searchbox').fill('unterwegs')
    await eventually(async () => expect(await other.locator('.row').count()).toBe(1))
    await row(other, 'Deine Bestellung').click()
    await other.getByRole('heading', { name: 'Deine Bestellung' }).waitFor()
    await eventually(async () =>
      expect(await other.locator('.message-body').textContent()).toBe('Sie ist unterwegs'),
    )
    await other.getByRole('article').getByText('Dringend').waitFor()
    await takeScreenshots(other, 'inbox-rich-german')
    await expectAccessible(other)
    await back(other, 'Nachrichten')
    await other.getByRole('searchbox').fill('')
  })
})

describe('an answer', () => {
  it('is signed, stays after a reload, and stands on the other device, where the message is read', async () => {
    await ask('vote-1', 'Shall we meet?')
    await row(other, 'Shall we meet?').locator('.row-dot').waitFor()
    await row(page, 'Shall we meet?').click()
    await takeScreenshots(page, 'inbox-question')
    // It is known there as read: nobody is told of the answer that follows.
    await eventually(async () =>
      expect(await row(other, 'Shall we meet?').locator('.row-dot').count()).toBe(0),
    )
    await page.getByRole('button', { name: 'Yes, please' }).click()
    await page.getByText('You answered: Yes, please').waitFor()
    await eventually(async () =>
      expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('You answered'),
    )
    await takeScreenshots(page, 'inbox-answered')
    await expectAccessible(page)
    expect(await eventually(() => verified('vote-1'))).toBe('yes')
    await page.reload()
    await page.getByText('You answered: Yes, please').waitFor()
    await eventually(async () =>
      expect(await page.getByRole('button', { name: 'No, thanks' }).count()).toBe(0),
    )
    await row(other, 'Shall we meet?').click()
    await other.getByText('Du hast geantwortet: Yes, please').waitFor()
    await eventually(async () =>
      expect(await other.getByRole('button', { name: 'No, thanks' }).count()).toBe(0),
    )
    await takeScreenshots(other, 'inbox-answered-german')
    await expectAccessible(other)
    await back(other, 'Nachrichten')
    expect(await verified('vote-1')).toBe('yes')
  })

  it('that cannot be sent is not said to be given', async () => {
    await ask('vote-2', 'On Saturday?')
    await row(page, 'On Saturday?').click()
    await page.getByRole('button', { name: 'Yes, please' }).waitFor()
    english.expectClean()
    await inbox.cut(english.context, true)
    await page.getByText('Not connected').first().waitFor()
    await page.getByRole('button', { name: 'Yes, please' }).click()
    await page.getByRole('article').getByText('The server cannot be reached').waitFor()
    await inbox.cut(english.context, false)
    await page.getByText('Connected', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Yes, please' }).click()
    await page.getByText('You answered: Yes, please').waitFor()
    await eventually(async () =>
      expect(await page.getByRole('article').getByRole('alert').textContent()).toBe(''),
    )
    expect(await eventually(() => verified('vote-2'))).toBe('yes')
  })
})

const shownTitles = (on: Page): Promise<string[]> =>
  on.evaluate(async () => {
    const worker = await navigator.serviceWorker.ready
    return (await worker.getNotifications()).map(({ title }) => title)
  })

describe('notifications of the browser', () => {
  it('silent and low messages raise none, and nothing is read out', async () => {
    await back(page, 'Settings')
    await page.getByRole('button', { name: 'Turn on' }).click()
    await page.getByText('You are told of new messages').waitFor()
    await openList(page)
    // As when another tab is in front.
    await page.evaluate(() => Object.defineProperty(document, 'visibilityState', { value: 'hidden' }))
    const plain = { type: 'news', body: 'A word' }
    await dapp.notify({ ...plain, title: 'Silent', silent: true }, [account])
    await row(page, 'Silent').waitFor()
    await dapp.notify({ ...plain, title: 'Low', priority: 'low' }, [account])
    await row(page, 'Low').waitFor()
    const said = () => page.getByRole('status').allTextContents()
    expect((await said()).join()).not.toMatch(/Silent|Low/)
    await dapp.notify({ ...plain, title: 'Loud' }, [account])
    await eventually(async () => expect((await said()).join()).toContain('Loud'))
    await eventually(async () => expect(await shownTitles(page)).toEqual(['Loud']))
  })

  it('an answer that was pressed in one is signed when the inbox opens, which shows it', async () => {
    const [worker] = english.context.serviceWorkers()
    if (!worker) throw new Error('The worker does not run')
    await page.close()
    const { web, world } = inbox.push
    const before = web.pushes.length
    await ask('vote-3', 'Bring a cake?')
    const address = await deliverAndPress(english.context, worker, {
      // One of an earlier message may come late, as where the page was slow to acknowledge it.
      ...{ origin: world.url, pushes: () => web.pushes.slice(before) },
      ...{ title: 'Bring a cake?', action: 'no' },
    })
    page = await english.context.newPage()
    await page.goto(address)
    await page.getByText('You answered: No, thanks').waitFor()
    expect(await eventually(() => verified('vote-3'))).toBe('no')
  })
})

describe('the service worker of a German browser', () => {
  it('speaks German where it can open a push, and where it cannot', async () => {
    const { web, world } = inbox.push
    const before = web.pushes.length
    // A push of the other device is one that this one can open as well.
    await page.close()
    await inbox.belfryNotify('Frost tonight', 'Cover it', ['--locale', 'de=Frost heute Nacht=Deck es zu'])
    await eventually(async () => {
      // Again, where Chromium took one back: the same push replaces what it has shown.
      for (const { text } of [{ text: '{}' }, ...web.pushes.slice(before)])
        await deliver(german.context, world.url, text)
      expect(await shownTitles(other)).toContain('Frost heute Nacht')
      expect(await shownTitles(other)).toContain('Du hast neue Nachrichten')
    })
    page = await english.context.newPage()
    await page.goto('/')
  })
})

const manage = async (on: Page, app: string, change: string): Promise<void> => {
  await back(on, app)
  await on.getByRole('button', { name: change, exact: true }).click()
}

describe('quiet hours', () => {
  it('are off, are set on one device, and are there on the other, which ends them', async () => {
    await manage(page, 'Example shop', 'Subscription')
    const hours = page.getByRole('checkbox', { name: /^Quiet hours/ })
    await eventually(async () => expect(await hours.isChecked()).toBe(false))
    await hours.check()
    await page.getByText('Times of Europe/Berlin').waitFor()
    await page.getByLabel('From').fill('07:00')
    await page.getByText('Choose two different times.').waitFor()
    await eventually(async () =>
      expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true),
    )
    await page.getByLabel('From').fill('23:00')
    await page.getByLabel('To', { exact: true }).fill('06:30')
    await takeScreenshots(page, 'inbox-quiet-hours')
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })

    const theirs = other.getByRole('checkbox', { name: /^Ruhezeit/ })
    await eventually(async () => {
      await manage(other, 'Example shop', 'Abonnement')
      const is = await theirs.isChecked()
      if (!is) await other.getByRole('button', { name: 'Abbrechen' }).click()
      expect(is).toBe(true)
    })
    await eventually(async () => expect(await other.getByLabel('Von').inputValue()).toBe('23:00'))
    await eventually(async () => expect(await other.getByLabel('Bis').inputValue()).toBe('06:30'))
    await other.getByText('Uhrzeiten von Europe/Berlin').waitFor()
    await theirs.uncheck()
    await other.getByRole('button', { name: 'Speichern' }).click()
    await other.getByRole('dialog').waitFor({ state: 'detached' })
    await eventually(async () => {
      await manage(page, 'Example shop', 'Subscription')
      const is = await hours.isChecked()
      await page.getByRole('button', { name: 'Cancel' }).click()
      expect(is).toBe(false)
    })
    german.expectClean()
  })
})

describe('a link', () => {
  it('opens where it says, in a tab of its own that knows nothing of the inbox', async () => {
    await openList(page)
    await row(page, 'Your order').click()
    await english.context.route('https://app.example.com/**', (route) => route.fulfill({ body: 'Order 1' }))
    const opening = page.waitForEvent('popup')
    await page.getByRole('link', { name: 'Track it app.example.com' }).click()
    const opened = await opening
    await opened.waitForURL('https://app.example.com/orders/1')
    expect(await opened.evaluate(() => [opener, document.referrer])).toEqual([null, ''])
  })

  it('does not have the name of this server where its clicks are counted', async () => {
    const { world } = inbox.push
    const body = { domain: APP, types: [{ id: 'news', name: 'News' }], listed: true, links: true }
    const { status } = await world.http('POST', '/admin/apps', { token: world.adminToken, body })
    expect(status).toBe(200)
    await inbox.send(account, { title: 'Counted', body: 'body', url: 'https://app.example.com/orders/2' })
    await page.getByRole('navigation').getByRole('link', { name: 'All messages' }).click()
    await row(page, 'Counted').click()
    const link = page.getByRole('link', { name: 'Open the link; this is counted' })
    await link.waitFor()
    expect(await link.getAttribute('href')).toMatch(`${world.url}/v1/notification/`)
  })
})
