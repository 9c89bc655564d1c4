/**
 * A click on a notification, from the publish of the app to the receipt that says that it was read. Chromium without a window shows
 * nothing that could be pressed, and its DevTools protocol has no press: the worker is given the event that a press would give
 * it. Only a press may open or focus windows, so these two calls are noted, and the test opens the page.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import {
  type Chromium,
  findChromium,
  type Page,
  type ServiceWorker,
  startChromium,
} from '../support/chromium.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { servePages } from '../support/pages.ts'
import { type PushWorld, startPushWorld } from '../support/push/push-world.ts'
import { WALLET_PAGE } from './wallet-page.ts'

const SLOW = 60_000
const DOMAIN = 'app.example.com'
const NOTE_WINDOWS = `
  self.windows = []
  self.shows = 0
  const show = ServiceWorkerRegistration.prototype.showNotification
  ServiceWorkerRegistration.prototype.showNotification = async function (...given) {
    await show.apply(this, given)
    self.shows += 1
  }
  self.Clients.prototype.openWindow = async (url) => void self.windows.push('opened ' + url)
  self.WindowClient.prototype.focus = async function () { self.windows.push('focused ' + this.url) }
  true`

describe('a click on a notification', () => {
  const owned = createReleaseStack()
  let chromium: Chromium
  let push: PushWorld
  let page: Page
  let worker: ServiceWorker
  let origin: string
  let account: string
  let app: Awaited<ReturnType<PushWorld['world']['addApp']>>

  beforeAll(async () => {
    const path = await findChromium()
    const start = "import { startPushWorker } from 'belfry/push-worker'; startPushWorker(self)"
    const [script, wallet] = await Promise.all([bundleForBrowser(start), bundleForBrowser(WALLET_PAGE)])
    origin = await servePages(owned, { '/worker.js': script.text, '/page.js': wallet.text })
    push = owned.use(await startPushWorld())
    app = await push.world.addApp(DOMAIN, { types: [{ name: 'News' }] })
    chromium = owned.use(await startChromium(path))
    page = await chromium.open(`${origin}/`)
    await page.evaluate(
      "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => true)",
    )
    worker = await chromium.workerOf(page, origin)
    await worker.evaluate(NOTE_WINDOWS)
    const words = [push.world.url, DOMAIN, push.web.subscribe()].map((one) => JSON.stringify(one))
    account = String(await page.evaluate(`page.enrol(${words.join(', ')})`))
    await page.evaluate('page.close().then(() => true)')
  }, SLOW + INSTALL_TIMEOUT)
  afterAll(() => owned[Symbol.asyncDispose](), SLOW)

  /** The app publishes; resolves to what the push service carried, as the browser decrypts it. */
  const publish = async (id: string, extras: object = {}): Promise<string> => {
    const { secret, projectId, types } = app
    const url = `${origin}/orders/${id}`
    const notification = { type: types[0]?.id, title: `Order ${id}`, body: 'It is here', url, ...extras }
    const before = push.web.pushes.length
    const answer = await push.world.http('POST', `/v1/${projectId}/notify`, {
      token: secret ?? push.world.project.secret,
      body: [{ notification_id: id, notification, accounts: [account] }],
    })
    expect(answer).toMatchObject({ status: 200 })
    await eventually(() => expect(push.web.pushes).toHaveLength(before + 1))
    return push.web.pushes.at(-1)?.text ?? ''
  }
  /** Has the worker get the push, and the notification clicked. Without a window Chromium may take one back as soon as it is shown. */
  const click = async (id: string, carried: string, action = '') => {
    const dispatch = `(async () => {
      const all = await self.registration.getNotifications()
      const notification = all.find(({ title }) => title === 'Order ${id}')
      const init = { notification, action: '${action}' }
      if (notification) self.dispatchEvent(new NotificationEvent('notificationclick', init))
      return notification !== undefined
    })()`
    const shows = async () => Number(await worker.evaluate('self.shows'))
    await eventually(async () => {
      const before = await shows()
      await worker.push(carried)
      // One push after the other: what came behind the click would show it again.
      await eventually(async () => expect(await shows()).toBeGreaterThan(before))
      expect(await worker.evaluate(dispatch)).toBe(true)
    })
  }
  const receipt = async (id: string) => {
    const { secret, projectId } = app
    const path = `/v1/${projectId}/notifications/${id}/receipts`
    const { body } = await push.world.http('GET', path, { token: secret ?? push.world.project.secret })
    return body
  }
  const windows = () => worker.evaluate('self.windows.splice(0)')

  it(
    'opens its page, which tells the server that it was read',
    async () => {
      const carried = await publish('one')
      const pushed = { receipts: [{ state: 'published', push: { state: 'pushed' } }] }
      await eventually(async () => expect(await receipt('one')).toMatchObject(pushed))
      await click('one', carried)
      let seen: unknown[] = []
      await eventually(async () => {
        seen = [...seen, ...[await windows()].flat()]
        expect(seen).toEqual([`opened ${origin}/orders/one`])
      })
      const opened = await chromium.open(`${origin}/orders/one`)
      await eventually(async () =>
        expect(await receipt('one')).toMatchObject({ receipts: [{ state: 'read' }] }),
      )
      await opened.evaluate('page.close().then(() => true)')
      await eventually(async () =>
        expect(await worker.evaluate('self.registration.getNotifications().then((all) => all.length)')).toBe(
          0,
        ),
      )
    },
    SLOW,
  )

  it(
    'on an action leaves the answer to the page, which signs it, and follows a link',
    async () => {
      const actions = [
        { id: 'keep', title: 'Keep it', answer: true },
        { id: 'track', title: 'Track it', url: `${origin}/track` },
      ]
      const carried = await publish('three', { actions })
      await click('three', carried, 'keep')
      let seen: unknown[] = []
      await eventually(async () => {
        seen = [...seen, ...[await windows()].flat()]
        expect(seen).toEqual([`opened ${origin}/orders/three`])
      })
      const opened = await chromium.open(`${origin}/orders/three`)
      const answered = { receipts: [{ state: 'read', answer: { action: 'keep' } }] }
      await eventually(async () => expect(await receipt('three')).toMatchObject(answered))
      await opened.evaluate('page.close().then(() => true)')

      await click('four', await publish('four', { title: 'Order four', actions }), 'track')
      await eventually(async () => expect([await windows()].flat()).toEqual([`opened ${origin}/track`]))
    },
    SLOW,
  )

  it(
    'focuses the page where it is open, which tells the server without being loaded again',
    async () => {
      const carried = await publish('two')
      // Opened after the push, so that it was pushed; what the page fetches now it has not read.
      const opened = await chromium.open(`${origin}/orders/two`)
      await click('two', carried)
      let seen: unknown[] = []
      await eventually(async () => {
        seen = [...seen, ...[await windows()].flat()]
        expect(seen).toEqual([`focused ${origin}/orders/two`])
      })
      await eventually(async () =>
        expect(await receipt('two')).toMatchObject({ receipts: [{ state: 'read' }] }),
      )
      await opened.evaluate('page.close().then(() => true)')
    },
    SLOW,
  )
})
