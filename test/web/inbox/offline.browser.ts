/** Thousands of messages: read page by page, kept on the device, searched and read without the server. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import type { Watched } from '../browser.ts'
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
/** At the server, more than a device reads at once when it opens. */
const AT_SERVER = 120
/** On the device. */
const STORED = 4_000
let inbox: InboxWorld
let device: Watched
let page: Page

beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  device = await inbox.device()
  page = await device.context.newPage()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

const shown = (): Promise<number> => page.locator('.row').count()
const scrollDown = (): Promise<void> =>
  page.locator('.list-pane').evaluate((pane) => pane.scrollTo(0, pane.scrollHeight))

/** Older ones than the server has, as a year of use leaves them. */
const storeMany = (domain: string, count: number): Promise<void> =>
  page.evaluate(
    ([app, number]) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('belfry-inbox')
        opening.onsuccess = () => {
          const writing = opening.result.transaction('messages', 'readwrite')
          for (let at = 0; at < number; at++)
            writing.objectStore('messages').put({
              ...{
                domain: app,
                id: `old-${at}`,
                type: 'news',
                title: `Old ${at}`,
                body: `Number ${at} of last year`,
              },
              ...{ sentAt: Date.UTC(2020, 0, 1) + at * 60_000, icon: null, url: null, isRead: true },
            })
          writing.oncomplete = () => {
            opening.result.close()
            resolve()
          }
          writing.onerror = () => reject(writing.error)
        }
      }),
    [domain, count] as const,
  )

describe('thousands of messages', () => {
  it('of which a second device reads the newest at once, and the others as they are scrolled to', async () => {
    await enterWithDemoKey(page)
    await subscribe(page)
    const account = await accountOf(page)
    await page.getByRole('button', { name: 'Show the key' }).click()
    const link = await page.getByLabel('Link', { exact: true }).inputValue()
    const titles = Array.from({ length: AT_SERVER }, (_, at) => `Message ${at}`)
    await Promise.all(titles.map((title) => inbox.send(account, { title, body: 'One of many' })))
    await openList(page)
    await eventually(async () => expect(await page.title()).toContain(`(${AT_SERVER})`))

    const other = await inbox.device()
    const second = await other.context.newPage()
    await second.goto(link)
    await second.locator('.row').first().waitFor()
    await eventually(async () => {
      await second.locator('.list-pane').evaluate((pane) => pane.scrollTo(0, pane.scrollHeight))
      await eventually(async () => expect(await second.locator('.row').count()).toBe(AT_SERVER))
    })
    await second.getByText('These are all messages.').waitFor()
    await page.getByRole('button', { name: 'Mark all as read' }).click()
    for (const each of [page, second])
      await eventually(async () => expect(await each.title()).not.toContain('('))
    await second.close()
    other.expectClean()
  })

  it('without the server: opened, scrolled, searched and read', async () => {
    await storeMany(APP, STORED)
    await device.context.setOffline(true)
    await page.reload()
    await row(page, 'Message 0').or(page.locator('.row').first()).first().waitFor()
    // However many there are, it opens with a page of them.
    const before = await shown()
    expect(before).toBeLessThan(200)
    await scrollDown()
    await eventually(async () => expect(await shown()).toBeGreaterThan(before))
    await page.getByRole('searchbox').fill('number 3210')
    await row(page, 'Old 3210').click()
    await page.getByRole('heading', { name: 'Old 3210' }).waitFor()
    await page.getByText('Number 3210 of last year').first().waitFor()
  })

  it('and goes on when the server is back', async () => {
    await device.context.setOffline(false)
    await page.getByText('Connected', { exact: true }).waitFor()
    await openList(page)
    await page.getByRole('searchbox').fill('')
    await inbox.belfryNotify('Back again', 'after the tunnel')
    await row(page, 'Back again').waitFor()
  })
})
