/** How long a person waits for the inbox. It is a time, so nothing may compute beside it. */
import { expect, it } from 'vitest'
import { INSTALL_TIMEOUT } from '../../support/debian.ts'
import { startInboxWorld } from './world.ts'

it('the first visit can be used within a second of asking for it', { timeout: INSTALL_TIMEOUT }, async () => {
  await using inbox = await startInboxWorld()
  // The server is warm, the browser has nothing of it.
  await (await inbox.device()).context.newPage().then((warm) => warm.goto('/'))
  const tookMs: number[] = []
  // The fastest of five: a machine may pause for a moment, a slow page is slow each time.
  for (let nth = 0; nth < 5; nth++) {
    const { context } = await inbox.device()
    const page = await context.newPage()
    await page.goto('/')
    await page.getByRole('button', { name: 'Try it with a demo key' }).waitFor()
    tookMs.push(await page.evaluate(() => performance.now()))
    await context.close()
  }
  console.log(`The inbox could be used after ${tookMs.map(Math.round).join(', ')} ms`)
  expect(Math.min(...tookMs)).toBeLessThan(1_000)
})
