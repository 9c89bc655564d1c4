import { ALL, PARTITIONS } from './layout.ts'

/** A part of one partition's list: at most `limit` names behind `after`. */
export interface Part {
  p: number
  after: string | undefined
  limit: number
}

/**
 * A page of the merged order of all partitions' lists. Names are spread evenly, so each partition is asked for little
 * more than its share, and only one that turns out to hold more is asked again.
 *
 * Names are ASCII (hex topics, CAIP account keys), in which the order of Redis (bytes) is that of JavaScript.
 */
export const mergePages = async (
  { after, limit }: { after?: string | undefined; limit: number },
  fetch: (parts: readonly Part[]) => Promise<readonly string[][]>,
): Promise<string[]> => {
  const share = Math.min(limit, Math.ceil((2 * limit) / PARTITIONS) + 8)
  const lists = ALL.map((p) => ({ p, after, names: [] as string[], at: 0, isWhole: false }))
  const page: string[] = []
  while (page.length < limit) {
    const empty = lists.filter(({ names, at, isWhole }) => !isWhole && at === names.length)
    const fetched = empty.length > 0 ? await fetch(empty.map((one) => ({ ...one, limit: share }))) : []
    for (const [at, list] of empty.entries()) {
      list.names = fetched[at] ?? []
      list.at = 0
      list.isWhole = list.names.length < share
      list.after = list.names.at(-1)
    }
    let more = true
    while (more && page.length < limit) {
      let first: (typeof lists)[number] | undefined
      let least: string | undefined
      for (const list of lists) {
        const head = list.names[list.at]
        if (head !== undefined && (least === undefined || head < least)) {
          first = list
          least = head
        }
      }
      if (!first || least === undefined) return page
      page.push(least)
      first.at += 1
      more = first.isWhole || first.at < first.names.length
    }
  }
  return page
}
