/**
 * Builds the pages for people into `dist/web`: the inbox and the console. Everything that they load is a file of this
 * package. `scripts/build-pages.mjs` runs it, and builds the inbox's service worker with the same settings.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  root: at('.'),
  publicDir: at('public'),
  resolve: {
    alias: {
      // Without code made from text, which the policy refuses.
      'cbor-x': 'cbor-x/index-no-eval',
      '#bytes': at('../platform/runtime/bytes-portable.ts'),
      '#crypto': at('../platform/runtime/crypto-portable.ts'),
      '#schema': at('../platform/schema/portable.ts'),
      '#secp256k1': at('../platform/runtime/secp256k1-portable.ts'),
      '#socket': at('../platform/runtime/socket-browser.ts'),
    },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    // The policy of the pages allows no inline scripts, and no data in place of a file.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    manifest: 'manifest.json',
    rolldownOptions: {
      input: {
        inbox: at('inbox/index.html'),
        console: at('console/index.html'),
      },
      output: {
        // Schemas are read without code made from text: the policy would refuse it, and report it.
        intro: 'globalThis.__zod_globalConfig ??= { jitless: true };',
      },
    },
  },
})
