/**
 * Inputs that make a regular expression backtrack, derived from the expression itself: what leads to each quantifier,
 * then what the quantifier repeats, many times, then something that cannot follow.
 *
 * A reader of patterns that knows just enough: sequences, alternatives, groups, classes, escapes and quantifiers.
 */

type Node =
  | { kind: 'set'; source: string }
  | { kind: 'sequence'; items: Node[] }
  | { kind: 'either'; options: Node[] }
  | { kind: 'repeat'; body: Node; least: number; most: number }
  | { kind: 'nothing' }

/** Repetitions above this count as without an end: they can be pumped. */
const MANY = 20
/** Characters of a class that are tried. */
const MOST_EXAMPLES = 6
const CANDIDATES = [...'aA0 /\\.-_:;,#?=@!"\'%{}[]()<>+*&|~^$\t\n\r\0é\u2028\u{1F600}']

const read = (pattern: string): Node => {
  let at = 0
  const peek = () => pattern.charAt(at)

  const either = (): Node => {
    const options = [sequence()]
    while (peek() === '|') {
      at += 1
      options.push(sequence())
    }
    return options.length === 1 ? (options[0] ?? { kind: 'nothing' }) : { kind: 'either', options }
  }
  const sequence = (): Node => {
    const items: Node[] = []
    while (at < pattern.length && peek() !== '|' && peek() !== ')') items.push(quantified(atom()))
    return { kind: 'sequence', items }
  }
  const atom = (): Node => {
    const from = at
    const first = pattern.charAt(at++)
    if (first === '^' || first === '$') return { kind: 'nothing' }
    if (first === '(') return group()
    if (first === '[') {
      while (peek() !== ']') at += peek() === '\\' ? 2 : 1
      at += 1
    } else if (first === '\\') {
      const escaped = pattern.charAt(at++)
      if (escaped === 'b' || escaped === 'B') return { kind: 'nothing' }
      if (escaped === 'x') at += 2
      if ((escaped === 'u' || escaped === 'p' || escaped === 'P') && peek() === '{') {
        at = pattern.indexOf('}', at) + 1
      } else if (escaped === 'u') at += 4
    }
    return { kind: 'set', source: pattern.slice(from, at) }
  }
  const group = (): Node => {
    const [opening = ''] = /^\?(?:[:=!]|<[=!]|<\w+>)/.exec(pattern.slice(at)) ?? []
    at += opening.length
    const inside = either()
    at += 1
    // What an assertion looks at is pumped like the rest; what it forbids leads nowhere.
    return opening.endsWith('!') ? { kind: 'nothing' } : inside
  }
  const quantified = (body: Node): Node => {
    const [text = '', least, comma, most] = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(pattern.slice(at)) ?? []
    if (text === '') return body
    at += text.length
    if (peek() === '?') at += 1
    if (text === '?') return { kind: 'repeat', body, least: 0, most: 1 }
    if (least === undefined) return { kind: 'repeat', body, least: text === '+' ? 1 : 0, most: Infinity }
    const end = comma === '' ? Number(least) : most === '' ? Infinity : Number(most)
    return { kind: 'repeat', body, least: Number(least), most: end }
  }
  return either()
}

/** Derives the inputs; `times` characters are repeated. */
export const pumpsOf = (pattern: string, flags: string): ((length: number) => Iterable<string>) => {
  const root = read(pattern)
  const own = [...pattern].filter((character) => !'\\^$()[]{}|?*+.'.includes(character))
  const candidates = [...new Set([...own, ...CANDIDATES])]
  const plain = flags.replace(/[gy]/g, '')
  const matching = new Map<string, string[]>()
  const charactersOf = (source: string): string[] => {
    const known = matching.get(source)
    if (known) return known
    const set = new RegExp(`^(?:${source})$`, plain.includes('s') ? plain : `${plain}s`)
    // A dot without `s` takes no line break; asked again without it.
    const exact = new RegExp(`^(?:${source})$`, plain)
    const found = candidates.filter((character) => set.test(character) && exact.test(character))
    if (found.length > MOST_EXAMPLES) found.length = MOST_EXAMPLES
    matching.set(source, found)
    return found
  }

  /** A shortest text that the node takes. */
  const example = (node: Node): string => {
    if (node.kind === 'set') return charactersOf(node.source)[0] ?? ''
    if (node.kind === 'sequence') return node.items.map(example).join('')
    if (node.kind === 'either') return example(node.options[0] ?? { kind: 'nothing' })
    if (node.kind === 'repeat') return example(node.body).repeat(node.least)
    return ''
  }
  /** Texts that the node takes, one for each character that its sets know. */
  const examples = (node: Node): string[] => {
    if (node.kind === 'set') return charactersOf(node.source)
    if (node.kind === 'either') return node.options.flatMap(examples)
    if (node.kind === 'repeat')
      return examples(node.body).map((text) => text.repeat(Math.max(1, Math.min(node.least, MANY))))
    if (node.kind === 'sequence') {
      return node.items.flatMap((item, which) =>
        examples(item).map((text) =>
          node.items.map((other, at) => (at === which ? text : example(other))).join(''),
        ),
      )
    }
    return []
  }

  const found: { before: string; pumped: string; after: string }[] = []
  const walk = (node: Node, before: string, after: string): void => {
    if (node.kind === 'either') for (const option of node.options) walk(option, before, after)
    if (node.kind === 'sequence') {
      for (const [which, item] of node.items.entries()) {
        const lead = node.items.slice(0, which).map(example).join('')
        walk(
          item,
          before + lead,
          node.items
            .slice(which + 1)
            .map(example)
            .join('') + after,
        )
      }
    }
    if (node.kind === 'repeat') {
      if (node.most > MANY) {
        for (const pumped of new Set(examples(node.body))) if (pumped) found.push({ before, pumped, after })
      }
      walk(node.body, before, after)
    }
  }
  walk(root, '', '')

  return function* (length) {
    for (const { before, pumped, after } of found) {
      const long = pumped.repeat(Math.ceil(length / pumped.length))
      for (const end of new Set(['\n', '\0', `${after}\0\n`])) {
        yield before + long + end
      }
      // A pump in front of an anchor, and two in a row.
      yield `\0${long}\n`
      yield `${before}${long}${after}${long}\0`
    }
  }
}
