// Holds the documents to what is there. Every npm script, command, flag, file, path below src/, link, setting and metric that they
// name exists. TypeScript examples fit the built package, and what the README shows works when it is done. In ARCHITECTURE.md and
// CONTRIBUTING.md every word between backticks is one of the source.
// `--write` brings the table of settings (between <!-- settings --> and <!-- /settings -->) up to date instead.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runReadme } from './documents/run-readme.mjs'
import { typeCheck } from './documents/type-check.mjs'

const SETTINGS_PAGE = 'docs/configure.md'
/** Documents that are read as a whole, and how long they may be. */
const MAX_LINES = { 'README.md': 180, 'CONTRIBUTING.md': 120 }
const MAX_DECISION_LINES = 45
const DECISION_PARTS = ['Status', 'Context', 'Decision', 'Consequences', 'Turned down']

const NAMES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'test/README.md',
]
const inDocs = readdirSync('docs', { recursive: true }).filter((name) => name.endsWith('.md'))
const inExamples = readdirSync('examples', { withFileTypes: true }).map((entry) =>
  entry.isDirectory() ? join(entry.name, 'README.md') : entry.name,
)
const pages = [
  ...NAMES,
  ...inDocs.map((name) => `docs/${name}`),
  ...inExamples.map((name) => `examples/${name}`),
]
const texts = new Map(pages.map((name) => [name, readFileSync(name, 'utf8')]))
const readme = texts.get('README.md')
const all = [...texts.values()].join('\n')
const { scripts, exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const mistakes = []

const belfry = (...words) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', ...words], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  return { status, text: stdout + stderr }
}

// What stands in code: blocks, and between backticks in a line.
const FENCED = /^```([^\n]*)\n([\s\S]*?)^```/gm
const blocks = [...all.matchAll(FENCED)].map(([, , text]) => text.replaceAll('\\\n', ' '))
const inline = [...all.replaceAll(FENCED, '').matchAll(/`([^`\n]+)`/g)].map(([, text]) => text)
const code = [...blocks.flatMap((text) => text.split('\n')), ...inline]

const OF_NPM = new Set(['ci', 'install', 'exec'])
for (const line of code) {
  for (const [, run, name] of line.matchAll(/\bnpm (run )?([a-z][\w:-]*)/g)) {
    if (!run && OF_NPM.has(name)) continue
    if (!(name in scripts)) mistakes.push(`There is no npm script ${name}: ${line.trim()}`)
  }
}

const helps = new Map()
const helpOf = (words) => {
  const name = words.join(' ')
  if (!helps.has(name)) helps.set(name, belfry(...words, '--help'))
  return helps.get(name)
}
for (const line of code) {
  const [, words] = /(?:^|\s|&&|\|)(?:npx )?belfry ((?:[^\s|&;>#'"]+|'[^']*'|"[^"]*"|\s)+)/.exec(line) ?? []
  if (words === undefined) continue
  const parts = words.match(/'[^']*'|"[^"]*"|\S+/g) ?? []
  // Commands are the leading words that --help knows as such.
  const command = []
  for (const part of parts) {
    if (!/^[a-z]+$/.test(part) || helpOf([...command, part]).status !== 0) break
    command.push(part)
  }
  if (command.length === 0) mistakes.push(`There is no such command: ${line.trim()}`)
  const { text } = helpOf(command)
  for (const [, flag] of words.replaceAll(/'[^']*'|"[^"]*"/g, '').matchAll(/(?:^|\s)(--[a-z-]+)/g)) {
    if (flag !== '--help' && !text.includes(flag))
      mistakes.push(`${command.join(' ')} has no ${flag}: ${line.trim()}`)
  }
}

for (const text of inline) {
  if (/^(?:api|src|test|scripts|docs|deploy|\.ci)\/[\w./-]+$/.test(text) && !existsSync(text))
    mistakes.push(`There is no ${text}`)
}

// Links from page to page, and to a heading of one.
const anchorsOf = (text) =>
  new Set(
    [...text.replaceAll(FENCED, '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
for (const [name, text] of texts) {
  for (const [, target] of text.replaceAll(FENCED, '').matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [path, anchor] = target.split('#')
    const file = path === '' ? name : join(dirname(name), path)
    if (!existsSync(file)) mistakes.push(`${name} links to ${target}, which is not there`)
    else if (anchor !== undefined && !anchorsOf(texts.get(file) ?? '').has(anchor))
      mistakes.push(`${name} links to ${target}, and that page has no such heading`)
  }
}

// Every page is found from the README, every decision from their list.
for (const name of inDocs) {
  const isDecision = /^adr\/\d/.test(name)
  const [list, link] = isDecision ? ['docs/adr/README.md', name.slice(4)] : ['README.md', `docs/${name}`]
  if (!texts.get(list)?.includes(`](${link}`)) mistakes.push(`${list} does not link to ${link}`)
  if (!isDecision) continue
  const text = texts.get(`docs/${name}`)
  for (const part of DECISION_PARTS) {
    if (!text.includes(`\n## ${part}\n`)) mistakes.push(`docs/${name} has no part ${part}`)
  }
}
for (const [name, text] of texts) {
  const most = MAX_LINES[name] ?? (/\/adr\/\d/.test(name) ? MAX_DECISION_LINES : Number.POSITIVE_INFINITY)
  const lines = text.trimEnd().split('\n').length
  if (lines > most) mistakes.push(`${name} has ${lines} lines, and may have ${most}`)
}

const rooms = readdirSync('src', { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
)
const inRoom = new RegExp(`(?<![\\w/.:-])(?:${rooms.join('|')})/[\\w/-]*\\w`, 'g')
const source = readdirSync('src', { recursive: true })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(`src/${name}`, 'utf8'))
  .join('\n')
const words = new Set(source.match(/[A-Za-z_]\w*/g))
// Settings and metrics, wherever they are named.
const tested = readdirSync('test', { recursive: true })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(`test/${name}`, 'utf8'))
  .join('\n')
const settings = new Set(`${source}\n${tested}`.match(/\bBELFRY_[A-Z_]+\b/g))
for (const [name] of all.matchAll(/\bBELFRY_[A-Z_]*[A-Z]\b/g)) {
  if (!settings.has(name)) mistakes.push(`There is no setting ${name}`)
}
for (const [name, metric] of all.matchAll(/\bbelfry_([a-z_]*[a-z])\b/g)) {
  if (!words.has(metric)) mistakes.push(`There is no metric ${name}`)
}
// The pages of the two main rooms name all that they take.
const METHODS = [
  ['docs/relay.md', 'src/protocol/relay-methods.ts', /^ {2}((?:irn|wc)_\w+):/gm],
  ['docs/notify.md', 'src/protocol/notify-methods.ts', /^ {4}(?:requestTag|responseTag): (\d+),/gm],
]
for (const [page, table, row] of METHODS) {
  const names = [...readFileSync(table, 'utf8').matchAll(row)].map(([, name]) => name)
  if (names.length === 0) mistakes.push(`${table} has no rows that are understood here`)
  for (const name of names) {
    if (!texts.get(page).includes(name)) mistakes.push(`${page} does not name ${name} of ${table}`)
  }
}
for (const name of ['ARCHITECTURE.md', 'CONTRIBUTING.md']) {
  const text = readFileSync(name, 'utf8')
  for (const [path] of text.matchAll(inRoom)) {
    if (!existsSync(`src/${path}`) && !existsSync(`src/${path}.ts`))
      mistakes.push(`${name}: there is no ${path}`)
  }
  for (const [, word] of text.matchAll(/`([A-Za-z]\w*)`/g)) {
    if (!words.has(word)) mistakes.push(`${name}: nothing in the source is called ${word}`)
  }
}
for (const line of code) {
  for (const [, path] of line.matchAll(/from 'belfry(\/[\w-]+)?'/g)) {
    const entry = path === undefined ? '.' : `.${path}`
    if (!(entry in exports)) mistakes.push(`The package has no entry ${entry}: ${line.trim()}`)
  }
}

const examples = [...texts].flatMap(([document, text]) =>
  [...text.matchAll(FENCED)].flatMap(([, language, text]) => (language === 'ts' ? [{ document, text }] : [])),
)
mistakes.push(...typeCheck(examples))

const programs = Object.fromEntries(
  [...readme.matchAll(FENCED)].flatMap(([, language, text]) => {
    const [, name] = /^js (\S+)$/.exec(language) ?? []
    return name === undefined ? [] : [[name, text]]
  }),
)
mistakes.push(...(await runReadme(readme, programs)))

const MARKED = /(<!-- settings -->\n)[\s\S]*?(\n<!-- \/settings -->)/
const { text: table } = belfry('doctor', '--markdown')
const page = texts.get(SETTINGS_PAGE)
if (!MARKED.test(page)) mistakes.push(`${SETTINGS_PAGE} has no table of settings`)
const wanted = page.replace(MARKED, (_, begin, end) => begin + table.trim() + end)
if (wanted !== page) {
  if (process.argv.includes('--write')) writeFileSync(SETTINGS_PAGE, wanted)
  else mistakes.push('The table of settings is out of date: node scripts/check-documents.mjs --write')
}

for (const mistake of mistakes) process.stderr.write(`${mistake}\n`)
process.exitCode = mistakes.length > 0 ? 1 : 0
