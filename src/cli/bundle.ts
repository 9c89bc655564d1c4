/**
 * The program as the build leaves it: one file, so that a start does not look for two thousand, and beside it V8's code cache
 * of it after a start, which saves a third of the next start. V8 takes a code cache only from the same V8 under the same flags,
 * which it checks itself; otherwise it compiles the file as if there were none.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, version } from 'node:process'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import type { run } from './program.ts'

const BUNDLE = 'program.cjs'
const CODE_CACHE = `program-${version}-${arch}.cache`

interface Bundle {
  /** V8 took the code cache that lay beside it. */
  hasCodeCache: boolean
  start(): { run: typeof run }
  /** Leaves what V8 has compiled so far to later starts. */
  writeCodeCache(): void
}

/**
 * Undefined when there is none, or an older one than the bundle, which was changed by hand then: V8 compares nothing but the
 * length of the source.
 */
const readCodeCache = (bundle: URL, cache: URL): Buffer | undefined => {
  try {
    return statSync(cache).mtimeMs >= statSync(bundle).mtimeMs ? readFileSync(cache) : undefined
  } catch {
    return undefined
  }
}

/** Undefined where no bundle lies in the folder. */
export const openBundle = (folder: URL): Bundle | undefined => {
  const bundle = new URL(BUNDLE, folder)
  const filename = fileURLToPath(bundle)
  let source: string
  try {
    // Its text is ASCII.
    source = readFileSync(bundle, 'latin1')
  } catch {
    return undefined
  }
  const cache = new URL(CODE_CACHE, folder)
  const cachedData = readCodeCache(bundle, cache)
  const script = new Script(`(function(exports,require,module,__filename){${source}\n})`, {
    filename,
    ...(cachedData && { cachedData }),
  })
  return {
    hasCodeCache: cachedData !== undefined && script.cachedDataRejected === false,
    start() {
      // The build makes the bundle of ./program.ts.
      const module = { exports: {} as { run: typeof run } }
      script.runInThisContext()(module.exports, createRequire(bundle), module, filename)
      return module.exports
    },
    writeCodeCache() {
      writeFileSync(cache, script.createCachedData())
    },
  }
}
