/** Examples as who copies them checks and bundles them: types under `strict`, and React Native's as Metro resolves it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type BuildOptions, build } from 'esbuild'
import { expect, it } from 'vitest'
import { EXAMPLES, folderOf, manifestOf, start } from './example.ts'

const REACT_NATIVE = 'react-native'
const { resolve: find } = createRequire(import.meta.url)

it.each(EXAMPLES.filter((name) => name !== REACT_NATIVE))('the types of %s are right', async (name) => {
  await using checked = start(name, 'types')
  expect({ code: await checked.end(), said: checked.output() }).toEqual({ code: 0, said: '' })
})

it('the types of react-native are right, with those of a project around it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-example-'))
  try {
    const project = join(dir, 'tsconfig.json')
    const [example, modules] = [folderOf(REACT_NATIVE), resolve('test/examples/react-native-modules.d.ts')]
    const options = {
      extends: join(example, 'tsconfig.json'),
      compilerOptions: { types: [] },
      include: [join(example, '*.tsx'), modules],
    }
    writeFileSync(project, JSON.stringify(options))
    const compiler = join(dirname(find('typescript/package.json')), 'bin/tsc')
    const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', project], { encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  } finally {
    rmSync(dir, { recursive: true })
  }
})

it('React Native bundles without anything of Node, of browsers or of the server', async () => {
  const brought = Object.keys(manifestOf(REACT_NATIVE).dependencies).filter((name) =>
    name.includes(REACT_NATIVE),
  )
  expect(brought.length).toBeGreaterThan(0)
  const entry = join(folderOf(REACT_NATIVE), 'App.tsx')
  const options = {
    entryPoints: [entry],
    // As Metro does: these conditions of `exports`, and none of a platform.
    ...{ bundle: true, platform: 'neutral', conditions: ['react-native', 'require', 'import'] },
    mainFields: ['react-native', 'browser', 'main'],
    external: [...brought, 'react', 'react/jsx-runtime'],
    ...{ format: 'esm', target: 'es2020', metafile: true, write: false, logLevel: 'silent' },
  } satisfies BuildOptions
  const { metafile } = await build(options)
  const [output] = Object.values(metafile.outputs)
  const outside = output?.imports.filter(({ external }) => external).map(({ path }) => path)
  expect(new Set(outside)).toEqual(new Set([...brought, 'react', 'react/jsx-runtime']))
  const inside = Object.keys(output?.inputs ?? {})
  expect(inside).toContain('packages/wallet/dist/index.js')
  for (const path of inside) {
    expect(path).not.toMatch(/^(?:src|dist)\/|index\.node\.js$|node_modules\/(?:ws|socket\.io-client|zod)\//)
  }
  // What brings random numbers is imported before what needs them.
  const [first] = readFileSync(entry, 'utf8').match(/^import .*$/m) ?? []
  expect(first).toBe("import 'react-native-get-random-values'")
})
