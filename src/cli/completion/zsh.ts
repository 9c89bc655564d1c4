/** Completion for zsh: a function that finds the command in what is typed, and offers what may follow, with what it does. */
import { type CommandShape, choicesOf, placeOf } from './tree.ts'

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
/** As \`_describe\` reads it: the first colon ends the name. */
const described = (name: string, description: string): string =>
  quoted(`${name.replaceAll(':', '\\:')}:${description}`)

const valueCase = ({ name, value }: { name: string; value: string }): string => {
  const choices = choicesOf(value)
  const place = placeOf(value)
  if (choices.length > 0) return `${name}) compadd -- ${choices.join(' ')}; return ;;`
  if (place) return `${name}) _files${place === 'directory' ? ' -/' : ''}; return ;;`
  return `${name}) _message ${quoted(value)}; return ;;`
}

const caseOf = ({ path, commands, flags, positionals }: CommandShape): string => {
  const valued = flags.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]))
  const choices = positionals.flatMap(choicesOf)
  return [
    `    ${quoted(path.join(' '))})`,
    `      flags=(${flags.map(({ name, description }) => described(name, description)).join(' ')})`,
    `      names=(${[...commands.map(({ name, description }) => described(name, description)), ...choices.map(quoted)].join(' ')})`,
    ...(valued.length > 0
      ? ['      case "$prev" in', ...valued.map((one) => `        ${valueCase(one)}`), '      esac']
      : []),
    '      ;;',
  ].join('\n')
}

export const zshCompletion = (shapes: readonly CommandShape[]): string => {
  const paths = shapes.flatMap(({ path }) => (path.length > 0 ? [quoted(path.join(' '))] : []))
  return `#compdef belfry
# Completion of belfry for zsh. Made by: belfry completion zsh
_belfry() {
  local way='' following prev=$words[CURRENT-1] i
  local -a flags names
  for ((i = 2; i < CURRENT; i++)); do
    following="\${way:+$way }$words[i]"
    case "$following" in
      ${paths.join('|')}) way=$following ;;
      *) break ;;
    esac
  done
  case "$way" in
${shapes.map(caseOf).join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then _describe -o 'flag' flags
  else _describe 'command' names
  fi
}
if [[ \${zsh_eval_context[-1]} == loadautofunc ]]; then _belfry "$@"
else compdef _belfry belfry
fi
`
}
