/** Anything that a person must see before a yes, as names and values. Bytes are shown as text where they are one, else in hex. */
const MAX_FACTS = 200
const MAX_LENGTH = 2_000

const hexOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')

const bytesAsText = (bytes: Uint8Array): string => {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return /[^\P{C}\n\t]/u.test(text) ? hexOf(bytes) : text
  } catch {
    return hexOf(bytes)
  }
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array
    ? bytesAsText(value)
    : typeof value === 'bigint'
      ? String(value)
      : String(value ?? '–')

const listed = (value: unknown, name = ''): [string, string][] => {
  const isTree = typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
  if (!isTree) return [[name, textOf(value).slice(0, MAX_LENGTH)]]
  return Object.entries(value).flatMap(([key, inner]) => listed(inner, name === '' ? key : `${name}.${key}`))
}

export const Facts = ({ facts }: { facts: unknown }) => {
  if (facts === undefined) return null
  return (
    <dl class="facts" tabIndex={0}>
      {listed(facts)
        .slice(0, MAX_FACTS)
        .map(([name, text]) => (
          <div key={name} class="fact">
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
    </dl>
  )
}
