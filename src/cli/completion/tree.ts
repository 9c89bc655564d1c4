/** The commands as a shell needs them, read from commander's own tree. */
import type { Command } from 'commander'

export interface FlagShape {
  /** With its dashes. */
  name: string
  description: string
  /** What its value is called; undefined where it takes none. */
  value: string | undefined
}

export interface CommandShape {
  /** Without `belfry`; of the root it is empty. */
  path: readonly string[]
  description: string
  /** Names of the commands below it. */
  commands: { name: string; description: string }[]
  flags: FlagShape[]
  /** What the arguments are called. */
  positionals: string[]
}

/** Lower-case words with bars between, as in `bash|zsh|fish`: one of them is meant. */
export const choicesOf = (value: string): string[] =>
  /^[a-z]+(?:\|[a-z]+)+$/.test(value) ? value.split('|') : []

/** Whether a value names a file, or a directory. */
export const placeOf = (value: string): 'file' | 'directory' | undefined =>
  value === 'FILE' ? 'file' : value === 'DIR' ? 'directory' : undefined

const shapeOf = (command: Command, path: readonly string[]): CommandShape => {
  const helper = command.createHelp()
  return {
    path,
    description: command.description(),
    commands: command.commands.map((one) => ({ name: one.name(), description: one.description() })),
    flags: helper.visibleOptions(command).flatMap(({ long, description, flags }) => {
      const value = /[<[]([^<>[\]]+)[>\]]$/.exec(flags)?.[1]
      return long ? [{ name: long, description, value }] : []
    }),
    positionals: command.registeredArguments.map((argument) => argument.name()),
  }
}

/** Every command, those above before those below. */
export const commandShapes = (command: Command, path: readonly string[] = []): CommandShape[] => [
  shapeOf(command, path),
  ...command.commands.flatMap((one) => commandShapes(one, [...path, one.name()])),
]
