import { behind } from '../../bytes.ts'
import type { Page, TableReader } from '../../transfer/transfer.ts'
import type { ReadView, Rows } from '../checked-rows.ts'

/** Rows of one page, and about the bytes after which it ends early. */
const MAX_PAGE_ROWS = 1_000
const MAX_PAGE_BYTES = 4 * 1024 * 1024

/**
 * A table as pages of records, in key order. `pick` makes the record of a row; undefined leaves the row out. The
 * cursor is the last key that was looked at, in hex.
 */
export const walk = <V, R>(
  table: Rows<V>,
  view: ReadView,
  pick: (at: Buffer, value: V, now: number) => R | undefined,
): TableReader<R> => ({
  async *read({ now, after }) {
    let last = after === undefined ? undefined : Buffer.from(after, 'hex')
    for (;;) {
      const page: Page<R> = { records: [], cursor: undefined }
      let rows = 0
      let bytes = 0
      const start = last && behind(last)
      for (const { key, value } of table.getRange({
        ...view,
        ...(start && { start }),
        limit: MAX_PAGE_ROWS,
      })) {
        rows += 1
        last = Buffer.from(key)
        const record = pick(last, value, now)
        if (record !== undefined) page.records.push(record)
        if (Buffer.isBuffer(value)) bytes += value.length
        if (bytes > MAX_PAGE_BYTES) break
      }
      if (last === undefined || rows === 0) return
      yield { ...page, cursor: last.toString('hex') }
      // The others, too, want to run.
      await new Promise((resolve) => setImmediate(resolve))
    }
  },
  size: async () => table.size(),
})
