/** What each example promises to who copies it: it is short, and its package.json fits what is here. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { EXAMPLES, filesOf, folderOf, manifestOf } from './example.ts'

const MAX_LINES = 60
const NO_CODE = /^\s*(?:$|\/\/|\/\*|\{\/\*)/
const linesOf = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !NO_CODE.test(line)).length

const Ranges = z.record(z.string(), z.string()).default({})
const manifestAt = (path: string) =>
  z
    .object({
      name: z.string(),
      version: z.string(),
      dependencies: Ranges,
      devDependencies: Ranges,
      peerDependencies: Ranges,
    })
    .parse(JSON.parse(readFileSync(path, 'utf8')))

const root = manifestAt('package.json')
const OURS = ['packages/dapp', 'packages/react', 'packages/wallet', '.'].map((folder) =>
  manifestAt(join(folder, 'package.json')),
)
/** A project of React Native brings these; none is installed here. */
const OF_REACT_NATIVE = /^(?:react-native(?:-.+)?|@react-native-async-storage\/async-storage)$/

const rangesOf = (name: string): string[] => {
  const own = OURS.find((one) => one.name === name)
  if (own) return [`^${own.version}`]
  const { dependencies, devDependencies, peerDependencies } = root
  return [dependencies, devDependencies, peerDependencies].flatMap((ranges) => ranges[name] ?? [])
}

it('there are seven', () => {
  expect(EXAMPLES).toHaveLength(7)
})

describe.each(EXAMPLES)('examples/%s', (name) => {
  it(`has fewer than ${MAX_LINES} lines of code`, () => {
    const sources = filesOf(name).filter((file) => /\.(?:[cm]?[jt]sx?|css)$/.test(file))
    expect(sources.length).toBeGreaterThan(0)
    const lines = sources.map((file) => linesOf(join(folderOf(name), file)))
    expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThan(MAX_LINES)
  })

  it('asks for versions that are here, and says how it is run', () => {
    const { name: its, scripts, dependencies, devDependencies } = manifestOf(name)
    expect(its).toBe(`belfry-example-${name}`)
    for (const [library, range] of Object.entries({ ...dependencies, ...devDependencies })) {
      if (OF_REACT_NATIVE.test(library)) continue
      expect(rangesOf(library), library).toContain(range)
    }
    const script = scripts.start ? 'npm start' : 'npm run dev'
    expect(scripts.start ?? scripts.dev).toBeDefined()
    const readme = readFileSync(join(folderOf(name), 'README.md'), 'utf8')
    expect(readme).toContain('npm install')
    expect(readme).toContain(script)
    expect(readFileSync('examples/README.md', 'utf8')).toContain(`](${name}/README.md)`)
  })

  it('needs nothing beside it', () => {
    // No file of it reaches out of its folder, so that it may be copied.
    for (const file of filesOf(name)) {
      expect(readFileSync(join(folderOf(name), file), 'utf8'), file).not.toMatch(/["'(]\.\.\//)
    }
    expect(existsSync(join(folderOf(name), 'tsconfig.json'))).toBe(true)
  })
})
