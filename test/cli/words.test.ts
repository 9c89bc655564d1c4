/** The command line as such: usage lines, groups, suggestions, width, exit codes, and readers that go away. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runBelfry } from './belfry.ts'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-words-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const belfry = (...words: string[]) => runBelfry(words, { cwd: dir, env: {} })
const MAIN = join(process.cwd(), 'dist/cli/main.js')

/** What a shell says of a line in which `belfry` is the command. */
const shell = (line: string): Promise<{ code: number | null; said: string }> =>
  new Promise((resolve) => {
    const text = line.replaceAll('belfry', `${process.execPath} ${MAIN}`)
    const child = spawn('bash', ['-o', 'pipefail', '-c', text], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part) => {
        said += part
      })
    }
    child.on('close', (code) => resolve({ code, said }))
  })

/** Every command with its words, as help lists them. */
const allCommands = async (...words: string[]): Promise<string[][]> => {
  const { stdout } = await belfry(...words, '--help')
  if (!/^Usage: .* <command>$/m.test(stdout)) return [words]
  const names = [...stdout.matchAll(/^ {2}([a-z]+)(?= {2,}| \[|\b)/gm)].map(([, name = '']) => name)
  const found = await Promise.all(names.map((name) => allCommands(...words, name)))
  return found.flat()
}

describe('help', () => {
  it('names the commands in groups, each once', async () => {
    const { code, stdout, stderr } = await belfry('--help')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const headings = [...stdout.matchAll(/^(\S.*):$/gm)].map(([, heading]) => heading)
    expect(headings).toContain('Begin')
    expect(headings).toContain('Apps and notifications')
    const names = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name]) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('of every command has a usage line with what must be typed, examples that begin with it, and an exit code of 0', async () => {
    const commands = await allCommands()
    expect(commands.length).toBeGreaterThan(25)
    for (const words of commands) {
      const { code, stdout } = await belfry(...words, '--help')
      expect({ words, code }).toEqual({ words, code: 0 })
      expect(stdout).toContain(`\nExamples:\n  belfry ${words.join(' ')}`)
      expect({ words, stdout }).toMatchObject({ stdout: expect.stringContaining('  --json ') })
      expect(stdout).toMatch(new RegExp(`^Usage: belfry ${words.join(' ')} .*\\[options\\]\n`))
    }
    expect((await belfry('notify', '--help')).stdout).toContain(
      'Usage: belfry notify <DOMAIN> --type <TYPE> --title <TEXT> --body <TEXT> [options]',
    )
    expect((await belfry('project', 'secret', 'revoke', '--help')).stdout).toContain(
      'Usage: belfry project secret revoke <ID> <SECRET> [options]',
    )
  }, 120_000)

  it('is as wide as the terminal', async () => {
    const widest = async (columns: number) => {
      const { said } = await shell(`script -qec "stty cols ${columns}; belfry usage --help" /dev/null`)
      return Math.max(...said.split(/\r?\n/).map(({ length }) => length))
    }
    const [narrow, wide] = [await widest(60), await widest(160)]
    expect(narrow).toBeLessThanOrEqual(60)
    expect(wide).toBeGreaterThan(70)
    expect(wide).toBeLessThanOrEqual(160)
  })
})

describe('what was mistyped', () => {
  it.each([
    [['notfy', 'x'], "Unknown command 'notfy' (Did you mean notify?)", 'belfry --help'],
    [['notfy', '--help'], "Unknown command 'notfy' (Did you mean notify?)", 'belfry --help'],
    [['app', 'lst'], "Unknown command 'lst' (Did you mean list?)", 'belfry app --help'],
    [['app', 'lst', '--help'], "Unknown command 'lst' (Did you mean list?)", 'belfry app --help'],
    [['app'], 'Which command?', 'belfry app --help'],
    [['serve', '--prot', '1'], "Unknown option '--prot' (Did you mean --port?)", 'belfry serve --help'],
    [['app', 'add'], "Missing required argument 'DOMAIN'", 'belfry app add --help'],
    [['app', 'list', '--data'], "Option '--data <DIR>' argument missing", 'belfry app list --help'],
    [
      ['notify', 'a', '--type', 'b'],
      "Required option '--title <TEXT>' not specified",
      'belfry notify --help',
    ],
  ])('%j is told so, with what to do, and ends with 2', async (words, sentence, help) => {
    const { code, stdout, stderr } = await belfry(...words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`${sentence}\nSee: ${help}\n`)
    expect(stderr).not.toContain('    at ')
  })
})

it('a reader that goes away ends a command quietly, with 141', async () => {
  expect(await shell('belfry serve --help | true')).toEqual({ code: expect.any(Number), said: '' })
  // It begins when nobody reads any more.
  const untilNobodyReads = "trap '' PIPE; while echo; do :; done 2>/dev/null; trap - PIPE"
  expect(await shell(`(${untilNobodyReads}; belfry doctor --markdown) | true`)).toEqual({
    code: 141,
    said: '',
  })
})

it('a full disk under the output is told in a sentence, and ends a command with 1', async () => {
  const full = await shell('belfry app list --help > /dev/full')
  expect(full).toEqual({
    code: 1,
    said: expect.stringMatching(/^The output cannot be written: ENOSPC[^\n]*\n$/),
  })
})
