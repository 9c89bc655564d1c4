/** The texts of a notification for a reader. Service workers use it, so it brings nothing along. */
import type { Extras } from './extras.ts'

/** What the languages of a reader make of a tag: itself, then without its last parts (RFC 4647, lookup). */
const shortened = (language: string): string[] => {
  const parts = language.toLowerCase().split('-')
  return parts.map((_, at) => parts.slice(0, parts.length - at).join('-'))
}

/**
 * The texts of a notification in the first of the languages that it has, else its own texts.
 *
 * @param notification as `message` and `history` have it.
 * @param languages BCP 47 tags, the preferred one first; `navigator.languages` is such a list.
 * @returns the notification with the title and the body in that language.
 * @example
 * const { title, body } = inLanguage(notification, 'de-AT')
 */
export const inLanguage = <N extends { title: string; body: string; locales?: Extras['locales'] }>(
  notification: N,
  languages: string | readonly string[],
): N => {
  const variants = Object.entries(notification.locales ?? {})
  if (variants.length === 0) return notification
  for (const wanted of [languages].flat().flatMap(shortened)) {
    const [, texts] = variants.find(([language]) => language.toLowerCase() === wanted) ?? []
    if (texts) return { ...notification, ...texts }
  }
  return notification
}
