/** Reads a list of the store page by page, with a cursor that only moves on. */
import { invariant } from '../platform/invariant.ts'

/** `cursorOf` gives the `after` of the next page. `start` is the `after` of the first. */
export async function* pagesOf<T>(
  size: number,
  read: (page: { after?: string; limit: number }) => Promise<T[]>,
  cursorOf: (last: T) => string,
  start?: string,
): AsyncGenerator<T[]> {
  for (let after = start; ; ) {
    const page = await read({ limit: size, ...(after !== undefined && { after }) })
    invariant(page.length <= size, 'A page is never longer than its limit')
    yield page
    const last = page.at(-1)
    if (last === undefined || page.length < size) return
    const next = cursorOf(last)
    invariant(next !== after, 'The cursor of a list moves on with each page')
    after = next
  }
}
