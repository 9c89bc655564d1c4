// Holds what users import to documentation: every function that an entry of package.json's `exports` reaches has a docstring with a
// @param for each parameter, a @returns unless it returns nothing, and, where it begins with create, open or ends in Client or
// Session, an @example.
import { existsSync, readFileSync } from 'node:fs'
import { createModules } from './modules.mjs'

const FACTORY = /^(?:create|open)[A-Z]|(?:Client|Session)$/
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.values(exports).flatMap(({ default: path }) =>
  path ? [path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')] : [],
)

const { findExport, exportsOf } = createModules()

/** The function behind an exported name; undefined for types, values and what is of other packages. */
const findFunction = (entry, name) => {
  const found = findExport(entry, name)
  const part = found?.parts.find(({ node }) =>
    /^(?:Arrow)?Function(?:Declaration|Expression)$/.test(node.type),
  )
  return part && { module: found.module, node: part.node, start: part.statement.start }
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
    for (const name of exportsOf(entry)) {
      const found = findFunction(entry, name)
      if (!found) continue
      count++
      for (const what of mistakesOf(name, found)) mistakes.add(`${found.module.path}: ${name} ${what}`)
    }
  }
}
for (const mistake of mistakes) process.stderr.write(`${mistake}\n`)
if (count === 0) process.stderr.write('No exported function was found.\n')
process.exitCode = mistakes.size > 0 || count === 0 ? 1 : 0
