/**
 * The packages as an application gets them: packed by npm, and installed by npm into a directory of its own. What they
 * depend on is packed from what is installed here, so that no registry is asked.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'

const manifestSchema = z.object({
  name: z.string(),
  dependencies: z.record(z.string(), z.string()).default({}),
  peerDependencies: z.record(z.string(), z.string()).default({}),
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.boolean().optional() })).default({}),
})

const manifestOf = (folder: string) => {
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
  const { name, dependencies, peerDependencies, peerDependenciesMeta } = manifest
  const peers = Object.keys(peerDependencies).filter((peer) => !peerDependenciesMeta[peer]?.optional)
  return { name, peers, libraries: Object.keys(dependencies) }
}

export interface Package {
  name: string
  folder: string
  /** What an application has to have; npm installs it, too. */
  peers: string[]
  libraries: string[]
}

/** Every package of the workspace. */
export const workspace: Package[] = readdirSync('packages')
  .map((name) => resolve('packages', name))
  .filter((folder) => existsSync(join(folder, 'package.json')))
  .map((folder) => ({ folder, ...manifestOf(folder) }))

/** Runs a program; rejects with what it said when it fails. */
export const run = (cwd: string, command: string, ...args: string[]): Promise<string> =>
  new Promise((done, fail) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.once('error', fail)
    child.once('close', (code) => {
      if (code === 0) done(said)
      else fail(new Error(`${command} ${args.join(' ')}: ${said}`))
    })
  })

/** Where a package that another one depends on is installed. */
const folderOf = (name: string, from: string): string | undefined =>
  createRequire(join(from, 'package.json'))
    .resolve.paths(name)
    ?.map((folder) => join(folder, name))
    .find((folder) => existsSync(join(folder, 'package.json')))

/** Folders of packages and of all that npm installs with them, by name. */
const closureOf = (names: readonly string[], withPeers: boolean): Map<string, string> => {
  const found = new Map<string, string>()
  const add = (from: string, name: string): void => {
    const folder = workspace.find((each) => each.name === name)?.folder ?? folderOf(name, from)
    if (!folder) throw new Error(`${name} of ${from} is not installed here`)
    if (found.has(name)) return
    found.set(name, folder)
    const { libraries, peers } = manifestOf(folder)
    for (const needed of [...libraries, ...(withPeers ? peers : [])]) add(folder, needed)
  }
  for (const name of names) add(process.cwd(), name)
  return found
}

/** Names of the packages that come with one, itself included, beside its peers. */
export const broughtBy = ({ name }: Package): string[] => [...closureOf([name], false).keys()]

const typesOf = (names: readonly string[]): string[] =>
  names
    .map((name) => `@types/${name.replace(/^@/, '').replace('/', '__')}`)
    .filter((name) => existsSync(join('node_modules', name)))

export interface Project extends Disposable {
  folder: string
  /** Tarball of the package itself. */
  tarball: string
  /** Bytes of installed packages. */
  bytesOf(names: readonly string[]): number
}

const bytesIn = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

/** A blank project with a package in it, and what else is named. */
export const installed = async ({ name, peers }: Package, more: readonly string[] = []): Promise<Project> => {
  const project = mkdtempSync(join(tmpdir(), 'belfry-packed-'))
  const closure = closureOf([name, ...typesOf(peers), ...more], true)
  const said = await run(project, 'npm', 'pack', '--silent', '--ignore-scripts', ...closure.values())
  const tarballs = said.trim().split('\n')
  writeFileSync(join(project, 'package.json'), '{"name": "blank", "private": true, "type": "module"}')
  await run(
    project,
    'npm',
    'install',
    '--offline',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    ...tarballs,
  )
  // Fails where something is missing.
  await run(project, 'npm', 'ls', '--all')
  return {
    folder: project,
    tarball: join(project, tarballs[0] ?? ''),
    bytesOf: (names) => names.reduce((sum, each) => sum + bytesIn(join(project, 'node_modules', each)), 0),
    [Symbol.dispose]: () => rmSync(project, { recursive: true, force: true }),
  }
}

/** The first example of a package's README, as a module of the project; its name. */
export const exampleIn = ({ folder }: Package, project: Project): string => {
  const [, language = '', text] =
    /^```(tsx?)\n([\s\S]*?)^```/m.exec(readFileSync(join(folder, 'README.md'), 'utf8')) ?? []
  if (text === undefined) throw new Error(`${folder}: README.md has no example in ts or tsx`)
  writeFileSync(join(project.folder, `example.${language}`), text)
  return `example.${language}`
}

const { resolve: find } = createRequire(import.meta.url)
/** Programs of packages that are installed here. */
export const bin = {
  tsc: join(dirname(find('typescript/package.json')), 'bin/tsc'),
  publint: join('node_modules/.bin/publint'),
  attw: join('node_modules/.bin/attw'),
}
