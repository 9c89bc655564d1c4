/** The first letter of an app in one of eight colours, always the same one: pictures of apps lie elsewhere, and are not asked for. */
const COLOURS = 8

export const Avatar = ({ domain, name }: { domain: string; name: string }) => {
  const sum = [...domain].reduce((before, letter) => (before * 31 + (letter.codePointAt(0) ?? 0)) % 997, 7)
  const [letter = '?'] = name.trim()
  return (
    <span class={`avatar avatar-${sum % COLOURS}`} aria-hidden="true">
      {letter.toUpperCase()}
    </span>
  )
}
