/**
 * One redirect for a page, however often it is asked for: the newest that has not been undone says where to. A page may hold this
 * module twice, in two bundles, so the redirect hangs at the global object.
 */
import type { Undo } from './patch.ts'
import { patchAll } from './patches.ts'
import { movedUrl, type Target } from './target.ts'

const PLACE = Symbol.for('@belfry/compat')

/** Adds where requests go from now on. */
type Add = (target: Target) => Undo

const baseUrl = (): string | undefined =>
  globalThis.document === undefined ? globalThis.location?.href : document.baseURI

const createRedirects = (): Add => {
  const targets: { target: Target }[] = []
  let unpatch: Undo | undefined
  const moved = (url: string): string | undefined => {
    const newest = targets.at(-1)
    return newest && movedUrl(url, newest.target, baseUrl())
  }
  return (target) => {
    const own = { target }
    targets.push(own)
    unpatch ??= patchAll(moved)
    return () => {
      const at = targets.indexOf(own)
      if (at >= 0) targets.splice(at, 1)
      if (targets.length > 0) return
      unpatch?.()
      unpatch = undefined
    }
  }
}

const isAdd = (value: unknown): value is Add => typeof value === 'function'

export const redirectsOfPage = (): Add => {
  const present: unknown = Reflect.get(globalThis, PLACE)
  if (isAdd(present)) return present
  const add = createRedirects()
  Object.defineProperty(globalThis, PLACE, { value: add, configurable: true })
  return add
}
