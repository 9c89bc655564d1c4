/*
 * Runs a bundle of ../bundle.ts with what V8 compiled of it before, which is half of the start of a published client. Started
 * with `--compile` it writes that down once the client is loaded, and ends.
 */
const { readFileSync, writeFileSync } = require('node:fs')
const { createRequire, wrap } = require('node:module')
const { dirname } = require('node:path')
const { constants, Script } = require('node:vm')

const [, , file, mode] = process.argv
const compiled = `${file}.compiled`
const script = new Script(wrap(readFileSync(file, 'utf8')), {
  filename: file,
  // Of another Node it is refused, and compiled anew.
  cachedData: mode === '--compile' ? undefined : readFileSync(compiled),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
})
const module_ = { exports: {} }
script.runInThisContext()(module_.exports, createRequire(file), module_, file, dirname(file))

if (mode === '--compile') {
  writeFileSync(compiled, script.createCachedData())
  process.exit()
}
