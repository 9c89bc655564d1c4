/*
 * The figures of the house: how many files a folder holds, how long files and functions are, how deep functions and blocks
 * nest, whether imports go in a circle, and whether a prefix of file names hides a folder. `npm run house` prints them and fails above
 * the bounds; `--all` names everything that is above.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'

const MAX_FILES_IN_FOLDER = 18
const MAX_LINES_IN_FILE = 350
const MAX_LINES_IN_FUNCTION = 70
const MAX_NESTED_FUNCTIONS = 4
const MAX_NESTED_BLOCKS = 4
const MAX_FILES_WITH_PREFIX = 3

/** Functions that are longer, or nest deeper, for a reason: `file name`, at most five. */
const EXCEPTIONS = new Map([])

const INSTALLED_OR_BUILT = new Set(['node_modules', 'dist'])

const folders = new Map()
const walk = (folder) => {
  const files = []
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!INSTALLED_OR_BUILT.has(entry.name)) walk(path)
    } else if (/\.(?:js|tsx?)$/.test(entry.name)) files.push(path)
  }
  folders.set(folder, files)
}
walk('src')
walk('examples')
for (const name of readdirSync('packages')) {
  const sources = join('packages', name, 'src')
  if (existsSync(sources)) walk(sources)
}

/** Starts of lines, to tell the line of an offset. */
const lineFinder = (text) => {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (starts[middle] <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

const functions = []
const imports = new Map()
const lengths = new Map()

const read = (path) => {
  const text = readFileSync(path, 'utf8')
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`)
  const lineOf = lineFinder(text)
  lengths.set(path, lineOf(text.length - 1))

  const open = []
  /** What a function is called: by itself, or by what it is assigned to. */
  const names = new Map()
  const enter = (node) => {
    const lines = lineOf(node.end) - lineOf(node.start) + 1
    open.push(node)
    functions.push({
      path,
      line: lineOf(node.start),
      name: node.id?.name ?? names.get(node) ?? '(anonymous)',
      lines,
      depth: open.length,
      blocks: 0,
    })
    nests.push({ depth: 0, found: functions.at(-1) })
  }
  const leave = () => {
    open.pop()
    nests.pop()
  }
  /** Blocks that are open, of each function that is open. */
  const nests = []
  /** The `else if` of a chain, which counts once. */
  const chained = new Set()
  const enterBlock = (node) => {
    const nest = nests.at(-1)
    if (!nest || chained.has(node)) return
    nest.depth++
    nest.found.blocks = Math.max(nest.found.blocks, nest.depth)
  }
  const leaveBlock = (node) => {
    const nest = nests.at(-1)
    if (nest && !chained.has(node)) nest.depth--
  }
  const enterIf = (node) => {
    if (node.alternate?.type === 'IfStatement') chained.add(node.alternate)
    enterBlock(node)
  }
  const named = (key, value) => {
    if (value) names.set(value, key?.name ?? key?.value ?? '(anonymous)')
  }
  new Visitor({
    VariableDeclarator: ({ id, init }) => named(id, init),
    Property: ({ key, value }) => named(key, value),
    MethodDefinition: ({ key, value }) => named(key, value),
    PropertyDefinition: ({ key, value }) => named(key, value),
    FunctionDeclaration: enter,
    'FunctionDeclaration:exit': leave,
    FunctionExpression: enter,
    'FunctionExpression:exit': leave,
    ArrowFunctionExpression: enter,
    'ArrowFunctionExpression:exit': leave,
    IfStatement: enterIf,
    'IfStatement:exit': leaveBlock,
    ForStatement: enterBlock,
    'ForStatement:exit': leaveBlock,
    ForInStatement: enterBlock,
    'ForInStatement:exit': leaveBlock,
    ForOfStatement: enterBlock,
    'ForOfStatement:exit': leaveBlock,
    WhileStatement: enterBlock,
    'WhileStatement:exit': leaveBlock,
    DoWhileStatement: enterBlock,
    'DoWhileStatement:exit': leaveBlock,
    SwitchStatement: enterBlock,
    'SwitchStatement:exit': leaveBlock,
    TryStatement: enterBlock,
    'TryStatement:exit': leaveBlock,
  }).visit(program)

  const targets = program.body.flatMap((node) => {
    const isImport = node.type === 'ImportDeclaration' || node.type.startsWith('Export')
    const from = isImport ? node.source?.value : undefined
    return from?.startsWith('.') ? [resolve(dirname(path), from)] : []
  })
  imports.set(resolve(path), targets)
}
for (const files of folders.values()) for (const path of files) read(path)

/** Files that import themselves over others: strongly connected components of more than one file (Tarjan). */
const circles = () => {
  const order = new Map()
  const low = new Map()
  const stack = []
  const found = []
  const visit = (node) => {
    order.set(node, order.size)
    low.set(node, order.get(node))
    stack.push(node)
    for (const next of imports.get(node) ?? []) {
      if (!imports.has(next)) continue
      if (!order.has(next)) {
        visit(next)
        low.set(node, Math.min(low.get(node), low.get(next)))
      } else if (stack.includes(next)) low.set(node, Math.min(low.get(node), order.get(next)))
    }
    if (low.get(node) !== order.get(node)) return
    const members = stack.splice(stack.indexOf(node))
    if (members.length > 1) found.push(members)
  }
  for (const node of imports.keys()) if (!order.has(node)) visit(node)
  return found
}

/** `admin-projects.ts` and `admin.ts` have the prefix `admin`. */
const prefixes = [...folders].flatMap(([folder, files]) => {
  const counts = new Map()
  for (const path of files) {
    const prefix = path.slice(folder.length + 1, -3).split('-')[0]
    counts.set(prefix, (counts.get(prefix) ?? 0) + 1)
  }
  return [...counts].map(([prefix, count]) => ({ what: `${folder}/${prefix}*`, count }))
})

const isExcepted = ({ path, name }) => EXCEPTIONS.has(`${path} ${name}`)
const cwd = `${process.cwd()}/`
const rows = [
  {
    figure: 'files in a folder',
    bound: MAX_FILES_IN_FOLDER,
    all: [...folders].map(([what, files]) => ({ what, count: files.length })),
  },
  {
    figure: 'lines in a file',
    bound: MAX_LINES_IN_FILE,
    all: [...lengths].map(([what, count]) => ({ what, count })),
  },
  {
    figure: 'lines in a function',
    bound: MAX_LINES_IN_FUNCTION,
    all: functions
      .filter((one) => !isExcepted(one))
      .map(({ path, line, name, lines }) => ({ what: `${path}:${line} ${name}`, count: lines })),
  },
  {
    figure: 'functions within functions',
    bound: MAX_NESTED_FUNCTIONS,
    all: functions
      .filter((one) => !isExcepted(one))
      .map(({ path, line, name, depth }) => ({ what: `${path}:${line} ${name}`, count: depth })),
  },
  {
    figure: 'blocks within blocks',
    bound: MAX_NESTED_BLOCKS,
    all: functions
      .filter((one) => !isExcepted(one))
      .map(({ path, line, name, blocks }) => ({ what: `${path}:${line} ${name}`, count: blocks })),
  },
  {
    figure: 'files in a circle of imports',
    bound: 0,
    all: circles().map((members) => ({
      what: members.map((path) => path.replace(cwd, '')).join(', '),
      count: members.length,
    })),
  },
  { figure: 'files with one prefix in a folder', bound: MAX_FILES_WITH_PREFIX, all: prefixes },
]

let isOver = false
for (const { figure, bound, all } of rows) {
  const over = all.filter(({ count }) => count > bound).sort((a, b) => b.count - a.count)
  const most = all.reduce((max, { count }) => Math.max(max, count), 0)
  isOver ||= over.length > 0
  console.log(
    `${figure.padEnd(36)} at most ${String(bound).padStart(4)}   most ${String(most).padStart(5)}   over ${over.length}`,
  )
  const shown = process.argv.includes('--all') ? over : over.slice(0, 5)
  for (const { what, count } of shown) console.log(`    ${String(count).padStart(5)}  ${what}`)
}
if (EXCEPTIONS.size > 5) {
  console.log('There are more than five exceptions.')
  isOver = true
}
const total = [...lengths.values()].reduce((sum, lines) => sum + lines, 0)
console.log(`${lengths.size} files, ${functions.length} functions, ${total} lines`)
const linesOf = (pattern) =>
  [...lengths].reduce((sum, [path, lines]) => sum + (pattern.test(path) ? lines : 0), 0)
const storage = linesOf(/^src\/storage\//)
const scripts = linesOf(/^src\/storage\/redis\/lua\//)
// A room declares its store in `store.ts` or `store/store.ts`; what is beside that is how it is kept.
const stores = linesOf(/^src\/(?!storage|sdk)[^/]+\/(.+\/)?(store-[^/]+|store\/.+)\.ts$/)
console.log(
  `storage ${storage} lines, of which scripts for Redis ${scripts}; what rooms keep over it ${stores}`,
)
process.exitCode = isOver ? 1 : 0
