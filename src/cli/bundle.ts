/**
 * The program as the build leaves it: one file, so that a start does not look for two thousand, and beside it what V8 had
 * compiled of it after a start, which saves a third of the next start. Only the V8 that wrote that code can use it, which V8
 * checks itself; without it, it compiles as ever.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, version } from 'node:process'
import { fileURLToPath } from 'node:url'
import { constants, Script } from 'node:vm'
import type { run } from './program.ts'

const BUNDLE = 'program.cjs'
const CODE = `program-${version}-${arch}.code`

interface Bundle {
  /** V8 took the code that lay beside it. */
  isCompiled: boolean
  start(): { run: typeof run }
  /** Leaves what V8 has compiled so far to later starts. */
  keepCode(): void
}

/** Undefined when it was not built, or no longer with this code: then the bundle was changed by hand, and V8 would not know. */
const codeFor = (bundle: URL, code: URL): Buffer | undefined => {
  try {
    return statSync(code).mtimeMs >= statSync(bundle).mtimeMs ? readFileSync(code) : undefined
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
  const code = new URL(CODE, folder)
  const cachedData = codeFor(bundle, code)
  const script = new Script(`(function(exports,require,module,__filename){${source}\n})`, {
    filename,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    ...(cachedData && { cachedData }),
  })
  return {
    isCompiled: cachedData !== undefined && script.cachedDataRejected === false,
    start() {
      const module = { exports: {} as { run: typeof run } }
      script.runInThisContext()(module.exports, createRequire(bundle), module, filename)
      return module.exports
    },
    keepCode() {
      writeFileSync(code, script.createCachedData())
    },
  }
}
