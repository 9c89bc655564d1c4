import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** What a bundler for browsers takes for the entries of package.json `imports`. */
const IN_BROWSERS: Record<string, string> = {
  '#bytes': 'src/platform/runtime/bytes-portable.ts',
  '#crypto': 'src/platform/runtime/crypto-portable.ts',
  '#schema': 'src/platform/schema/portable.ts',
  '#secp256k1': 'src/platform/runtime/secp256k1-portable.ts',
  '#socket': 'src/platform/runtime/socket-browser.ts',
}

/** Values only: types are gone before a browser sees them. */
const IMPORT = /^(?:import|export)\s+(?!type\b)(?:[^'"]*?\bfrom\s+)?'([^']+)'/gm

/** The packages that a file needs, with everything that it imports of ours. */
const packagesOf = (file: string, seen = new Set<string>()): Set<string> => {
  const packages = new Set<string>()
  if (seen.has(file)) return packages
  seen.add(file)
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    const own = name.startsWith('.') ? join(dirname(file), name) : IN_BROWSERS[name]
    if (own === undefined) packages.add(name)
    else for (const one of packagesOf(resolve(own), seen)) packages.add(one)
  }
  return packages
}

test.each(['wallet', 'dapp', 'mq', 'sessions'])(
  'belfry/%s needs nothing that browsers do not have',
  (entry) => {
    const files = new Set<string>()
    const packages = packagesOf(resolve(`src/sdk/${entry}.ts`), files)
    expect(files.size).toBeGreaterThan(5)
    for (const name of packages) {
      expect(name).toMatch(
        /^(?:@noble\/(?:(?:curves|hashes)\/.*|ed25519)|@scure\/base|@stablelib\/(?:chacha20poly1305|x25519)|socket\.io-client|zod)$/,
      )
    }
  },
)
