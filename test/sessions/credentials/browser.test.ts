import { createContext, runInContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, it } from 'vitest'
import { type BrowserBundle, bundleForBrowser } from '../../support/browser-bundle.ts'
import vectors from '../../vectors/edges.json' with { type: 'json' }
import { held, ISSUER, issue, threeClaims } from '../issuer.ts'

let bundle: BrowserBundle
beforeAll(async () => {
  bundle = await bundleForBrowser(`export * from 'belfry/credentials'`)
})

it('reaches nothing that only Node has', () => {
  expect(bundle.external).toEqual([])
  expect(bundle.text).not.toMatch(/["'`]node:/)
  const own = bundle.files.filter((file) => file.startsWith('dist/'))
  expect(own).toContain('dist/platform/runtime/crypto-portable.js')
  expect(own.filter((file) => /-node\.js$|operator|^dist\/(server|storage|cli)\//.test(file))).toEqual([])
  expect(bundle.files.join()).not.toMatch(/cbor-extract|node-index|\/hono\//)
})

// Half of it is zod with all its languages, which the SD-JWT library imports.
it('is smaller than 750 kB, 190 kB compressed', async ({ annotate }) => {
  const size = { minified: bundle.text.length / 1000, compressed: gzipSync(bundle.text).length / 1000 }
  await annotate(`${size.minified.toFixed()} kB minified, ${size.compressed.toFixed()} kB compressed`)
  expect(size.minified).toBeLessThan(750)
  expect(size.compressed).toBeLessThan(190)
})

/** A context that has the language, and of the platform what is given: no `process`, `require` or `Buffer`. */
const inBrowser = async (given: object, script: string): Promise<unknown> => {
  const platform = { TextEncoder, TextDecoder, URL, crypto: globalThis.crypto, atob, btoa, setTimeout }
  const { structuredClone, AbortSignal, fetch } = globalThis
  const context = createContext({ ...platform, structuredClone, AbortSignal, fetch, ...given })
  runInContext(bundle.text, context)
  return JSON.parse(
    await runInContext(`(async () => JSON.stringify(await (async () => {${script}})()))()`, context),
  )
}

it('presents a credential there, and verifies it', async () => {
  const { sdJwt, issuer, holder } = await issue(threeClaims)
  const query = {
    credentials: [{ id: 'q', format: 'dc+sd-jwt', claims: [{ path: ['given_name'] }] }],
  }
  const { label, id } = held(sdJwt, holder)
  const given = { sdJwt, id, label, jwk: holder.privateJwk, issuerJwk: issuer.publicJwk, query }
  const claims = await inBrowser(
    given,
    `
    const method = page.credentialPresentation({
      credentials: async () => [{ id, label, sdJwt, holderKey: page.holderKeyOf(jwk) }],
    })
    const params = method.schema.parse({ audience: 'a', nonce: 'n', query })
    const { vp_token } = await method.handler(params, { now: Date.now, approve: async () => undefined })
    const { claims } = await page.verifyPresentation({
      vpToken: vp_token, query, audience: 'a', nonce: 'n', now: Date.now(), issuerKeys: () => [issuerJwk],
    })
    return claims`,
  )
  expect(claims).toMatchObject({ iss: ISSUER, given_name: 'John' })
  expect(claims).not.toHaveProperty('family_name')
})

it('reads and writes microblocks there, to the byte', async () => {
  const { b64SerializedMicroblock } = vectors.carmentis_wr_auth_pk_and_microblock
  const again = await inBrowser(
    { b64SerializedMicroblock },
    `
    const bytes = Uint8Array.from(atob(b64SerializedMicroblock), (char) => char.charCodeAt(0))
    const microblock = page.readMicroblock(bytes)
    const hash = [...page.bodyHashOf(microblock.sections)]
    return [btoa(String.fromCharCode(...page.writeMicroblock(microblock))), hash.join() === [...microblock.header.bodyHash].join()]`,
  )
  expect(again).toEqual([b64SerializedMicroblock, true])
})
