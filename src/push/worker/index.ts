/**
 * The service worker's side of push. A push carries sealed messages; they are opened here, with keys that the page left in
 * IndexedDB (`database`), and shown. Their text is in clear nowhere else. What did not fit is fetched from the relay. A click
 * focuses a page of the app that shows the address, or opens it, and has the notification marked as read by the page. A click on an
 * action follows its link, or leaves the answer for the page to sign.
 */
import { noteRead, relayOfWorker, topicOfWorker } from './database.ts'
import { fetchMessages } from './fetching.ts'
import { openNotification, type ShownNotification } from './notification.ts'

export interface PushWorkerOptions {
  /** Shown where nothing can be opened: browsers show something of their own otherwise. */
  fallback?: { title: string; body?: string }
  /** Where a click leads; default: the notification's URL, else the scope of the worker. */
  urlOf?: (notification: ShownNotification) => string
}

interface Carried {
  topic: string
  id: string
  message?: string
}

interface WindowPage {
  readonly url: string
  focus(): Promise<unknown>
  postMessage(message: unknown): void
}

/** What the module uses of `ServiceWorkerGlobalScope`. */
interface WorkerScope {
  readonly navigator?: { readonly languages: readonly string[] }
  readonly registration: {
    readonly scope: string
    showNotification(title: string, options: object): Promise<void>
  }
  readonly clients: {
    matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly WindowPage[]>
    openWindow(url: string): Promise<unknown>
  }
  addEventListener(type: string, listener: (event: never) => void): void
}

interface PushEvent {
  readonly data: { json(): unknown } | null
  waitUntil(work: Promise<unknown>): void
}
interface ClickEvent {
  /** Id of the action that was clicked; empty for the notification itself. */
  readonly action?: string
  readonly notification: { readonly data: unknown; close(): void }
  waitUntil(work: Promise<unknown>): void
}

/** What a page is told of a click. */
export const READ_MESSAGE = 'belfry-push-read'

const FALLBACK = { title: 'You have new notifications', body: 'Open to view' }

const carriedIn = (data: unknown): { messages: Carried[]; more: number } => {
  const said = (data ?? {}) as { messages?: unknown; more?: unknown }
  const all = Array.isArray(said.messages) ? said.messages : []
  const messages = all.filter(
    (one): one is Carried => typeof one?.topic === 'string' && typeof one.id === 'string',
  )
  return { messages, more: typeof said.more === 'number' ? said.more : 0 }
}

/** The messages with their texts, as far as they can be had. */
const withTexts = async (messages: readonly Carried[], more: number): Promise<Carried[]> => {
  const isWhole = more === 0 && messages.every(({ message }) => message !== undefined)
  const relay = isWhole ? undefined : await relayOfWorker()
  if (!relay) return [...messages]
  try {
    const fetched = await fetchMessages(relay, [...new Set(messages.map(({ topic }) => topic))])
    const known = new Set(messages.filter(({ message }) => message !== undefined).map(({ id }) => id))
    const wanted = new Set(messages.map(({ id }) => id))
    const found = fetched.filter(({ id }) => !known.has(id) && (more > 0 || wanted.has(id)))
    return [...messages.filter(({ message }) => message !== undefined), ...found]
  } catch {
    return [...messages]
  }
}

const openAll = async (
  messages: readonly Carried[],
  languages: readonly string[],
): Promise<ShownNotification[]> => {
  const opened = await Promise.all(
    messages.map(async ({ topic, message }) => {
      const known = message === undefined ? undefined : await topicOfWorker(topic)
      return known && message !== undefined ? openNotification(message, known, languages) : undefined
    }),
  )
  return opened.filter((one) => one !== undefined)
}

interface ShownData {
  id: string
  domain: string
  url: string
  /** Absent in those that a former version showed. */
  links?: Record<string, string>
  isDigest?: true
}

const isShown = (data: unknown): data is ShownData => {
  const { id, domain, url } = (data ?? {}) as Record<string, unknown>
  return typeof id === 'string' && typeof domain === 'string' && typeof url === 'string'
}

/** Undefined for what is no URL: `URL.canParse` is newer than Web Push. */
const hrefOf = (url: string, base: string): string | undefined => {
  try {
    return new URL(url, base).href
  } catch {
    return undefined
  }
}

/** Where each action that is a link leads. */
const linksOf = ({ actions }: ShownNotification, base: string): Record<string, string> =>
  Object.fromEntries(
    actions.flatMap(({ id, url }) => {
      const href = url === undefined ? undefined : hrefOf(url, base)
      return href === undefined ? [] : [[id, href]]
    }),
  )

/** What the browser is told of a notification. */
const optionsOf = (one: ShownNotification, link: string, base: string): object => {
  const { id, domain, body, icon, image, isDigest } = one
  const links = linksOf(one, base)
  // A link that is none would be taken for an answer.
  const actions = one.actions.filter((action) => action.url === undefined || action.id in links)
  return {
    ...{ body, tag: id },
    data: { id, domain, url: hrefOf(link, base) ?? base, links, ...(isDigest && { isDigest: true }) },
    ...(icon !== '' && { icon }),
    ...(image !== '' && { image }),
    ...(actions.length > 0 && { actions: actions.map(({ id, title }) => ({ action: id, title })) }),
  }
}

/**
 * Adds the listeners of push to a service worker.
 *
 * @param self the global of the worker
 * @param options what is shown where nothing can be opened, and where a click leads
 * @example
 * import { startPushWorker } from 'belfry/push-worker'
 * startPushWorker(self, { fallback: { title: 'News in your wallet' } })
 */
export const startPushWorker = (self: object, options: PushWorkerOptions = {}): void => {
  // Its type is in a library of TypeScript that an application has or has not.
  const scope = self as WorkerScope
  const { fallback = FALLBACK, urlOf = (one: ShownNotification) => one.url || scope.registration.scope } =
    options

  const show = async (data: unknown): Promise<void> => {
    const { messages, more } = carriedIn(data)
    // Also where IndexedDB cannot be used something is shown.
    const opened = await withTexts(messages, more)
      .then((all) => openAll(all, scope.navigator?.languages ?? []))
      .catch(() => [])
    if (opened.length === 0)
      return scope.registration.showNotification(fallback.title, { body: fallback.body ?? '', tag: 'belfry' })
    for (const one of opened)
      await scope.registration.showNotification(
        one.title,
        optionsOf(one, urlOf(one), scope.registration.scope),
      )
  }

  const clicked = async (data: unknown, action: string): Promise<void> => {
    const windows = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true })
    if (!isShown(data)) {
      const [any] = windows
      await (any ? any.focus() : scope.clients.openWindow(scope.registration.scope))
      return
    }
    const { id, domain, isDigest } = data
    const link = action === '' ? undefined : data.links?.[action]
    const url = link ?? data.url
    // Kept until a page has marked it, or signed the answer: there may be none yet.
    if (!isDigest) {
      await noteRead({ id, domain, ...(action !== '' && link === undefined && { action }) })
      for (const page of windows) page.postMessage({ type: READ_MESSAGE, id, domain })
    }
    const there = windows.find((page) => page.url === url)
    await (there ? there.focus() : scope.clients.openWindow(url))
  }

  scope.addEventListener('push', (event: PushEvent) => {
    let data: unknown
    try {
      data = event.data?.json()
    } catch {
      data = undefined
    }
    event.waitUntil(show(data))
  })
  scope.addEventListener('notificationclick', (event: ClickEvent) => {
    event.notification.close()
    event.waitUntil(clicked(event.notification.data, event.action ?? ''))
  })
}
