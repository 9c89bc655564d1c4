/** What `notify` and `broadcast` say: the flags of a notification, and the notification that they make. */
import { PRIORITIES } from '../protocol/notify/extras.ts'
import { type Args, type Typed, UsageError } from './command.ts'

const EXTRAS = 'Extras'

export const EXTRAS_FLAGS = {
  priority: {
    type: 'string',
    valueHint: 'PRIORITY',
    description: `${PRIORITIES.join(', ')}; low wakes nobody`,
    group: EXTRAS,
  },
  image: { type: 'string', valueHint: 'URL', description: 'A picture, https', group: EXTRAS },
  action: {
    type: 'string',
    valueHint: 'ID=TITLE[=URL]',
    description: 'A button: a link, or without a URL a signed answer; up to 3',
    group: EXTRAS,
  },
  tag: { type: 'string', valueHint: 'WORD', description: 'A word about it; up to 5', group: EXTRAS },
  locale: {
    type: 'string',
    valueHint: 'LANG=TITLE=BODY',
    description: 'Its texts in another language; up to 8',
    group: EXTRAS,
  },
  silent: { type: 'boolean', description: 'In the inbox, without a sound or a push', group: EXTRAS },
} as const satisfies Args

/** The first parts end with the first `=`; the last one may have more of them. */
const partsOf = (text: string, count: number): string[] => {
  const parts = text.split('=')
  return [...parts.slice(0, count - 1), ...(parts.length < count ? [] : [parts.slice(count - 1).join('=')])]
}

const actionOf = (text: string) => {
  const [id = '', title, url] = partsOf(text, 3)
  if (title === undefined) throw new UsageError(`--action is ID=TITLE or ID=TITLE=URL, not ${text}`)
  return url === undefined ? { id, title, answer: true } : { id, title, url }
}

const localeOf = (text: string) => {
  const [language = '', title, body] = partsOf(text, 3)
  if (title === undefined || body === undefined) {
    throw new UsageError(`--locale is LANG=TITLE=BODY, not ${text}`)
  }
  return [language, { title, body }] as const
}

/** Throws `UsageError` for what is missing; bounds are the server's. */
export const notificationFrom = ({ one, all, on }: Typed) => {
  for (const name of ['type', 'title', 'body']) {
    if (one[name] === undefined) throw new UsageError(`--${name} is missing`)
  }
  return {
    ...{ type: one.type, title: one.title, body: one.body, url: one.url },
    ...{ priority: one.priority, image: one.image, actions: all.action?.map(actionOf), tags: all.tag },
    locales: all.locale && Object.fromEntries(all.locale.map(localeOf)),
    silent: on.has('silent') || undefined,
  }
}
