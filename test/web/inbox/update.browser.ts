/** A new version of the inbox comes while it is open: it is offered, used when the reader wants it, and the old one is gone. */
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { type InboxWorld, startInboxWorld } from './world.ts'

const owned = createReleaseStack()
let inbox: InboxWorld
beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

/** The server as it is after an update: its worker names another version. Resolves to the address, and what brings the update. */
const startUpdated = async () => {
  let isUpdated = false
  const server = createServer(async ({ url = '/' }, response) => {
    const answer = await fetch(inbox.push.world.url + url)
    const { status, headers, body } = answer
    const kept = ['content-type', 'content-security-policy'].map((name) => [name, headers.get(name) ?? ''])
    response.writeHead(status, Object.fromEntries(kept))
    if (url === '/worker.js' && isUpdated) {
      const script = await answer.text()
      response.end(script.replace(/(version:[`"'])/, '$1new-'))
    } else if (body) Readable.from(body).pipe(response)
    else response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`,
    update: () => {
      isUpdated = true
    },
  }
}

it('is offered, and used when the reader wants it', async () => {
  const { url, update } = await startUpdated()
  const { context } = await inbox.device()
  const page = await context.newPage()
  const caches = () => page.evaluate(() => globalThis.caches.keys())
  await page.goto(url)
  await page.getByRole('button', { name: 'Try it with a demo key' }).click()
  await eventually(async () =>
    expect(await page.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true),
  )
  const before = await caches()
  update()
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update())
  await page.getByText('A new version of the inbox is ready.').waitFor()
  await page.getByRole('button', { name: 'Use it' }).click()
  await page.getByText('A new version of the inbox is ready.').waitFor({ state: 'detached' })
  await page.getByText('Choose your first app').waitFor()
  await eventually(async () => {
    const now = await caches()
    expect(now).toHaveLength(1)
    expect(now).not.toEqual(before)
  })
})
