/** Completion in a real bash. Those of zsh and fish are in a story, because they may have to be installed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runBelfry } from './belfry.ts'
import { type Offers, scriptFor, shellOffers } from './completion.ts'

let dir: string
let offers: Offers
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-completion-'))
  mkdirSync(join(dir, 'belfry-data'))
  writeFileSync(join(dir, 'backup.file'), '')
  writeFileSync(join(dir, 'belfry.bash'), await scriptFor('bash'))
  // As readline calls it.
  const input = (line: string) => {
    const words = line.split(' ').map((word) => `'${word}'`)
    return `source ./belfry.bash; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}
      "$(complete -p belfry | sed 's/.*-F \\([^ ]*\\).*/\\1/')"; printf '%s\\n' "\${COMPREPLY[@]}"`
  }
  offers = shellOffers('bash', ['--norc', '-c'], { cwd: dir, input })
})
afterAll(() => rmSync(dir, { recursive: true }))

it('offers commands, and those below them', async () => {
  expect(await offers('belfry ')).toEqual(
    expect.arrayContaining(['serve', 'app', 'mcp', 'completion', 'restore']),
  )
  expect(await offers('belfry not')).toEqual(['notify'])
  expect(await offers('belfry app ')).toEqual(['add', 'list', 'show', 'set', 'remove'])
  expect(await offers('belfry project secret ro')).toEqual(['rotate'])
})

it('offers the flags of a command, and nothing where a text is to be typed', async () => {
  expect(await offers('belfry notify app.example.com --ti')).toEqual(['--title'])
  expect(await offers('belfry welcome set app.example.com --')).toEqual(
    expect.arrayContaining(['--title', '--on', '--off', '--json', '--help']),
  )
  expect(await offers('belfry notify app.example.com --title ')).toEqual([])
  expect(await offers('belfry notify app.example.com ')).toEqual([])
})

it('offers files, directories and words where those are meant', async () => {
  expect(await offers('belfry app list --data bel')).toEqual(['belfry-data'])
  expect(await offers('belfry listen app.example.com --keep ba')).toEqual(['backup.file'])
  expect(await offers('belfry completion ')).toEqual(['bash', 'zsh', 'fish'])
  expect(await offers('belfry settings get ')).toEqual(['project', 'app'])
})

it('is made of every command and every flag that help names', async () => {
  const belfry = (...words: string[]) => runBelfry(words, { cwd: dir, env: {} })
  const namesIn = (help: string) =>
    [...help.matchAll(/^ {2}([a-z]+)(?= {2,}| \[|\b)/gm)].map(([, name = '']) => name)
  const { stdout } = await belfry('--help')
  const commands = namesIn(stdout)
  expect((await offers('belfry ')).sort()).toEqual(commands.sort())
  for (const name of ['serve', 'mcp', 'broadcast']) {
    const help = (await belfry(name, '--help')).stdout
    const flags = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag)
    expect((await offers(`belfry ${name} --`)).sort()).toEqual(flags.sort())
  }
})

it('knows three shells', async () => {
  const { code, stderr } = await runBelfry(['completion', 'tcsh'], { cwd: dir, env: {} })
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/^There are bash, zsh and fish, not "tcsh"/),
  })
  const { stdout } = await runBelfry(['completion', 'fish', '--json'], { cwd: dir, env: {} })
  expect(JSON.parse(stdout)).toEqual({ shell: 'fish', script: await scriptFor('fish') })
})
