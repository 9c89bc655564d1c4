/** The whole story of an inbox: from the first visit to the end of a subscription, on two devices. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { expectAccessible, type Watched } from '../browser.ts'
import { deliverAndPress } from './pushed.ts'
import { enterWithDemoKey, type InboxWorld, openList, row, startInboxWorld, subscribe } from './world.ts'

const owned = createReleaseStack()
let inbox: InboxWorld
let first: Watched
let second: Watched

beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  first = await inbox.device()
  second = await inbox.device()
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it('first visit, demo key, subscription, live message, push while closed, second device, offline and back, end', async () => {
  const { push, belfryNotify } = inbox
  const page = await first.context.newPage()
  await enterWithDemoKey(page)
  await subscribe(page)

  // Live.
  await openList(page)
  await belfryNotify('Hello', 'from the tower')
  await row(page, 'Hello').waitFor()
  await eventually(async () => expect(await page.title()).toContain('(1)'))
  await row(page, 'Hello').click()
  await page.getByRole('heading', { name: 'Hello' }).waitFor()
  await eventually(async () => expect(await page.title()).not.toContain('('))

  // Push while it is closed; a press leads to the message.
  await page.getByRole('link', { name: 'Settings' }).first().click()
  await page.getByRole('button', { name: 'Turn on' }).click()
  await page.getByText('You are told of new messages').waitFor()
  const link = await (async () => {
    await page.getByRole('button', { name: 'Show the key' }).click()
    return page.getByLabel('Link', { exact: true }).inputValue()
  })()
  const [worker] = first.context.serviceWorkers()
  if (!worker) throw new Error('The worker does not run')
  await page.close()
  await belfryNotify('While you were away', 'Nobody looked')
  await eventually(() => expect(push.web.pushes).toHaveLength(1))
  const { body } = push.web.pushes[0] ?? {}
  expect(body?.toString('latin1')).not.toContain('Nobody looked')
  const address = await deliverAndPress(first.context, worker, {
    ...{ origin: push.world.url, pushes: () => push.web.pushes, title: 'While you were away' },
  })
  expect(address).toContain(`${push.world.url}/#/all/app.example.com/`)
  const opened = await first.context.newPage()
  await opened.goto(address)
  await opened.getByRole('heading', { name: 'While you were away' }).waitFor()

  // The second device has the same subscription and the same read marks.
  const other = await second.context.newPage()
  await other.goto(link)
  await row(other, 'While you were away').waitFor()
  expect(await other.evaluate(() => location.hash)).not.toContain('key')
  await eventually(async () => expect(await other.title()).not.toContain('('))
  await belfryNotify('For both', 'of your devices')
  await row(other, 'For both').waitFor()
  await eventually(async () => expect(await other.title()).toContain('(1)'))
  await openList(opened)
  await row(opened, 'For both').click()
  await eventually(async () => expect(await other.title()).not.toContain('('))
  await eventually(async () => expect(await row(other, 'For both').locator('.row-dot').count()).toBe(0))

  // What happened so far, no page complained of; without the server they do.
  first.expectClean()

  // Without the server what is here can be read, and marked; it is told when the server is back.
  await belfryNotify('Read offline', 'and marked later')
  await row(opened, 'Read offline').waitFor()
  await inbox.cut(first.context, true)
  await opened.getByText('Not connected').first().waitFor()
  await opened.reload()
  await row(opened, 'Read offline').click()
  await opened.getByRole('heading', { name: 'Read offline' }).waitFor()
  await eventually(async () => expect(await opened.title()).not.toContain('('))
  await eventually(async () => expect(await other.title()).toContain('(1)'))
  await inbox.cut(first.context, false)
  await opened.getByText('Connected', { exact: true }).waitFor()
  await eventually(async () => expect(await other.title()).not.toContain('('))

  // The end, on both devices.
  await opened.getByRole('link', { name: 'Discover apps' }).first().click()
  await opened.getByRole('button', { name: /^Change the subscription/ }).click()
  await opened.getByRole('button', { name: 'Unsubscribe' }).click()
  await opened.getByText('Choose your first app').waitFor()
  await other.getByText('Choose your first app').waitFor()
  second.expectClean()
}, 60_000)

it('of two windows of a browser the last one is the inbox; what is forgotten is gone for both', async () => {
  const device = await inbox.device()
  const [one, two] = [await device.context.newPage(), await device.context.newPage()]
  await enterWithDemoKey(one)
  await subscribe(one)
  await two.goto('/')
  await one.getByText('The inbox is open in another window').waitFor()
  await expectAccessible(one)
  await inbox.belfryNotify('To the last window', 'of one browser')
  await row(two, 'To the last window').waitFor()
  await one.bringToFront()
  await one.getByRole('button', { name: 'Use it here' }).click()
  await two.getByText('The inbox is open in another window').waitFor()
  await openList(one)
  await row(one, 'To the last window').waitFor()
  await one.getByRole('link', { name: 'Settings' }).first().click()
  await one.getByRole('button', { name: 'Forget everything here' }).click()
  await one.getByRole('dialog').getByRole('button', { name: 'Forget everything here' }).click()
  await one.getByRole('button', { name: 'Try it with a demo key' }).waitFor()
  await two.bringToFront()
  await two.getByRole('button', { name: 'Use it here' }).click()
  await two.getByRole('button', { name: 'Try it with a demo key' }).waitFor()
  device.expectClean()
})
