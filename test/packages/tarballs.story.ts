import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build as bundle } from 'esbuild'
import { createLogger, type InlineConfig, build as viteBuild } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld } from '../support/world.ts'
import { bin, broughtBy, exampleIn, installed, type Project, run, workspace } from './tarballs.ts'

/** How much npm may install: packages, itself included, and bytes. Peers are what an application has anyway. */
const INSTALLED: Record<string, { packages: number; bytes: number }> = {
  '@belfry/wallet': { packages: 18, bytes: 2_500_000 },
  '@belfry/dapp': { packages: 1, bytes: 150_000 },
  '@belfry/react': { packages: 19, bytes: 2_600_000 },
  '@belfry/compat': { packages: 1, bytes: 500_000 },
}
const NEVER = ['lmdb', 'hono', 'ioredis', 'zod', 'socket.io', 'socket.io-client', 'pino', 'belfry']

const LANGUAGE = { target: 'es2022', strict: true, skipLibCheck: false, noEmit: true, jsx: 'react-jsx' }
/** What stands around a package where its types are checked. */
const SURROUNDINGS: [string, object][] = [
  [
    'a page by a bundler',
    { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'], types: [] },
  ],
  // What TypeScript takes by itself for older targets.
  [
    'a page with the library of an older target',
    { module: 'esnext', moduleResolution: 'bundler', target: 'es2020', lib: ['es2020', 'dom'], types: [] },
  ],
  ['a page by Node’s rules', { module: 'nodenext', lib: ['es2022', 'dom'], types: [] }],
  ['Node without a DOM', { module: 'nodenext', lib: ['es2022'], types: ['node'] }],
]

/** Builds the project into its `dist`; what was said on the way, and the scripts. */
const built = async (project: Project, options: InlineConfig) => {
  const warnings: string[] = []
  const logger = createLogger('silent')
  // Next has to be told what is for browsers; others say that they leave it out.
  const isMeant = (message: string) => message.includes('use client')
  logger.warn = logger.warnOnce = (message) => {
    if (!isMeant(message)) warnings.push(message)
  }
  const result = await viteBuild({
    ...{ root: project.folder, configFile: false, customLogger: logger },
    ...options,
  })
  const outputs = [result].flat().flatMap((each) => ('output' in each ? each.output : []))
  return { warnings, text: outputs.map((each) => (each.type === 'chunk' ? each.code : '')).join('\n') }
}

describe.each(workspace)('$name from its tarball', (one) => {
  let project: Project
  let example: string
  beforeAll(async () => {
    project = await installed(one, ['@types/node'])
    example = exampleIn(one, project)
  })
  afterAll(() => project[Symbol.dispose]())

  it('brings few packages, and none of the server', async ({ annotate }) => {
    const brought = broughtBy(one)
    const bytes = project.bytesOf(brought)
    await annotate(`${brought.length} packages, ${bytes} bytes: ${brought.join(' ')}`)
    const most = INSTALLED[one.name] ?? { packages: 0, bytes: 0 }
    expect(brought.length).toBeLessThanOrEqual(most.packages)
    expect(bytes).toBeLessThanOrEqual(most.bytes)
    for (const name of NEVER) expect(brought).not.toContain(name)
  })

  it('has a shape that its readers find', async () => {
    await run(process.cwd(), bin.publint, '--strict', project.tarball)
    await run(process.cwd(), bin.attw, project.tarball, '--profile', 'esm-only', '--quiet')
  })

  it.each(SURROUNDINGS)('has types for %s', async (_, surroundings) => {
    const config = { compilerOptions: { ...LANGUAGE, ...surroundings }, files: [example] }
    writeFileSync(join(project.folder, 'tsconfig.json'), JSON.stringify(config))
    await run(project.folder, process.execPath, bin.tsc, '-p', '.', '--pretty', 'false')
  })

  it('is bundled for a page by vite', async () => {
    writeFileSync(join(project.folder, 'index.html'), '<script type="module" src="/page.ts"></script>')
    writeFileSync(
      join(project.folder, 'page.ts'),
      `import * as example from './example'\nconsole.log(example)`,
    )
    const { warnings, text } = await built(project, {})
    // Of what vite leaves out because a browser does not have it.
    expect(warnings).toEqual([])
    expect(text).not.toMatch(/["'`]node:/)
  })

  // Stands for the bundle that Next makes for its server: everything inside, with the conditions that it sets.
  it('is bundled for a server of React, and runs there', async () => {
    // What is for browsers Next puts into another bundle, which has the whole of React.
    const isForBrowsers = one.peers.includes('react')
    const conditions = [...(isForBrowsers ? [] : ['react-server']), 'node', 'import', 'default']
    const ssr = { noExternal: true as const, resolve: { conditions } }
    const { warnings } = await built(project, { ssr, build: { ssr: resolve(project.folder, example) } })
    expect(warnings).toEqual([])
    const said = await run(
      project.folder,
      process.execPath,
      '--input-type=module',
      '-e',
      "console.log(Object.values(await import('./dist/example.js')).map((each) => typeof each).join())",
    )
    expect(said.trim()).toMatch(/^function(,function)*$/)
  })

  // Next's edge, workers of Cloudflare: no module of Node at all.
  it('is bundled for the edge', async () => {
    const { warnings } = await bundle({
      entryPoints: [join(project.folder, example)],
      conditions: ['edge-light', 'workerd', 'worker', 'browser', 'import'],
      mainFields: ['module', 'main'],
      ...{
        bundle: true,
        platform: 'neutral',
        format: 'esm',
        write: false,
        logLevel: 'silent',
        jsx: 'automatic',
      },
    })
    expect(warnings).toEqual([])
  })
})

it('lives a whole story in Node from the tarballs of wallet and dapp', async () => {
  const wallet = workspace.find(({ name }) => name === '@belfry/wallet')
  if (!wallet) throw new Error('There is no @belfry/wallet')
  using project = await installed(wallet, ['@belfry/dapp'])
  await using world = await startWorld()
  const { projectId, secret, types } = await world.addApp('app.example.com', { types: [{ name: 'News' }] })
  const scene = { url: world.url, projectId, secret, domain: 'app.example.com', type: types[0]?.id }
  const contents = `
    import * as wallet from '@belfry/wallet'
    import * as dapp from '@belfry/dapp'
    import { openStory } from ${JSON.stringify(resolve('test/sdk/story.ts'))}
    const story = openStory({ ...wallet, ...dapp }, ${JSON.stringify(scene)})
    const { first, second } = await story.live()
    const { left, notFound } = await story.leave()
    console.log(JSON.stringify({ first, second, left, notFound }))`
  await bundle({
    stdin: { contents, resolveDir: project.folder, loader: 'ts' },
    outfile: join(project.folder, 'story.js'),
    // The packages are loaded by Node from where they are installed.
    ...{ bundle: true, platform: 'node', format: 'esm', external: ['@belfry/*'] },
    conditions: ['source'],
  })
  const said = await run(project.folder, process.execPath, 'story.js')
  expect(JSON.parse(said)).toEqual({ first: 'First, body', second: 'Second, body', left: 0, notFound: 1 })
}, 180_000)
