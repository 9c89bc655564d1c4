/** `belfry completion`: a script for a shell, made from the commands that there are. */
import type { Command } from 'commander'
import { JSON_FLAG, printJson } from '../admin-client.ts'
import { type Args, type CommandBody, defineCommand, UsageError } from '../command.ts'
import { bashCompletion } from './bash.ts'
import { fishCompletion } from './fish.ts'
import { type CommandShape, commandShapes } from './tree.ts'
import { zshCompletion } from './zsh.ts'

const SHELLS = new Map<string, (shapes: readonly CommandShape[]) => string>([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
])

const flags = {
  shell: {
    type: 'positional',
    required: true,
    valueHint: [...SHELLS.keys()].join('|'),
    description: 'The shell that the script is for',
  },
  ...JSON_FLAG,
} as const satisfies Args

/** `wholeProgram`: all commands, with what each takes. */
export const createCompletion = (wholeProgram: () => Promise<Command>): CommandBody =>
  defineCommand({
    args: flags,
    examples: [
      'completion bash > ~/.local/share/bash-completion/completions/belfry',
      'completion zsh > ~/.zfunc/_belfry',
      'completion fish > ~/.config/fish/completions/belfry.fish',
    ],
    async run({ rest: [shell = ''], on }) {
      const write = SHELLS.get(shell)
      if (!write) throw new UsageError(`There are bash, zsh and fish, not ${JSON.stringify(shell)}`)
      const script = write(commandShapes(await wholeProgram()))
      if (on.has('json')) printJson({ shell, script })
      else process.stdout.write(script)
    },
  })
