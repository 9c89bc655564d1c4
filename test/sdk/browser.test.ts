import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type BrowserBundle, bundleForBrowser } from '../support/browser-bundle.ts'
import { startWorld } from '../support/world.ts'
import { STORY_PAGE } from './story.ts'

/**
 * Entry, kB minified, kB as it travels. What usually breaks it: `import { z } from 'zod'` keeps all of zod with its fifty
 * languages, `import * as z from 'zod'` what is used. Wallet and dapp have `#schema` instead, and bounds of their own in `scripts/check-packages.mjs`.
 */
const entries: [string, number, number][] = [
  ['belfry/wallet', 122, 46],
  ['belfry/dapp', 42, 17],
  ['belfry/answers', 200, 68],
  ['belfry/contacts', 200, 70],
  ['belfry/sessions', 240, 80],
  ['./dist/relay/client/index.js', 180, 60],
  ['belfry/sync', 262, 93],
]

const packageJson = JSON.parse(readFileSync('package.json', 'utf8'))
const portable = [
  '@noble/curves',
  '@noble/ed25519',
  '@noble/hashes',
  '@scure/base',
  '@scure/bip32',
  '@scure/bip39',
  '@stablelib/chacha20poly1305',
  '@stablelib/x25519',
  'socket.io-client',
  'zod',
]
const notForBrowsers = Object.keys({
  ...packageJson.dependencies,
  ...packageJson.optionalDependencies,
}).filter((name) => !portable.includes(name))

const packageOf = (file: string) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]

describe.each(entries)('%s in a browser', (entry, limit, limitZipped) => {
  let bundle: BrowserBundle
  beforeAll(async () => {
    bundle = await bundleForBrowser(`export * from '${entry}'`)
  })

  it('reaches nothing that only Node has', () => {
    const { files, external, text } = bundle
    expect(external).toEqual([])
    const packages = new Set(files.map(packageOf).filter((name) => name !== undefined))
    expect(notForBrowsers).toEqual(expect.arrayContaining(['ws', 'hono', 'pino', 'lmdb', 'sodium-native']))
    for (const name of notForBrowsers) expect(packages).not.toContain(name)
    expect(text).not.toMatch(/["'`]node:/)

    const own = files.filter((file) => packageOf(file) === undefined)
    expect(own).toContain('dist/platform/runtime/bytes-portable.js')
    expect(own.filter((file) => /-node\.js$|^dist\/(server|storage|cli)\//.test(file))).toEqual([])
    expect(own.filter((file) => !file.startsWith('dist/'))).toEqual([])
  })

  it(`is smaller than ${limit} kB, ${limitZipped} kB compressed`, async ({ annotate }) => {
    const { text } = bundle
    const size = { minified: text.length / 1000, compressed: gzipSync(text).length / 1000 }
    await annotate(`${size.minified.toFixed()} kB minified, ${size.compressed.toFixed()} kB compressed`)
    expect(size.minified).toBeLessThan(limit)
    expect(size.compressed).toBeLessThan(limitZipped)
  })
})

// A context of its own has the language and what it is given: no `process`, `require` or `Buffer`. `Symbol` is one without
// the symbols that younger engines have and do not let go of.
const oldBrowser = () => {
  const context = createContext({
    ...{ crypto, fetch, WebSocket, TextEncoder, TextDecoder, URL, URLSearchParams },
    ...{ AbortController, MessageChannel, setTimeout, clearTimeout },
  })
  runInContext(
    `{
      const young = Symbol
      globalThis.Symbol = (name) => young(name)
      for (const name of Object.getOwnPropertyNames(young)) {
        if (!['dispose', 'asyncDispose', 'length', 'name', 'prototype'].includes(name)) Symbol[name] = young[name]
      }
    }`,
    context,
  )
  return context
}

it('lives a whole story without Node’s globals and without Symbol.dispose', async () => {
  await using world = await startWorld()
  const { projectId, secret, types } = await world.addApp('app.example.com', { types: [{ name: 'News' }] })
  const { text } = await bundleForBrowser(STORY_PAGE)
  const context = oldBrowser()
  expect(runInContext('[typeof process, typeof Buffer, typeof Symbol.dispose].join()', context)).toBe(
    'undefined,undefined,undefined',
  )
  runInContext(text, context)
  const scene = { url: world.url, projectId, secret, domain: 'app.example.com', type: types[0]?.id }
  runInContext(`globalThis.story = page.open(${JSON.stringify(scene)})`, context)
  expect(await runInContext('story.live()', context)).toMatchObject({
    first: 'First, body',
    second: 'Second, body',
  })
  expect(await runInContext('story.leave()', context)).toMatchObject({ left: 0, notFound: 1 })
})

it('has a wallet session at both ends in such a browser', async () => {
  await using world = await startWorld({ rooms: ['sessions', 'relay'] })
  const { text } = await bundleForBrowser(`
    import { AUTH_PK, authPk, dappSession, signingKeyFrom, verifyAuthPk, walletSession } from 'belfry/sessions'
    const question = { origin: 'My App', b64Challenge: 'dGVzdA==' }
    const key = signingKeyFrom(new Uint8Array(32).fill(7))
    export const call = async (relay, kind) => {
      const dapp = await dappSession({ relay, kind })
      const { done } = walletSession({ link: dapp.link, approve: async () => true, methods: { [AUTH_PK]: authPk(key) } })
      const { pk } = verifyAuthPk(await dapp.request(AUTH_PK, question), { ...question, now: Date.now() })
      return JSON.stringify([pk, await done])
    }`)
  const context = oldBrowser()
  runInContext(text, context)
  for (const kind of ['carmentis-relay', 'belfry-relay']) {
    expect(await runInContext(`page.call('${world.url}', '${kind}')`, context)).toMatch(
      /^\["SIG:ED25519:PK\{[0-9a-f]{64}\}",\{"method":"\/v1\/auth\/pk"\}\]$/,
    )
  }
})
