/** The extras of a notification while somebody writes them, and what is sent of them. */
import { Failure } from './api.ts'
import type { Extras, Priority } from './shapes.ts'
import { T } from './texts.ts'

export const MAX_ACTIONS = 3
export const MAX_LOCALES = 8
const MAX_ID_LENGTH = 32

/** Rows have a key of their own: their place changes when one before them goes. */
export interface ActionRow {
  key: string
  title: string
  isAnswer: boolean
  url: string
}
export interface LocaleRow {
  key: string
  language: string
  title: string
  body: string
}
export interface ExtrasDraft {
  priority: Priority
  isSilent: boolean
  image: string
  tags: string
  actions: readonly ActionRow[]
  locales: readonly LocaleRow[]
}

export const NO_EXTRAS: ExtrasDraft = {
  ...{ priority: 'normal', isSilent: false, image: '', tags: '', actions: [], locales: [] },
}

/** Names of fields, as the server names their places in what was sent. */
export const actionField = (nth: number, part: 'title' | 'url'): string => `actions[${nth}].${part}`
export const localeField = (language: string, part?: 'title' | 'body'): string =>
  part ? `locales.${language}.${part}` : `locales.${language}`

export const extrasFields = ({ actions, locales }: ExtrasDraft): string[] => [
  ...['priority', 'image', 'tags', 'actions', 'locales'],
  ...actions.flatMap((_, nth) => [actionField(nth, 'title'), actionField(nth, 'url')]),
  ...locales
    .map(({ language }) => language.trim())
    .flatMap((language) => [
      localeField(language),
      localeField(language, 'title'),
      localeField(language, 'body'),
    ]),
]

/** An id of the title, that no action before has; the dapp sees it with each answer. */
export const actionIds = (actions: readonly Pick<ActionRow, 'title'>[]): string[] => {
  const ids: string[] = []
  for (const [at, { title }] of actions.entries()) {
    const words = title.toLowerCase().replace(/[^a-z0-9]+/g, '-')
    const id = words.replace(/^-/, '').slice(0, MAX_ID_LENGTH).replace(/-$/, '')
    const numbered = `${id.slice(0, MAX_ID_LENGTH - 2) || 'action'}-${at + 1}`
    ids.push(id === '' || ids.includes(id) ? numbered : id)
  }
  return ids
}

const tagsIn = (text: string): string[] =>
  text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')

/** As far as it is written: what is not given is absent. */
export const shownExtras = ({
  priority,
  isSilent,
  image,
  tags: text,
  actions,
  locales,
}: ExtrasDraft): Extras => {
  const tags = tagsIn(text)
  const ids = actionIds(actions)
  const shown = actions.map(({ title, isAnswer, url }, at) => ({
    ...{ id: ids[at] ?? '', title: title.trim() },
    ...(isAnswer ? { answer: true as const } : { url: url.trim() }),
  }))
  const variants = locales.map(
    ({ language, title, body }) => [language.trim(), { title: title.trim(), body: body.trim() }] as const,
  )
  return {
    ...(priority !== 'normal' && { priority }),
    ...(isSilent && { silent: true }),
    ...(image.trim() && { image: image.trim() }),
    ...(tags.length > 0 && { tags }),
    ...(shown.length > 0 && { actions: shown }),
    ...(variants.length > 0 && { locales: Object.fromEntries(variants) }),
  }
}

/** What is sent. Throws `Failure` where a language is there twice: one of the two would be lost. */
export const extrasOf = (draft: ExtrasDraft): Extras => {
  const languages = draft.locales.map(({ language }) => language.trim())
  const twice = languages.find((language, at) => languages.indexOf(language) !== at)
  if (twice !== undefined) throw new Failure(T.send.languageTwice, 0, `notification.${localeField(twice)}`)
  return shownExtras(draft)
}
