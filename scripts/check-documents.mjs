// Holds ARCHITECTURE.md, CONTRIBUTING.md, CHANGELOG.md, SECURITY.md and the map of the tests to what is there: each path that they
// name exists, each npm script, and each identifier between backticks is a word of the source.
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const DOCUMENTS = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'test/README.md']
const ROOMS = readdirSync('src', { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
)
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'))
const mistakes = []

const source = readdirSync('src', { recursive: true })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(`src/${name}`, 'utf8'))
  .join('\n')
const words = new Set(source.match(/[A-Za-z_]\w*/g))

/** As it stands, or below src/, with or without its ending. */
const exists = (path) =>
  [path, `${path}.ts`, `src/${path}`, `src/${path}.ts`].some((candidate) =>
    existsSync(candidate.replace(/\/$/, '')),
  )

const inRoom = new RegExp(`(?<![\\w/.:-])(?:${ROOMS.join('|')})/[\\w/-]*\\w`, 'g')
for (const name of DOCUMENTS) {
  const text = readFileSync(name, 'utf8')
  for (const [path] of text.matchAll(inRoom)) if (!exists(path)) mistakes.push(`${name}: there is no ${path}`)
  for (const [, script] of text.matchAll(/\bnpm run ([\w:]+)/g)) {
    if (!(script in scripts)) mistakes.push(`${name}: there is no npm script ${script}`)
  }
  for (const [, token] of text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g)) {
    if (/^[\w.-]+(?:\/[\w.-]+)+$/.test(token) || /^[\w-]+\.(?:md|json|ts|mjs)$/.test(token)) {
      if (!exists(token)) mistakes.push(`${name}: there is no ${token}`)
    } else if (/^[A-Za-z]\w*$/.test(token) && !words.has(token)) {
      mistakes.push(`${name}: nothing in the source is called ${token}`)
    }
  }
}

for (const mistake of mistakes) console.error(mistake)
process.exitCode = mistakes.length > 0 ? 1 : 0
