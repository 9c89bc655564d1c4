/** Completion for bash: a function that finds the command in what is typed, and offers what may follow. */
import { type CommandShape, choicesOf, placeOf } from './tree.ts'

const words = (list: readonly string[]): string => `'${list.join(' ')}'`

/** What may follow `flag`, as the first thing that a command looks at. */
const valueCase = ({ name, value }: { name: string; value: string }): string => {
  const choices = choicesOf(value)
  const place = placeOf(value)
  if (choices.length > 0) return `${name}) values=${words(choices)} ;;`
  if (place) return `${name}) kind=${place} ;;`
  return `${name}) kind=text ;;`
}

const caseOf = ({ path, commands, flags, positionals }: CommandShape): string => {
  const valued = flags.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]))
  const choices = positionals.flatMap(choicesOf)
  const names = [...commands.map(({ name }) => name), ...choices]
  return [
    `    '${path.join(' ')}')`,
    `      flags=${words(flags.map(({ name }) => name))}`,
    `      names=${words(names)}`,
    ...(valued.length > 0
      ? ['      case "$prev" in', ...valued.map((one) => `        ${valueCase(one)}`), '      esac']
      : []),
    '      ;;',
  ].join('\n')
}

export const bashCompletion = (shapes: readonly CommandShape[]): string => {
  const paths = shapes.flatMap(({ path }) => (path.length > 0 ? [`'${path.join(' ')}'`] : []))
  return `# Completion of belfry for bash. Made by: belfry completion bash
_belfry() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local path='' next i flags='' names='' values='' kind=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in
      ${paths.join('|')}) path=$next ;;
      *) break ;;
    esac
  done
  case "$path" in
${shapes.map(caseOf).join('\n')}
  esac
  COMPREPLY=()
  case "$kind" in
    file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null; return ;;
    directory) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null; return ;;
    text) return ;;
  esac
  if [[ -n $values ]]; then mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
  elif [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
  else mapfile -t COMPREPLY < <(compgen -W "$names" -- "$cur")
  fi
}
complete -F _belfry belfry
`
}
