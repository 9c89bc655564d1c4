/**
 * What a page asks servers with, each led through `moved`. What is not moved is called with what it was given, in the same
 * number: `open(method, url)` is not `open(method, url, undefined)`.
 */
import { replaceFunction, replaceProperty, type Undo } from './patch.ts'

/** The address to be asked instead; undefined for one that stays. */
export type Moved = (url: string) => string | undefined

/** Waits for the body: browsers send one that is still a stream over HTTP/2 alone. */
const movedRequest = async (url: string, request: Request, hasOtherBody: boolean): Promise<Request> => {
  const { method, headers, mode, credentials, cache, redirect, referrer, referrerPolicy } = request
  const { integrity, keepalive, signal } = request
  const hasBody = !hasOtherBody && method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? await request.arrayBuffer() : undefined
  return new Request(url, {
    ...{ method, headers, mode, credentials, cache, redirect, referrer, referrerPolicy },
    ...{ integrity, keepalive, signal },
    ...(body?.byteLength && { body }),
  })
}

const patchFetch = (moved: Moved): Undo =>
  replaceFunction(
    globalThis,
    'fetch',
    (before) =>
      // Its own name, since libraries look for it.
      function fetch(...args: unknown[]) {
        const [input, ...rest] = args
        const request = input instanceof Request ? input : undefined
        const url = moved(request?.url ?? String(input))
        if (url === undefined) return Reflect.apply(before, globalThis, args)
        if (!request) return Reflect.apply(before, globalThis, [url, ...rest])
        const [init] = rest
        const hasOtherBody = typeof init === 'object' && init !== null && Reflect.get(init, 'body') != null
        return movedRequest(url, request, hasOtherBody).then((other) =>
          Reflect.apply(before, globalThis, [other, ...rest]),
        )
      },
  )

/** A constructor whose first argument is an address. Its constants, its prototype and `instanceof` stay what they are. */
const patchConstructor = (name: 'WebSocket' | 'EventSource', moved: Moved): Undo =>
  replaceFunction(
    globalThis,
    name,
    (before) =>
      new Proxy(before, {
        construct: (target, [url, ...rest], self) =>
          Reflect.construct(target, [moved(String(url)) ?? url, ...rest], self),
      }),
  )

/** A method, one of whose arguments is an address. */
const patchMethod = (kind: string, name: string, at: number, moved: Moved): Undo => {
  const found: unknown = Reflect.get(globalThis, kind)
  if (typeof found !== 'function') return () => {}
  return replaceFunction(
    found.prototype,
    name,
    (before) =>
      function (this: unknown, ...args: unknown[]) {
        const url = moved(String(args[at]))
        if (url !== undefined) args[at] = url
        return Reflect.apply(before, this, args)
      },
  )
}

/** Attestations come in a frame: it hands them to the page by a message, whatever its address. */
const patchFrame = (moved: Moved): Undo => {
  if (typeof HTMLIFrameElement === 'undefined') return () => {}
  return replaceProperty(HTMLIFrameElement.prototype, 'src', (before) => ({
    ...before,
    set(this: unknown, url: unknown) {
      if (before.set) Reflect.apply(before.set, this, [moved(String(url)) ?? url])
    },
  }))
}

/** Undone in the reverse order. */
export const patchAll = (moved: Moved): Undo => {
  const undos = [
    patchFetch(moved),
    patchConstructor('WebSocket', moved),
    patchConstructor('EventSource', moved),
    patchMethod('XMLHttpRequest', 'open', 1, moved),
    patchMethod('Navigator', 'sendBeacon', 0, moved),
    patchFrame(moved),
  ].reverse()
  return () => {
    for (const undo of undos) undo()
  }
}
