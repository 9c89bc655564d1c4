import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { toHex } from '../../src/protocol/bytes.ts'
import { sealType0 } from '../../src/protocol/envelope.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, generateSymKey } from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { type Chromium, findChromium, type Page, startChromium } from '../support/chromium.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { servePages } from '../support/pages.ts'
import { type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const SLOW = 60_000
const MAX_WORKER_BYTES = 20 * 1024
const DOMAIN = 'app.example.com'

const owned = createReleaseStack()
const app = generateSigningKey()
const key = generateSymKey()
const topic = topicOf(key)
let chromium: Chromium
let push: PushWorld
let page: Page
let origin: string
let workerScript: string

/** A notification as the notify server sends it. */
const notification = (id: string, title: string, body: string, signer = app, more = {}): string => {
  const iat = Math.floor(Date.now() / 1000)
  const msg = {
    id,
    title,
    body,
    icon: '',
    url: `${origin}/orders/${id}`,
    type: 't',
    sent_at: Date.now(),
    ...more,
  }
  const claims = { iss: signer.did, iat, exp: iat + 3_600, sub: 'did:pkh:x', act: 'notify_message', msg }
  const params = { messageAuth: signJwt(claims, signer) }
  const rpc = { id: 1, jsonrpc: '2.0', method: 'wc_notifyMessage', params }
  return sealType0({ key, plaintext: JSON.stringify(rpc) })
}

describe('the service worker in Chromium', () => {
  beforeAll(async () => {
    const path = await findChromium()
    const worker = await bundleForBrowser(
      "import { startPushWorker } from './src/sdk/push-worker.ts'; startPushWorker(self)",
    )
    workerScript = worker.text
    const script = await bundleForBrowser("export { keepForWorker } from './src/push/worker/database.ts'")
    origin = await servePages(owned, { '/worker.js': workerScript, '/page.js': script.text })
    push = owned.use(await startPushWorld())
    chromium = owned.use(await startChromium(path))
    page = await chromium.open(`${origin}/`)
    await page.evaluate(
      "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => true)",
    )
  }, SLOW + INSTALL_TIMEOUT)
  afterAll(() => owned[Symbol.asyncDispose]())

  /** Without a window Chromium may take a notification back as soon as it is shown, so what is shown is noted. */
  const noteShown = `
    self.shown = []
    const show = ServiceWorkerRegistration.prototype.showNotification
    ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
      await show.call(this, title, options)
      self.shown.push({ title, body: options.body, tag: options.tag })
    }
    true`

  it('has no dependency, and at most 20 KB', async () => {
    const { external } = await bundleForBrowser("export * from './src/sdk/push-worker.ts'")
    expect(external).toEqual([])
    expect(gzipSync(workerScript).length).toBeLessThan(MAX_WORKER_BYTES)
  })

  it(
    'opens what came through a push service, and shows a text that was in clear nowhere else',
    async () => {
      const wallet = push.wallet()
      const relay = push.connect(wallet)
      await relay.subscribe([topic])
      await relay[Symbol.asyncDispose]()
      const known = [{ topic, key: toHex(key), domain: DOMAIN, authenticationKey: app.did }]
      const reached = { url: push.world.url, clientSeed: toHex(wallet.seed) }
      await page.evaluate(`page.keepForWorker(${JSON.stringify(known)}, ${JSON.stringify(reached)})`)
      const subscription = push.web.subscribe()
      await push.device('default', wallet, { target: { webpush: subscription } })
      const worker = await chromium.workerOf(page, origin)
      await worker.evaluate(noteShown)
      const shown = () => worker.evaluate('self.shown')

      await push
        .connect(push.wallet())
        .publish({ topic, message: notification('n1', 'Your order', 'is on its way'), tag: 4002, ttl: 300 })
      const [pushed] = await eventually(() => {
        if (push.web.pushes.length === 0) throw new Error('nothing was pushed')
        return push.web.pushes
      })
      for (const bytes of [pushed?.body.toString('latin1'), pushed?.text])
        expect(bytes).not.toContain('on its way')
      await worker.push(pushed?.text ?? '')
      await eventually(async () =>
        expect(await shown()).toEqual([{ title: 'Your order', body: 'is on its way', tag: 'n1' }]),
      )

      // A message that did not fit: the push names it, and the worker fetches it.
      const large = notification('n2', 'A long one', 'x'.repeat(5_000))
      await push.connect(push.wallet()).publish({ topic, message: large, tag: 4002, ttl: 300 })
      await eventually(() => expect(push.web.pushes).toHaveLength(2))
      expect(push.web.pushes[1]?.text).not.toContain(large.slice(0, 100))
      await worker.push(push.web.pushes[1]?.text ?? '')
      await eventually(async () => expect(await shown()).toMatchObject([{}, { title: 'A long one' }]))

      // Nothing that could be read: something is shown.
      await worker.push('no JSON')
      const fallback = { title: 'You have new notifications', body: 'Open to view', tag: 'belfry' }
      await eventually(async () => expect(await shown()).toMatchObject([{}, {}, fallback]))

      // Not the app's: something is shown, because browsers demand it, and nothing of what it says.
      const forged = notification('n3', 'Forged', 'by somebody', generateSigningKey())
      await worker.push(
        JSON.stringify({ v: 1, messages: [{ topic, id: 'x', tag: 4002, message: forged }], more: 0 }),
      )
      await eventually(async () => expect(await shown()).toMatchObject([{}, {}, fallback, fallback]))
      expect(JSON.stringify(await shown())).not.toContain('Forged')

      // Links that are none hold up nothing.
      const nowhere = {
        url: 'https://[',
        actions: [
          { id: 'a', title: 'A', url: 'https://[' },
          { id: 'b', title: 'B', url: '/b' },
        ],
      }
      const several = [
        notification('n4', 'Nowhere', 'has no page', app, nowhere),
        notification('n5', 'Behind it', 'is shown, too'),
      ]
      const messages = several.map((message, at) => ({ topic, id: String(at), tag: 4002, message }))
      await worker.push(JSON.stringify({ v: 1, messages, more: 0 }))
      await eventually(async () =>
        expect(await shown()).toMatchObject([{}, {}, {}, {}, { title: 'Nowhere' }, { title: 'Behind it' }]),
      )
    },
    SLOW,
  )
})
