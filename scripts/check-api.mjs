// Holds what the package promises to what `api/` says: the types that each entry of `exports` reaches (`api/types.txt`), and the
// HTTP API as a started server describes it (`api/openapi.json`). A change of either is a change for users: it is written down with
// `--write`, seen in review, and named in CHANGELOG.md. Reads `dist/`, or the folder that is given.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Visitor } from 'oxc-parser'
import { createModules } from './modules.mjs'

const isWriting = process.argv.includes('--write')
const root = resolve(process.argv.slice(2).find((word) => !word.startsWith('--')) ?? '.')

/** Reached from `RunningServer`, but the server's own: the stores are no part of what users may build on. */
const INTERNAL = new Set(['Stores'])

const { find, findExport, exportsOf } = createModules((path) => path.replace(/\.(js|ts)$/, '.d.ts'))

const textOf = ({ text, comments }, { start, end }) => {
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
const usedIn = ({ program }, statement) => {
  const names = new Set()
  new Visitor({ Identifier: ({ name }) => names.add(name) }).visit({ ...program, body: [statement] })
  return names
}

const typesOf = (entry) => {
  const lines = new Map()
  const add = (found, as) => {
    if (lines.has(as)) return
    const { module, parts } = found
    const texts = parts.map(({ statement }) => textOf(module, statement))
    lines.set(as, texts.map((text) => text.replace(/^export (declare )?|^declare /, '')).join(' '))
    for (const name of parts.flatMap(({ statement }) => [...usedIn(module, statement)])) {
      const next = INTERNAL.has(name) ? undefined : find(module.path, name)
      if (next && next.name !== found.name) add(next, `  ${next.name}`)
    }
  }
  for (const name of new Set(exportsOf(entry))) {
    const found = findExport(entry, name)
    if (found) add(found, name)
  }
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, text]) => `${name}: ${text}`)
}

const entries = Object.entries(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports)
const types = entries
  .filter(([, at]) => at.types)
  .map(([name, at]) => `# belfry${name.slice(1)}\n${typesOf(join(root, at.types)).join('\n')}\n`)
  .join('\n')

/** The rooms on request, too, and what is served only where somebody says so. */
const EVERYTHING = {
  BELFRY_ROOMS: 'relay,notify,keys,contacts,mq,archive,sessions,push,verify,operator',
  BELFRY_METRICS: 'shared',
  BELFRY_RPC_PROXY: 'on',
  BELFRY_RPC_URLS: 'eip155:1=http://127.0.0.1:1',
  BELFRY_WALLETS: 'test/explorer/wallets.json',
}

/** The description that a server with all rooms gives of itself. */
const openapi = async () => {
  const data = mkdtempSync(join(tmpdir(), 'belfry-api-'))
  const child = spawn(
    process.execPath,
    [join(root, 'dist/cli/main.js'), 'serve', '--port', '0', '--data', data],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, ...EVERYTHING },
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
