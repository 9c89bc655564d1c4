/**
 * The messages that are shown: of all apps or of one, all or the unread ones, all or those that a search finds. They come from the
 * database page by page as the reader scrolls, and from the server where the database ends.
 */
import { batch, type ReadonlySignal, signal } from '@preact/signals'
import { inLanguage } from '../../../sdk/wallet.ts'
import type { Database, Message } from './database.ts'

const PAGE_SIZE = 40

export interface Wanted {
  app?: string | undefined
  unreadOnly: boolean
  search: string
}

export interface MessageList {
  readonly wanted: ReadonlySignal<Wanted>
  /** Newest first. */
  readonly shown: ReadonlySignal<readonly Message[]>
  /** Whether there may be older ones, here or at the server. */
  readonly hasMore: ReadonlySignal<boolean>
  readonly isReading: ReadonlySignal<boolean>
  show(wanted: Wanted): Promise<void>
  /** Reads older ones. */
  more(): Promise<void>
  /** These are in the database now. */
  added(messages: readonly Message[]): void
  /** This one is in the database now, in place of what it was. */
  changed(message: Message): void
  /** These are read now; all of an app without ids. */
  read(domain: string, ids?: ReadonlySet<string>): void
  /** The messages of an app are gone. */
  removed(domain: string): void
}

const isNewer = (one: Message, other: Message): number =>
  other.sentAt - one.sentAt || (other.id < one.id ? -1 : other.id > one.id ? 1 : 0)

interface Words {
  nameOf: (domain: string) => string
  /** The language that messages are shown in. */
  locale: () => string
}

const matcherOf = ({ app, unreadOnly, search }: Wanted, { nameOf, locale }: Words) => {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return (message: Message): boolean => {
    if (app !== undefined && message.domain !== app) return false
    if (unreadOnly && message.isRead) return false
    if (words.length === 0) return true
    const { title, body, domain, tags = [] } = inLanguage(message, locale())
    const text = [title, body, domain, nameOf(domain), ...tags].join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  }
}

const merged = (before: readonly Message[], messages: readonly Message[]): Message[] => {
  const byId = new Map(
    [...before, ...messages].map((message) => [`${message.domain} ${message.id}`, message]),
  )
  return [...byId.values()].sort(isNewer)
}

const readIn = (before: readonly Message[], domain: string, ids: ReadonlySet<string> | undefined) => {
  const isMeant = (one: Message): boolean =>
    one.domain === domain && !one.isRead && (ids === undefined || ids.has(one.id))
  return before.some(isMeant) ? before.map((one) => (isMeant(one) ? { ...one, isRead: true } : one)) : before
}

const changedIn = (before: readonly Message[], message: Message): Message[] =>
  before.map((one) => (one.id === message.id && one.domain === message.domain ? message : one))

interface ListDeps extends Words {
  database: Pick<Database, 'page'>
  /** Has older messages of one app, or of all, put into the database. Resolves with whether there were any. */
  readOlder: (app: string | undefined) => Promise<boolean>
}

export const createMessageList = (deps: ListDeps): MessageList => {
  const { database, readOlder } = deps
  const wanted = signal<Wanted>({ unreadOnly: false, search: '' })
  const shown = signal<readonly Message[]>([])
  const hasMore = signal(true)
  const isReading = signal(false)
  let matches = matcherOf(wanted.value, deps)
  /** What was asked for earlier is not wanted any more. */
  let generation = 0

  const readPage = async (): Promise<number> => {
    const own = generation
    const page = await database.page({
      ...{ domain: wanted.value.app, behind: shown.value.at(-1), matches, limit: PAGE_SIZE },
    })
    if (own === generation) shown.value = merged(shown.value, page)
    return own === generation ? page.length : PAGE_SIZE
  }

  const more = async (): Promise<void> => {
    if (isReading.value || !hasMore.value) return
    const own = generation
    isReading.value = true
    try {
      if ((await readPage()) === PAGE_SIZE) return
      // What is searched for is searched for on this device.
      const isOlderWanted = wanted.value.search === ''
      const found = isOlderWanted && (await readOlder(wanted.value.app).catch(() => false))
      if (own !== generation) return
      if (found) await readPage()
      else hasMore.value = false
    } finally {
      if (own === generation) isReading.value = false
    }
  }

  return {
    ...{ wanted, shown, hasMore, isReading, more },
    async show(next) {
      generation++
      matches = matcherOf(next, deps)
      batch(() => {
        wanted.value = next
        shown.value = []
        hasMore.value = true
        isReading.value = false
      })
      await more()
    },
    added(messages) {
      const fresh = messages.filter(matches)
      const last = shown.value.at(-1)
      // Those behind the last one come when the reader gets there.
      const within = hasMore.value && last ? fresh.filter((one) => isNewer(one, last) < 0) : fresh
      if (within.length > 0) shown.value = merged(shown.value, within)
    },
    changed(message) {
      // Also where it is not listed: it may be the one that is being read.
      shown.value = changedIn(shown.value, message)
    },
    read(domain, ids) {
      // With unread ones only, what is read stays until the list is shown anew: it may be what is being read.
      shown.value = readIn(shown.value, domain, ids)
    },
    removed(domain) {
      shown.value = shown.value.filter((one) => one.domain !== domain)
    },
  }
}
