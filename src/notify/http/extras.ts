/** Extras of notifications as dapps write them: bounds are checked here, each with a sentence that says what it is. */
import * as z from 'zod'
import { utf8 } from '../../protocol/bytes.ts'
import { type Extras, PRIORITIES } from '../../protocol/notify/extras.ts'
import { link, text } from './schema.ts'

const MAX_ACTIONS = 3
const MAX_TAGS = 5
const MAX_LOCALES = 8
/** JSON of all extras. With it a message, and a page of a history, stay far below what a relay takes. */
const MAX_EXTRAS_BYTES = 8_192

const ACTION_ID = /^[a-z0-9_-]{1,32}$/
const TAG = /^[\p{L}\p{N}_+-]{1,32}$/u

const isHttps = (value: string): boolean => URL.canParse(value) && new URL(value).protocol === 'https:'

const areUnique = (all: readonly string[]): boolean => new Set(all).size === all.length

const action = z
  .object({
    id: z.string().regex(ACTION_ID, { error: 'must be 1 to 32 of a-z 0-9 _ -' }),
    title: text(1, 32),
    url: link.optional(),
    answer: z.literal(true, { error: 'must be true, or absent' }).optional(),
  })
  .superRefine(({ url, answer }, context) => {
    if ((url === undefined) !== (answer === undefined)) return
    context.addIssue({ code: 'custom', message: 'must have either a url or "answer": true' })
  })

/** As the registry writes it: `de-at` and `de-AT` are one language. */
const canonical = (language: string): string | undefined => {
  try {
    return Intl.getCanonicalLocales(language)[0]
  } catch {
    return undefined
  }
}

const locales = z
  .record(z.string().max(35), z.object({ title: text(1, 64), body: text(1, 255) }))
  .superRefine((variants, context) => {
    const languages = Object.keys(variants)
    if (languages.length > MAX_LOCALES) {
      context.addIssue({ code: 'custom', message: `must be at most ${MAX_LOCALES} languages` })
    }
    const wrong = languages.find((language) => canonical(language) === undefined)
    if (wrong !== undefined) {
      context.addIssue({
        code: 'custom',
        message: 'must be named by a language tag, as de or pt-BR',
        path: [wrong],
      })
    } else if (!areUnique(languages.map((language) => canonical(language) ?? language))) {
      context.addIssue({ code: 'custom', message: 'must name each language once' })
    }
  })

/** The members of a `notification` that are extras. */
export const extrasShape = {
  priority: z.enum(PRIORITIES, { error: `must be one of ${PRIORITIES.join(', ')}` }).optional(),
  image: text(1, 255).refine(isHttps, { error: 'must be an https URL' }).optional(),
  actions: z
    .array(action)
    .max(MAX_ACTIONS, { error: `must be at most ${MAX_ACTIONS}` })
    .refine((all) => areUnique(all.map(({ id }) => id)), { error: 'must have an id each' })
    .optional(),
  tags: z
    .array(z.string().regex(TAG, { error: 'must be a word of 1 to 32 letters, digits, _ + or -' }))
    .max(MAX_TAGS, { error: `must be at most ${MAX_TAGS}` })
    .refine(areUnique, { error: 'must be different words' })
    .optional(),
  locales: locales.optional(),
  silent: z.boolean().optional(),
}

const shape = z.object(extrasShape)

/** What is empty or the default is not kept, so that a plain notification stays one. */
const extrasIn = ({
  priority,
  image,
  actions = [],
  tags = [],
  locales = {},
  silent,
}: z.output<typeof shape>) => {
  const variants = Object.entries(locales).map(([language, texts]) => [
    canonical(language) ?? language,
    texts,
  ])
  const extras: Extras = {
    ...(priority !== undefined && { priority }),
    ...(image !== undefined && { image }),
    ...(actions.length > 0 && {
      actions: actions.map(({ id, title, url }) =>
        url === undefined ? { id, title, answer: true as const } : { id, title, url },
      ),
    }),
    ...(tags.length > 0 && { tags }),
    ...(variants.length > 0 && { locales: Object.fromEntries(variants) }),
    ...(silent === true && { silent }),
  }
  return Object.keys(extras).length > 0 ? extras : undefined
}

type Written = z.output<typeof shape>

/** Gathers the extras of a notification into one member, absent where it has none. Too large ones are a fault. */
export const gathered = <T extends Written>(written: T, context: z.RefinementCtx) => {
  const { priority, image, actions, tags, locales, silent, ...plain } = written
  const extras = extrasIn({ priority, image, actions, tags, locales, silent })
  if (extras === undefined) return plain
  if (utf8(JSON.stringify(extras)).length > MAX_EXTRAS_BYTES) {
    const message = `must be at most ${MAX_EXTRAS_BYTES} bytes of extras together`
    context.addIssue({ code: 'custom', path: [extras.locales ? 'locales' : 'actions'], message })
    return z.NEVER
  }
  return { ...plain, extras }
}

/** Extras as answers of the API show them. */
export const shownExtras = {
  priority: z.enum(PRIORITIES).optional(),
  image: z.string().optional(),
  actions: z
    .array(
      z.object({
        id: z.string(),
        title: z.string(),
        url: z.string().optional(),
        answer: z.literal(true).optional(),
      }),
    )
    .optional(),
  tags: z.array(z.string()).optional(),
  locales: z.record(z.string(), z.object({ title: z.string(), body: z.string() })).optional(),
  silent: z.boolean().optional(),
}
