// Holds what the package promises to what `api/` says: the types that each entry of `exports` reaches (`api/types.txt`), and the
// HTTP API as a started server describes it (`api/openapi.json`). A change of either is a change for users: it is written down with
// `--write`, seen in review, and named in CHANGELOG.md. Reads `dist/`, or the folder that is given.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseSync, Visitor } from 'oxc-parser'

const isWriting = process.argv.includes('--write')
const root = resolve(process.argv.slice(2).find((word) => !word.startsWith('--')) ?? '.')

/** Reached from `RunningServer`, but the server's own: the stores are no part of what users may build on. */
const INTERNAL = new Set(['Stores'])

const modules = new Map()
/** Declarations, imports and exports of one `.d.ts`. */
const read = (path) => {
  const known = modules.get(path)
  if (known) return known
  const text = readFileSync(path, 'utf8')
  const { program, comments } = parseSync(path, text)
  const module = { path, declared: new Map(), imported: new Map(), exported: new Map(), stars: [] }
  modules.set(path, module)
  const target = (source) =>
    source.startsWith('.') ? join(dirname(path), source.replace(/\.(js|ts)$/, '.d.ts')) : undefined
  const textOf = ({ start, end }) => {
    let out = ''
    let at = start
    for (const comment of comments) {
      if (comment.start < at || comment.end > end) continue
      out += text.slice(at, comment.start)
      at = comment.end
    }
    // Where a type lies is no promise.
    return (out + text.slice(at, end))
      .replaceAll(/import\("[^"]*"\)\./g, '')
      .replaceAll(/\s+/g, ' ')
      .trim()
  }
  const usedIn = (node) => {
    const names = new Set()
    new Visitor({ Identifier: ({ name }) => names.add(name) }).visit({ ...program, body: [node] })
    return [...names]
  }
  const declare = (name, node) => {
    const parts = module.declared.get(name) ?? []
    module.declared.set(name, [...parts, { text: textOf(node), used: usedIn(node) }])
  }
  const declareAll = (node) => {
    if (node.type === 'VariableDeclaration') {
      for (const one of node.declarations) declare(one.id.name, node)
      return node.declarations.map((one) => one.id.name)
    }
    declare(node.id.name, node)
    return [node.id.name]
  }
  for (const node of program.body) {
    if (node.type === 'ImportDeclaration') {
      const from = target(node.source.value)
      for (const one of node.specifiers) {
        module.imported.set(one.local.name, { from, name: one.imported?.name ?? 'default' })
      }
    } else if (node.type === 'ExportAllDeclaration') module.stars.push(target(node.source.value))
    else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      for (const name of declareAll(node.declaration)) module.exported.set(name, { name })
    } else if (node.type === 'ExportNamedDeclaration') {
      const from = node.source ? target(node.source.value) : undefined
      for (const one of node.specifiers) {
        module.exported.set(one.exported.name, { name: one.local.name, ...(from && { from }) })
      }
    } else if (node.id || node.declarations) declareAll(node)
  }
  return module
}

/** Where a name of a module is declared, over all imports and exports; undefined outside the package. */
const find = (path, name, isExport) => {
  const module = read(path)
  if (isExport) {
    const one = module.exported.get(name)
    if (one) return one.from ? find(one.from, one.name, true) : find(path, one.name, false)
    for (const star of module.stars) {
      const found = star && find(star, name, true)
      if (found) return found
    }
    return undefined
  }
  if (module.declared.has(name)) return { module, name, parts: module.declared.get(name) }
  const imported = module.imported.get(name)
  return imported?.from ? find(imported.from, imported.name, true) : undefined
}

const exportsOf = (path) => {
  const module = read(path)
  return [...module.exported.keys(), ...module.stars.flatMap((star) => (star ? exportsOf(star) : []))]
}

const typesOf = (entry) => {
  const lines = new Map()
  const add = (found, as) => {
    if (lines.has(as)) return
    lines.set(as, found.parts.map(({ text }) => text.replace(/^export (declare )?|^declare /, '')).join(' '))
    for (const name of found.parts.flatMap(({ used }) => used)) {
      const next = INTERNAL.has(name) ? undefined : find(found.module.path, name, false)
      if (next && next.name !== found.name) add(next, `  ${next.name}`)
    }
  }
  for (const name of new Set(exportsOf(entry))) {
    const found = find(entry, name, true)
    if (found) add(found, name)
  }
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, text]) => `${name}: ${text}`)
}

const entries = Object.entries(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports)
const types = entries
  .filter(([, at]) => at.types)
  .map(([name, at]) => `# belfry${name.slice(1)}\n${typesOf(join(root, at.types)).join('\n')}\n`)
  .join('\n')

/** The description that a server with all rooms gives of itself. */
const openapi = async () => {
  const data = mkdtempSync(join(tmpdir(), 'belfry-api-'))
  const child = spawn(
    process.execPath,
    [join(root, 'dist/cli/main.js'), 'serve', '--port', '0', '--data', data],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { url } = JSON.parse(line)
      const document = await (await fetch(`${url}/openapi.json`)).json()
      return `${JSON.stringify({ ...document, servers: undefined }, null, 2).replaceAll(new URL(url).host, 'HOST')}\n`
    }
    throw new Error('The server did not start')
  } finally {
    child.kill()
    await new Promise((done) => child.once('exit', done))
    rmSync(data, { recursive: true, force: true })
  }
}

const found = { 'api/types.txt': types, 'api/openapi.json': await openapi() }
for (const [path, text] of Object.entries(found)) {
  if (isWriting) {
    writeFileSync(path, text)
    continue
  }
  const said = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (said === text) continue
  process.exitCode = 1
  console.error(`${path} says otherwise than the package (node scripts/check-api.mjs --write writes it):`)
  const before = new Set(said.split('\n'))
  const after = new Set(text.split('\n'))
  for (const line of before) if (!after.has(line)) console.error(`- ${line.slice(0, 300)}`)
  for (const line of after) if (!before.has(line)) console.error(`+ ${line.slice(0, 300)}`)
}
