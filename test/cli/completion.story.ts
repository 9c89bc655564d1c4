/** Completion in a real zsh and a real fish. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findOrInstall, INSTALL_TIMEOUT } from '../support/debian.ts'
import { type Offers, scriptFor, shellOffers } from './completion.ts'

/** In the shell that completes: notes what is offered, instead of drawing it. */
const INIT_ZSH = `
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -u -D
capture() {
  compadd() {
    # With one of these nothing is offered yet: matches are put into an array.
    if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
      local -a found
      builtin compadd -O found "$@"
      print -rl -- $found >> offers
    fi
    builtin compadd "$@"
  }
  _main_complete
  : > done
}
zle -C capture complete-word capture
bindkey '^I' capture
`
/** zsh completes only at a terminal: it gets one, in which the line is typed with a tab behind it. */
const IN_ZSH = `
rm -f offers done
zmodload zsh/zpty zsh/zselect
zpty shell zsh -f -i
zpty -w shell 'source ./init.zsh; print READY$((1))'
zpty -r shell said '*READY1*'
zpty -w -n shell "$1"$'\t'
while [[ ! -e done ]]; do
  zpty -r -t shell said
  zselect -t 2
done
zpty -d shell
[[ ! -e offers ]] || sort -u offers
`

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-completion-'))
  mkdirSync(join(dir, 'belfry-data'))
  writeFileSync(join(dir, 'backup.file'), '')
})
afterAll(() => rmSync(dir, { recursive: true }))

const names = (lines: readonly string[]) => lines.map((line) => line.split('\t')[0] ?? '')

describe('fish', () => {
  let offers: Offers
  beforeAll(async () => {
    const fish = await findOrInstall({ variable: 'BELFRY_TEST_FISH', names: ['fish'], package: 'fish' })
    writeFileSync(join(dir, 'belfry.fish'), await scriptFor('fish'))
    const input = (line: string) => `source ./belfry.fish; complete --do-complete '${line}'`
    offers = shellOffers(fish, ['--no-config', '-c'], { cwd: dir, input })
  }, INSTALL_TIMEOUT)

  it('offers commands with what they do, flags, files and words', async () => {
    expect(await offers('belfry not')).toEqual(['notify\tSend a notification'])
    expect(names(await offers('belfry app '))).toEqual(['add', 'list', 'remove', 'set', 'show'])
    expect(names(await offers('belfry project secret ro'))).toEqual(['rotate'])
    expect(names(await offers('belfry notify app.example.com --ti'))).toEqual(['--title'])
    expect(names(await offers('belfry app list --data bel'))).toEqual(['belfry-data/'])
    expect(names(await offers('belfry listen app.example.com --keep ba'))).toEqual(['backup.file'])
    expect(names(await offers('belfry completion ')).sort()).toEqual(['bash', 'fish', 'zsh'])
    expect(await offers('belfry notify app.example.com ')).toEqual([])
  })
})

describe('zsh', () => {
  let offers: Offers
  beforeAll(async () => {
    const zsh = await findOrInstall({ variable: 'BELFRY_TEST_ZSH', names: ['zsh'], package: 'zsh' })
    writeFileSync(join(dir, '_belfry'), await scriptFor('zsh'))
    writeFileSync(join(dir, 'init.zsh'), INIT_ZSH)
    writeFileSync(join(dir, 'offers.zsh'), IN_ZSH)
    offers = shellOffers(zsh, ['-f', './offers.zsh'], { cwd: dir, input: (line) => line })
  }, INSTALL_TIMEOUT)

  it('offers commands, flags, files and words', async () => {
    expect(await offers('belfry not')).toEqual(['notify'])
    expect(await offers('belfry app ')).toEqual(['add', 'list', 'remove', 'set', 'show'])
    expect(await offers('belfry project secret ro')).toEqual(['rotate'])
    expect(await offers('belfry notify app.example.com --ti')).toEqual(['--title'])
    expect(await offers('belfry app list --data bel')).toEqual(['belfry-data'])
    expect(await offers('belfry listen app.example.com --keep ba')).toEqual(['backup.file'])
    expect(await offers('belfry completion ')).toEqual(['bash', 'fish', 'zsh'])
    expect(await offers('belfry notify app.example.com ')).toEqual([])
  })
})
