/**
 * Pages whose bundler leads published clients to the server: Vite, its development server, and webpack. Their tokens are made
 * out to the server itself, so that one with a public URL needs no aliases.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build, createServer, type InlineConfig } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import webpack from 'webpack'
import { belfryCompat } from '../../packages/compat/src/vite.ts'
import { belfryCompat as forWebpack } from '../../packages/compat/src/webpack.ts'
import { FIXED_HOSTS } from '../../src/platform/net/fixed-hosts.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { type Hosts, startHosts } from './hosts.ts'
import { call, DOMAIN, type Server, startServer, useAll, web3inbox } from './notify-pages.ts'

const PUBLIC_HOST = 'belfry.example.com'
const PUBLIC_URL = `https://${PUBLIC_HOST}`
/** The application's own code, which is left as it is. */
const OWN = 'https://notify.walletconnect.com/own'
const ENTRY = web3inbox(
  '@web3inbox/core',
  `import { Buffer } from 'buffer/'
globalThis.Buffer = Buffer
export const own = () => '${OWN}'
`,
)
const HOST = new RegExp(`(?:https|wss)://(?:${FIXED_HOSTS.join('|').replaceAll('.', '\\.')})[^"'\`]*`, 'g')
const NODE_ENV = { 'process.env.NODE_ENV': '"production"' }

const owned = createReleaseStack()
afterAll(() => owned[Symbol.asyncDispose]())

/** An application in a folder of this checkout, so that it finds what is installed. */
const newApplication = async (): Promise<{ root: string; entry: string }> => {
  await mkdir('.build', { recursive: true })
  const root = resolve(await mkdtemp(join('.build', 'compat-')))
  owned.defer(() => rm(root, { recursive: true, force: true }))
  const entry = join(root, 'entry.js')
  await writeFile(entry, ENTRY)
  return { root, entry }
}

const withVite = async (): Promise<string> => {
  const { root, entry } = await newApplication()
  await build({
    ...({ root, configFile: false, logLevel: 'silent', define: NODE_ENV } satisfies InlineConfig),
    plugins: [belfryCompat({ url: PUBLIC_URL })],
    build: { lib: { entry, formats: ['iife'], name: 'page', fileName: () => 'page.js' } },
  })
  return readFile(join(root, 'dist/page.js'), 'utf8')
}

const withWebpack = async (): Promise<string> => {
  const { root, entry } = await newApplication()
  const compiler = webpack({
    // Not made smaller: that would be most of the time.
    ...{ mode: 'production', optimization: { minimize: false } },
    ...{ context: root, entry, devtool: false, performance: { hints: false } },
    output: { path: join(root, 'dist'), filename: 'page.js', library: { name: 'page', type: 'var' } },
    plugins: [forWebpack({ url: PUBLIC_URL }), new webpack.optimize.LimitChunkCountPlugin({ maxChunks: 1 })],
  })
  await new Promise<void>((done, fail) => {
    compiler.run((error, stats) => {
      if (error || stats?.hasErrors()) fail(error ?? new Error(stats?.toString({ all: false, errors: true })))
      else compiler.close(() => done())
    })
  })
  return readFile(join(root, 'dist/page.js'), 'utf8')
}

describe('a server with a public URL and no aliases', () => {
  let server: Server
  beforeAll(async () => {
    server = owned.use(await startServer({ publicUrl: PUBLIC_URL, keyServers: [] }))
  })

  it.each([
    ['Vite', withVite],
    ['webpack', withWebpack],
  ])(
    'serves @web3inbox/core 1.4.0 in a page that %s has built',
    async (_, bundle) => {
      const script = await bundle()
      expect(script.match(HOST)).toEqual([OWN])
      const options = { url: server.world.url, leads: [PUBLIC_HOST], scripts: { '/page.js': script } }
      await using hosts = await startHosts(options)
      const page = await hosts.open(DOMAIN)
      expect(await call(page, 'own')).toBe(OWN)
      await useAll(page, server)
      expect(hosts.asked).toContain(PUBLIC_HOST)
      expect(hosts.fixedAsked()).toEqual([])
    },
    INSTALL_TIMEOUT + 120_000,
  )
})

describe("Vite's development server", () => {
  let server: Server
  let hosts: Hosts
  beforeAll(async () => {
    server = owned.use(await startServer())
    hosts = owned.use(await startHosts({ url: server.world.url, scripts: {} }))
  }, INSTALL_TIMEOUT + 60_000)

  it('leads them there too, in what it has bundled before', async () => {
    const { root } = await newApplication()
    const html = `<!doctype html><title>Dapp</title><script type="module">
      import * as page from './entry.js'
      globalThis.page = page
    </script>`
    await writeFile(join(root, 'index.html'), html)
    const vite = await createServer({
      ...({
        root,
        configFile: false,
        logLevel: 'silent',
        cacheDir: join(root, 'node_modules/.vite'),
      } satisfies InlineConfig),
      plugins: [belfryCompat({ url: server.world.url })],
      server: { host: '127.0.0.1', port: 0, hmr: false },
    })
    owned.defer(() => vite.close())
    await vite.listen()
    const context = await hosts.browser.newContext()
    const page = await context.newPage()
    await page.goto(String(vite.resolvedUrls?.local[0]))
    await page.waitForFunction('globalThis.page')
    await useAll(page, server)
    expect(hosts.fixedAsked()).toEqual([])
  }, 120_000)
})
