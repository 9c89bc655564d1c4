// Holds the documents to what is there: every npm script, command, flag, file, path below src/ and setting that they name exists,
// and in ARCHITECTURE.md and CONTRIBUTING.md every word between backticks is one of the source.
// `--write` brings the table of settings (between <!-- settings --> and <!-- /settings -->) up to date instead.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'

const readme = readFileSync('README.md', 'utf8')
const NAMES = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'test/README.md']
const pages = [...readdirSync('docs').map((name) => `docs/${name}`), ...NAMES]
const all = [readme, ...pages.map((name) => readFileSync(name, 'utf8'))].join('\n')
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
const blocks = [...all.matchAll(/```\w*\n([\s\S]*?)```/g)].map(([, text]) => text.replaceAll('\\\n', ' '))
const inline = [...all.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g)].map(([, text]) => text)
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
  if (/^(?:src|test|scripts|\.ci)\/[\w./-]+$/.test(text) && !existsSync(text))
    mistakes.push(`There is no ${text}`)
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

const MARKED = /(<!-- settings -->\n)[\s\S]*?(\n<!-- \/settings -->)/
const { text: table } = belfry('check', '--markdown')
const wanted = readme.replace(MARKED, (_, begin, end) => begin + table.trim() + end)
if (wanted !== readme) {
  if (process.argv.includes('--write')) writeFileSync('README.md', wanted)
  else mistakes.push('The table of settings is out of date: node scripts/check-documents.mjs --write')
}

for (const mistake of mistakes) process.stderr.write(`${mistake}\n`)
process.exitCode = mistakes.length > 0 ? 1 : 0
