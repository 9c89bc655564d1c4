import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { type Chromium, findChromium, type Page, startChromium } from '../support/chromium.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { type Scene, STORY_PAGE } from './story.ts'

const DOMAIN = 'app.example.com'
/** A browser's first start on a busy machine. */
const SLOW = 60_000

const owned = createReleaseStack()
let chromium: Chromium
let page: Page
let scene: Scene
let restartServer: () => Promise<void>

/** A page with the bundle, from an origin that is not the server's. */
const servePage = async (script: string): Promise<string> => {
  const server = createServer(({ url }, response) => {
    const [type, body] =
      url === '/page.js'
        ? ['text/javascript', script]
        : ['text/html', '<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>']
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : undefined}/`
}

const addApp = async (dataDir: string) => {
  const words = ['app', 'add', DOMAIN, '--type', 'News', '--json', '--data', dataDir]
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...words])
  return JSON.parse(stdout)
}

beforeAll(async () => {
  const path = await findChromium()

  const dataDir = mkdtempSync(join(tmpdir(), 'belfry-browser-'))
  owned.defer(() => rmSync(dataDir, { recursive: true, force: true }))
  const port = await freePort()
  let server = await startServerProcess(dataDir, { port })
  owned.defer(async () => {
    await server.end('SIGTERM')
  })
  restartServer = async () => {
    await server.end('SIGKILL')
    server = await startServerProcess(dataDir, { port })
  }

  const { projectId, secret, types } = await addApp(dataDir)
  scene = { url: server.url, projectId, secret, domain: DOMAIN, type: types[0].id }

  const [bundle, started] = await Promise.all([bundleForBrowser(STORY_PAGE), startChromium(path)])
  chromium = owned.use(started)
  page = await chromium.open(await servePage(bundle.text))
}, INSTALL_TIMEOUT + SLOW)

afterAll(() => owned[Symbol.asyncDispose](), SLOW)

describe('a page in Chromium, from another origin than the server', () => {
  it(
    'registers, watches, subscribes, receives, marks as read and reads the history',
    async ({ annotate }) => {
      await annotate(chromium.version)
      await page.evaluate(`globalThis.story = page.open(${JSON.stringify(scene)}); true`)
      expect(await page.evaluate('story.live()')).toEqual({
        account: expect.stringMatching(/^eip155:1:0x/),
        before: 0,
        scope: [scene.type],
        first: 'First, body',
        second: 'Second, body',
        history: [
          { title: 'Second', isRead: true },
          { title: 'First', isRead: false },
        ],
      })
    },
    SLOW,
  )

  it(
    'is there again when the server was killed and came back',
    async () => {
      await restartServer()
      expect(await page.evaluate(`story.send('After the break')`)).toBe('After the break, body')
    },
    SLOW,
  )

  it(
    'is told what the server refuses',
    async () => {
      const refused = `page.open({ ...${JSON.stringify(scene)}, secret: 'wrong' }).send('x').catch((e) => e.code)`
      expect(await page.evaluate(refused)).toBe('unauthenticated')
    },
    SLOW,
  )

  it(
    'deletes the subscription, takes its key back and leaves, with nothing uncaught',
    async () => {
      expect(await page.evaluate('story.leave()')).toEqual({
        left: 0,
        notFound: 1,
        received: ['First', 'Second', 'After the break'],
      })
      // The browser itself writes of connections that break; the page must not.
      expect(page.console()).toEqual([])
    },
    SLOW,
  )
})
