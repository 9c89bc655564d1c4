/** How long a person waits for the inbox. It is a time, so nothing may compute beside it. */
import { expect, it } from 'vitest'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { startInboxWorld } from './world.ts'

it('the first visit can be used within a second of asking for it', { timeout: INSTALL_TIMEOUT }, async () => {
  await using inbox = await startInboxWorld()
  // The server is warm, the browser has nothing of it.
  await (await inbox.device()).context.newPage().then((warm) => warm.goto('/'))
  const page = await (await inbox.device()).context.newPage()
  await page.goto('/')
  await page.getByRole('button', { name: 'Try it with a demo key' }).waitFor()
  const took = await page.evaluate(() => performance.now())
  console.log(`The inbox could be used after ${Math.round(took)} ms`)
  expect(took).toBeLessThan(1_000)
})
