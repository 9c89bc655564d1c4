/** Completion for fish: a line for each command and each flag, with the condition under which it is offered. */
import { type CommandShape, choicesOf, type FlagShape, placeOf } from './tree.ts'

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const valueFlags = (value: string): string => {
  const choices = choicesOf(value)
  const place = placeOf(value)
  if (choices.length > 0) return ` -x -a ${quoted(choices.join(' '))}`
  if (place === 'directory') return " -x -a '(__fish_complete_directories)'"
  return place === 'file' ? ' -r -F' : ' -x'
}

const flagLine = (condition: string, { name, description, value }: FlagShape): string =>
  `complete -c belfry -n ${condition} -l ${name.slice(2)}${value === undefined ? '' : valueFlags(value)} -d ${quoted(description)}`

const linesOf = ({ path, commands, flags, positionals }: CommandShape): string[] => {
  const within = quoted(`__belfry_within ${path.join(' ')}`.trim())
  const at = quoted(`__belfry_at ${path.join(' ')}`.trim())
  return [
    ...commands.map(
      ({ name, description }) => `complete -c belfry -n ${at} -a ${name} -d ${quoted(description)}`,
    ),
    ...positionals.flatMap(choicesOf).map((choice) => `complete -c belfry -n ${within} -a ${choice}`),
    // What a group has, its commands have themselves.
    ...flags.map((flag) => flagLine(commands.length > 0 ? at : within, flag)),
  ]
}

export const fishCompletion = (
  shapes: readonly CommandShape[],
): string => `# Completion of belfry for fish. Made by: belfry completion fish
function __belfry_within
  set -l typed (commandline -opc)
  set -e typed[1]
  set -l many (count $argv)
  test $many -eq 0; and return 0
  test (count $typed) -ge $many; and test "$typed[1..$many]" = "$argv"
end
function __belfry_at
  set -l typed (commandline -opc)
  test (count $typed) -eq (math (count $argv) + 1); and __belfry_within $argv
end
complete -c belfry -f
${shapes.flatMap(linesOf).join('\n')}
`
