/** The texts of a page in the language of its reader: one table a language, whose keys the compiler checks. */
import { computed, type ReadonlySignal, type Signal } from '@preact/signals'

/** A text whose words depend on `count`. */
export interface Plural {
  one: string
  other: string
}
export type Table<Key extends string> = Readonly<Record<Key, string | Plural>>
export type Values = Readonly<Record<string, string | number>>

export interface Texts<Key extends string> {
  language: ReadonlySignal<string>
  /** The language as in the reader's own region. */
  locale: ReadonlySignal<string>
  /** The text with `{name}` filled in. With `count` the words for that many. */
  t(key: Key, values?: Values): string
  number(value: number): string
  /** How long ago it was, as short as one says it. */
  ago(time: number): string
  /** Day and time in full. */
  at(time: number): string
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const WEEK_MS = 7 * DAY_MS

/** The language as in the reader's own region: `en-GB` writes dates otherwise than `en`. */
const regional = (language: string, wanted: readonly string[]): string =>
  wanted.find((each) => each.toLowerCase().startsWith(`${language}-`)) ?? language

const formatsOf = (language: string) => ({
  plural: new Intl.PluralRules(language),
  number: new Intl.NumberFormat(language),
  ago: new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' }),
  day: new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short' }),
  dayOfYear: new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', year: 'numeric' }),
  full: new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'short' }),
})

export const createTexts = <Language extends string, Key extends string>(
  tables: Readonly<Record<Language, Table<Key>>>,
  { language, wanted, now }: { language: Signal<Language>; wanted: readonly string[]; now: () => number },
): Texts<Key> => {
  const locale = computed(() => regional(language.value, wanted))
  const formats = computed(() => formatsOf(locale.value))
  const number = (value: number): string => formats.value.number.format(value)
  const t = (key: Key, values: Values = {}): string => {
    const found = tables[language.value][key]
    const { count } = values
    const isOne = formats.value.plural.select(Number(count ?? 0)) === 'one'
    const text = typeof found === 'string' ? found : isOne ? found.one : found.other
    return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name]
      return value === undefined ? whole : typeof value === 'number' ? number(value) : value
    })
  }
  const ago = (time: number): string => {
    const past = Math.max(0, now() - time)
    const { ago: relative, day, dayOfYear } = formats.value
    if (past < MINUTE_MS) return relative.format(0, 'second')
    if (past < HOUR_MS) return relative.format(-Math.floor(past / MINUTE_MS), 'minute')
    if (past < DAY_MS) return relative.format(-Math.floor(past / HOUR_MS), 'hour')
    if (past < WEEK_MS) return relative.format(-Math.floor(past / DAY_MS), 'day')
    const isThisYear = new Date(time).getFullYear() === new Date(now()).getFullYear()
    return (isThisYear ? day : dayOfYear).format(time)
  }
  return { language, locale, t, number, ago, at: (time) => formats.value.full.format(time) }
}
