/** Who was sent a link to an app finds it, also where the server does not list it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { eventually } from '../../support/eventually.ts'
import { type InboxWorld, startInboxWorld } from './world.ts'

const INVITED = 'moved.example.com'

const owned = createReleaseStack()
let inbox: InboxWorld
beforeAll(async () => {
  inbox = owned.use(await startInboxWorld())
  await inbox.push.world.addApp(INVITED, { types: [{ name: 'News' }] })
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it('a link leads through the first visit to the app, which is subscribed to by hand', async () => {
  const device = await inbox.device()
  const page = await device.context.newPage()
  await page.goto(`/#/discover/${INVITED}`)
  await page.getByRole('button', { name: 'Try it with a demo key' }).click()
  await eventually(async () => expect(await page.getByRole('searchbox').inputValue()).toBe(INVITED))
  await page.getByRole('button', { name: INVITED }).click()
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click()
  await page.getByRole('button', { name: `Change the subscription to ${INVITED}` }).waitFor()
  device.expectClean()
}, 60_000)
