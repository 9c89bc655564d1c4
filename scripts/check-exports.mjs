// Holds what users import to documentation: every function that an entry of package.json's `exports` reaches has a docstring with a
// @param for each parameter, a @returns unless it returns nothing, and, where it begins with create, open or ends in Client or
// Session, an @example.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'

const FACTORY = /^(?:create|open)[A-Z]|(?:Client|Session)$/
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.values(exports).flatMap(({ default: path }) =>
  path ? [path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')] : [],
)

const modules = new Map()
const read = (path) => {
  const known = modules.get(path)
  if (known) return known
  const text = readFileSync(path, 'utf8')
  const { program, comments } = parseSync(path, text)
  const module = { path, text, comments, functions: new Map(), exported: new Map(), stars: [] }
  modules.set(path, module)
  const target = (source) => (source.startsWith('.') ? join(dirname(path), source) : undefined)
  const imported = new Map()
  const declare = (node, start) => {
    if (node.type === 'FunctionDeclaration') module.functions.set(node.id.name, { node, start })
    for (const { id, init } of node.declarations ?? []) {
      if (init?.type === 'ArrowFunctionExpression') module.functions.set(id.name, { node: init, start })
    }
    return [...(node.id ? [node.id.name] : []), ...(node.declarations ?? []).map(({ id }) => id.name)]
  }
  for (const node of program.body) {
    if (node.type === 'ImportDeclaration') {
      for (const { local, imported: name } of node.specifiers) {
        imported.set(local.name, { name: name?.name ?? 'default', from: target(node.source.value) })
      }
    } else if (node.type === 'ExportAllDeclaration') module.stars.push(target(node.source.value))
    else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      for (const name of declare(node.declaration, node.start)) module.exported.set(name, { name })
    } else if (node.type === 'ExportNamedDeclaration') {
      for (const { exported, local } of node.specifiers) {
        const from = node.source ? target(node.source.value) : imported.get(local.name)?.from
        module.exported.set(exported.name, { name: local.name, from })
      }
    } else declare(node, node.start)
  }
  return module
}

/** The function behind an exported name, over all re-exports; undefined for types, values and other packages. */
const find = (path, name) => {
  const module = read(path)
  const one = module.exported.get(name)
  if (one?.from) return find(one.from, one.name)
  if (one) {
    const found = module.functions.get(one.name)
    return found && { module, ...found }
  }
  for (const star of module.stars) {
    const found = star && find(star, name)
    if (found) return found
  }
  return undefined
}
const namesOf = (path) => {
  const { exported, stars } = read(path)
  return [...exported.keys(), ...stars.flatMap((star) => (star ? namesOf(star) : []))]
}

const docOf = ({ text, comments }, start) => {
  const last = comments.filter(({ end }) => end <= start).at(-1)
  return last && text[last.start + 2] === '*' && text.slice(last.end, start).trim() === ''
    ? text.slice(last.start, last.end)
    : ''
}

const mistakesOf = (name, { module, node, start }) => {
  const doc = docOf(module, start)
  if (doc === '') return ['has no docstring']
  const documented = [...doc.matchAll(/@param\s+(?:\{[^}]*\}\s+)?([\w$]+)/g)].map(([, param]) => param)
  const missing = []
  for (const [at, given] of node.params.entries()) {
    const param = given.type === 'AssignmentPattern' ? given.left : given
    // A destructured parameter has no name of its own; its place counts.
    const isThere =
      param.type === 'Identifier' ? documented.includes(param.name) : documented[at] !== undefined
    if (!isThere) missing.push(`has no @param for ${param.name ?? `parameter ${at + 1}`}`)
  }
  const returned = node.returnType?.typeAnnotation?.type
  if (returned !== 'TSVoidKeyword' && !doc.includes('@returns')) missing.push('has no @returns')
  if (FACTORY.test(name) && !doc.includes('@example')) missing.push('has no @example')
  return missing
}

const mistakes = new Set()
let count = 0
for (const entry of entries) {
  if (!existsSync(entry)) mistakes.add(`${entry}: an entry of the package without a source`)
  else {
    for (const name of namesOf(entry)) {
      const found = find(entry, name)
      if (!found) continue
      count++
      for (const what of mistakesOf(name, found)) mistakes.add(`${found.module.path}: ${name} ${what}`)
    }
  }
}
for (const mistake of mistakes) process.stderr.write(`${mistake}\n`)
if (count === 0) process.stderr.write('No exported function was found.\n')
process.exitCode = mistakes.size > 0 || count === 0 ? 1 : 0
