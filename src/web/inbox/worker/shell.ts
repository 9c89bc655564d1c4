/**
 * Keeps the inbox itself on the device, so that it opens without the server. A new version is kept beside the old one, and used
 * when no page of the old one is open, or a reader wants it.
 */
import { TAKE_OVER } from '../model/worker.ts'

export interface Shell {
  /** Changes with any of the files. */
  version: string
  /** Paths; the first one is the page. */
  files: readonly string[]
}

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface FetchEvent extends Event {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}
interface MessageEvent extends Event {
  readonly data: unknown
}

/** What the module uses of `ServiceWorkerGlobalScope`. */
interface WorkerScope {
  readonly caches: CacheStorage
  readonly clients: { claim(): Promise<void> }
  readonly location: { readonly origin: string }
  skipWaiting(): Promise<void>
  addEventListener(type: string, listener: (event: never) => void): void
}

const PREFIX = 'belfry-inbox-'

export const serveShell = (self: object, { version, files }: Shell): void => {
  // Its type is in a library of TypeScript that goes ill with that of pages.
  const scope = self as WorkerScope
  const name = PREFIX + version
  const known = new Set(files)

  const install = async (): Promise<void> => {
    const cache = await scope.caches.open(name)
    // Past the cache of the browser: a page must fit to its scripts.
    await cache.addAll(files.map((file) => new Request(file, { cache: 'reload' })))
  }
  const activate = async (): Promise<void> => {
    const old = (await scope.caches.keys()).filter((each) => each.startsWith(PREFIX) && each !== name)
    await Promise.all(old.map((each) => scope.caches.delete(each)))
    await scope.clients.claim()
  }
  const answer = async (request: Request, path: string): Promise<Response> => {
    const cache = await scope.caches.open(name)
    return (await cache.match(path)) ?? fetch(request)
  }

  scope.addEventListener('install', (event: ExtendableEvent) => event.waitUntil(install()))
  scope.addEventListener('activate', (event: ExtendableEvent) => event.waitUntil(activate()))
  scope.addEventListener('message', ({ data }: MessageEvent) => {
    if (data === TAKE_OVER) void scope.skipWaiting()
  })
  scope.addEventListener('fetch', (event: FetchEvent) => {
    const { request } = event
    const { origin, pathname } = new URL(request.url)
    if (request.method === 'GET' && origin === scope.location.origin && known.has(pathname))
      event.respondWith(answer(request, pathname))
  })
}
