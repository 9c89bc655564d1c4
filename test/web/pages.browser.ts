import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { freePort } from '../support/process.ts'
import { startWorld, type World } from '../support/world.ts'
import { expectAccessible, openContext, startBrowser, type Watched } from './browser.ts'

const owned = createReleaseStack()
let world: World
let watched: Watched

beforeAll(async () => {
  const port = await freePort()
  world = owned.use(await startWorld({ config: { port, publicUrl: `http://127.0.0.1:${port}` } }))
  watched = await openContext(owned.use(await startBrowser()), world.url)
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it.for(['/', '/console'])(
  '%s opens without complaint, asks this server only, and axe finds nothing serious',
  async (path) => {
    const page = await watched.context.newPage()
    await page.goto(path)
    await page.locator('main').waitFor()
    expect(await page.title()).toContain('Belfry')
    await expectAccessible(page)
    watched.expectClean()
  },
)
