/**
 * Commands as data, and what commander makes of them: parsing, usage lines, help, suggestions for what was mistyped.
 * A command states its arguments once; what was typed reaches it as `Typed`.
 */
import { Argument, Command, Help, Option } from 'commander'

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Arg {
  /** `optional`: a flag whose value may be absent. */
  type: 'positional' | 'string' | 'optional' | 'boolean'
  description: string
  valueHint?: string
  required?: boolean
  /** The heading that help shows it under. */
  group?: string
}
/** By name; positionals in their order. */
export type Args = Readonly<Record<string, Arg>>

export interface Typed {
  /** Every occurrence of each flag, in order. */
  all: Record<string, string[]>
  /** The last one of each. */
  one: Record<string, string | undefined>
  /** Flags without a value. */
  on: ReadonlySet<string>
  rest: string[]
}

/** What is done with the words behind a command's name. */
interface RunningBody {
  args: Args
  /** Shown by help, without `belfry`. */
  examples: readonly string[]
  run(typed: Typed): void | Promise<void>
}
interface GroupBody {
  commands: readonly NamedCommand[]
}
export type CommandBody = RunningBody | GroupBody
export type NamedCommand = { name: string; description: string } & CommandBody

export const defineCommand = <C extends RunningBody>(command: C): C => command
export const defineGroup = <G extends GroupBody>(group: G): G => group

const isGroup = (body: CommandBody): body is GroupBody => 'commands' in body

const placeholder = (name: string, { valueHint, required }: Arg): string => {
  const shown = valueHint ?? name.toUpperCase()
  return required ? `<${shown}>` : `[${shown}]`
}

const repeated = (value: string, before: unknown): string[] => [
  ...(Array.isArray(before) ? before : []),
  value,
]

const optionOf = (name: string, arg: Arg): Option => {
  const { type, valueHint = 'TEXT', description, required = false, group } = arg
  const value = { boolean: '', string: ` <${valueHint}>`, optional: ` [${valueHint}]`, positional: '' }[type]
  const option = new Option(`--${name}${value}`, description).makeOptionMandatory(required)
  if (type === 'string') option.argParser(repeated)
  if (group !== undefined) option.helpGroup(group)
  return option
}

const typedFrom = (command: Command, words: readonly string[]): Typed => {
  const all: Record<string, string[]> = {}
  const on = new Set<string>()
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName())
    const name = option.long?.slice(2) ?? ''
    if (value === true) on.add(name)
    else if (typeof value === 'string') all[name] = [value]
    else if (Array.isArray(value)) all[name] = value.map(String)
  }
  const one = Object.fromEntries(Object.entries(all).map(([name, list]) => [name, list.at(-1)]))
  return { all, one, on, rest: [...words] }
}

/** What must be typed stands in the usage line, in the order in which it reads best. */
const usageOf = (args: Args): string => {
  const list = Object.entries(args)
  const positionals = list.filter(([, { type }]) => type === 'positional')
  const mandatory = list.filter(([, { type, required }]) => type !== 'positional' && required)
  return [
    ...positionals.map(([name, arg]) => placeholder(name, arg)),
    ...mandatory.map(([name, { valueHint }]) => `--${name} <${valueHint}>`),
    '[options]',
  ].join(' ')
}

/** Gives the command its body, and returns it. */
export const filled = (command: Command, body: CommandBody): Command => {
  if (isGroup(body)) {
    command.usage('<command>').helpCommand(false)
    for (const { name, description, ...inner } of body.commands) {
      filled(command.command(name).description(description), inner)
    }
    return command
  }
  const { args, examples, run } = body
  command.usage(usageOf(args))
  for (const [name, arg] of Object.entries(args)) {
    if (arg.type === 'positional') command.addArgument(new Argument(placeholder(name, arg), arg.description))
    else command.addOption(optionOf(name, arg))
  }
  command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  belfry ${line}`).join('\n')}`)
  return command.action(() => run(typedFrom(command, command.args)))
}

/** Beyond this the description begins in the next line, or a long flag would push all descriptions out of a terminal. */
const MAX_TERM_WIDTH = 26
const DEFAULT_HELP_WIDTH = 80

const padWidth = (command: Command, helper: Help): number =>
  Math.min(MAX_TERM_WIDTH, Help.prototype.padWidth.call(helper, command, helper))

const formatItem = (term: string, width: number, description: string, helper: Help): string => {
  const indent = ' '.repeat(width + 4)
  const room = (helper.helpWidth ?? DEFAULT_HELP_WIDTH) - indent.length
  const lines = helper.boxWrap(description, room).replaceAll('\n', `\n${indent}`)
  return term.length > width ? `  ${term}\n${indent}${lines}` : `  ${term.padEnd(width)}  ${lines}`
}

/** What every command inherits: nothing ends the process, and a mistake is one sentence. */
export const createRoot = (): Command =>
  new Command('belfry')
    .exitOverride()
    .helpOption('-h, --help', 'Show this')
    .helpCommand(false)
    .configureHelp({ padWidth, formatItem })
    // Whoever catches the mistake says it.
    .configureOutput({ outputError: () => {} })
