import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const BUILD = resolve('scripts/build.mjs')

/** A checkout whose command has a small program, so that it is built in seconds: as it is after its first build. */
let first: string
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-build-'))
  first = dir
  for (const file of ['tsconfig.json', 'tsconfig.build.json', 'tsconfig.packages.json'])
    await cp(file, join(dir, file))
  await cp('LICENSE', join(dir, 'LICENSE'))
  await writePackage(join(dir, 'packages/small'))
  const { name, version, type, bin } = JSON.parse(await readFile('package.json', 'utf8'))
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name, version, type, bin }))
  await symlink(resolve('node_modules'), join(dir, 'node_modules'))
  await mkdir(join(dir, 'src/cli'), { recursive: true })
  for (const file of ['main.ts', 'bundle.ts']) await cp(join('src/cli', file), join(dir, 'src/cli', file))
  await writeProgram(dir, 'first')
  await writePages(join(dir, 'src/web'))
  await build(dir)
}, 180_000)
afterAll(() => rm(first, { recursive: true }))

/** One of those beside the command. */
const writePackage = async (dir: string): Promise<void> => {
  await mkdir(join(dir, 'src'), { recursive: true })
  const exports = { '.': { types: './dist/index.d.ts', default: './dist/index.js' } }
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'small', version: '0.0.1', exports }))
  await writeFile(join(dir, 'src/index.ts'), 'export const small = true\n')
}

/** A copy with the times of its files, by which a build is fresh or stale. */
const checkout = async (): Promise<AsyncDisposable & { dir: string }> => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-build-'))
  await cp(first, dir, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

/** Pages that hold next to nothing. */
const writePages = async (web: string): Promise<void> => {
  for (const page of ['inbox', 'console']) {
    await mkdir(join(web, page), { recursive: true })
    await writeFile(join(web, page, 'index.html'), '<script type="module" src="./main.tsx"></script>')
    await writeFile(join(web, page, 'main.tsx'), `document.title = '${page}'\n`)
  }
  await writeFile(join(web, 'inbox/worker.ts'), 'declare const SHELL: unknown\nconsole.log(SHELL)\n')
  for (const part of ['vite.config.ts', 'public'])
    await cp(join('src/web', part), join(web, part), { recursive: true })
}
const writeProgram = (dir: string, says: string) =>
  writeFile(join(dir, 'src/cli/program.ts'), `export const run = () => process.stdout.write('${says}')\n`)
const build = (dir: string, ...words: string[]) => run(process.execPath, [BUILD, ...words], { cwd: dir })
/** npm links the command of the checkout at the first call, and makes it executable then; later calls find the link. */
const command = async (dir: string) => {
  const env = { PATH: process.env.PATH, npm_config_cache: join(dir, 'npm'), npm_config_offline: 'true' }
  return (await run('npx', ['--yes', 'belfry'], { cwd: dir, env })).stdout
}
/** In a process of its own: V8 takes a code cache only under the flags under which it was made. */
const hasCodeCache = async (dir: string) => {
  const folder = pathToFileURL(`${resolve(dir, 'dist/cli')}/`).href
  const open = `import('${folder}bundle.js').then(({ openBundle }) =>
    console.log(openBundle(new URL('${folder}')).hasCodeCache))`
  return (await run(process.execPath, ['--eval', open])).stdout
}
const built = (dir: string) => stat(join(dir, 'dist/cli/main.js'))

// Each builds, beside the others: seconds where nobody else computes.
it.concurrent('npx belfry runs after an install, and after an upgrade whose build came with the start', {
  timeout: 180_000,
}, async () => {
  await using place = await checkout()
  const { dir } = place
  expect(await command(dir)).toBe('first')
  expect((await built(dir)).mode & 0o777).toBe(0o755)

  await writeProgram(dir, 'second')
  const later = new Date(Date.now() + 60_000)
  await utimes(join(dir, 'src/cli/program.ts'), later, later)
  await build(dir, '--if-stale')
  expect(await command(dir)).toBe('second')
  expect((await built(dir)).mode & 0o777).toBe(0o755)
})

it.concurrent('npx belfry runs where an older build left the command without its bit', {
  timeout: 180_000,
}, async () => {
  await using place = await checkout()
  const { dir } = place
  expect(await command(dir)).toBe('first')
  const { mtimeMs } = await built(dir)
  await chmod(join(dir, 'dist/cli/main.js'), 0o644)
  await build(dir, '--if-stale')
  expect(await command(dir)).toBe('first')
  // It was not built again.
  expect((await built(dir)).mtimeMs).toBe(mtimeMs)
})

it.concurrent('a build that lost the pages, or the bundle of the API page, is not fresh', {
  timeout: 180_000,
}, async () => {
  await using place = await checkout()
  const { dir } = place
  await rm(join(dir, 'dist/web'), { recursive: true })
  await build(dir, '--if-stale')
  expect(await readFile(join(dir, 'dist/web/worker.js'), 'utf8')).toMatch(/\/assets\/inbox-\S+\.js/)
  await rm(join(dir, 'dist/api-page'), { recursive: true })
  await build(dir, '--if-stale')
  expect((await stat(join(dir, 'dist/api-page/reference.js.gz'))).size).toBeGreaterThan(500_000)
})

it.concurrent('a start takes the code cache of the build, unless the bundle was changed after it', {
  timeout: 180_000,
}, async () => {
  await using place = await checkout()
  const { dir } = place
  expect(await hasCodeCache(dir)).toBe('true\n')
  expect(await hasCodeCache('.')).toBe('true\n')
  const bundle = join(dir, 'dist/cli/program.cjs')
  await writeFile(bundle, (await readFile(bundle, 'utf8')).replace('first', 'third'))
  const later = new Date(Date.now() + 1_000)
  await utimes(bundle, later, later)
  expect(await hasCodeCache(dir)).toBe('false\n')
  expect(await command(dir)).toBe('third')
})

it('what is bundled brings the notices of its authors, of the command, of agents and of the pages', async () => {
  const notices = (await readFile('dist/THIRD-PARTY.txt', 'utf8')).split(`\n\n${'-'.repeat(80)}\n\n`)
  const texts = new Map(
    notices.map((notice) => [/^(\S+) \d/.exec(notice)?.[1] ?? notice, notice.split('\n\n').slice(1).join()]),
  )
  const some = ['hono', 'ws', '@noble/curves', '@modelcontextprotocol/sdk', 'preact']
  for (const name of [...some, '@scalar/fastify-api-reference']) expect([...texts.keys()]).toContain(name)
  for (const name of ['vitest', 'esbuild', 'belfry', 'lmdb']) expect([...texts.keys()]).not.toContain(name)
  const wordless = [...texts].filter(([, text]) => text.length < 200).map(([name]) => name)
  expect(wordless).toEqual([])
})
