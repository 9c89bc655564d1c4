/** How far a long command is, on stderr: a line that is drawn again on a terminal, a line for each table elsewhere. */
import type { Progress } from '../storage/transfer/migration.ts'
import type { TableName } from '../storage/transfer/transfer.ts'
import { bar, shown } from './progress-bar.ts'

/** Between two drawings, ms. */
const REDRAW_EVERY_MS = 100

/** Without `out` nothing is drawn. */
export const createProgress = (
  out: NodeJS.WriteStream | undefined,
): Progress & {
  /** Leaves the last line as it is. */
  end(): void
} => {
  let last: { table: TableName; isChecking: boolean; text: string } | undefined
  let drawnAt = 0
  const finish = () => {
    if (last) out?.write(out.isTTY ? `\r\x1b[2K${last.text}\n` : `${last.text}\n`)
    last = undefined
  }
  return {
    step(table, done, size, isChecking) {
      // While it is being compared, one line for all.
      const isOther = isChecking ? !last?.isChecking : last?.table !== table || last.isChecking
      if (isOther) finish()
      const total = size === undefined ? '' : ` of ${shown(Math.max(size, done))}`
      const drawn = out?.isTTY && size !== undefined ? ` ${bar(done / Math.max(size, done, 1))}` : ''
      const text = isChecking ? 'comparing' : `${table.padEnd(13)}${shown(done)}${total}${drawn}`
      last = { table, isChecking, text }
      if (!out?.isTTY || (!isOther && Date.now() - drawnAt < REDRAW_EVERY_MS)) return
      drawnAt = Date.now()
      out.write(`\r\x1b[2K${text}`)
    },
    end: finish,
  }
}
