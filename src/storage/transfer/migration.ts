/**
 * Copies everything from one store into another, whatever their engines.
 *
 * It may be cut off at any moment: the target remembers how far it is, in a note, and a second attempt goes on
 * there; loading bears repetition. At the end both sides are read and compared. The source must rest meanwhile: what
 * changes in it during the copying is found to differ at the end.
 */
import * as z from 'zod'
import { differencesOf, type Tally, tallyOf } from './sum.ts'
import { type Records, TABLE_NAMES, type TableName, type Transfer } from './transfer.ts'

/** It cannot be done, or was not done right: the sentence says why. */
export class TransferFailure extends Error {
  override readonly name = 'TransferFailure'
}

export interface Progress {
  /** `done` of about `size` records of a table were copied, or (with `isChecking`) compared. */
  step(table: TableName, done: number, size: number | undefined, isChecking: boolean): void
}

/** What a target remembers of a transfer that is not finished. */
const Note = z.object({
  from: z.string(),
  table: z.enum(TABLE_NAMES).optional(),
  after: z.string().optional(),
})

const isEmpty = async ({ read }: Transfer): Promise<boolean> => {
  for (const table of TABLE_NAMES) {
    for await (const { records } of read[table].read({ now: Number.NEGATIVE_INFINITY })) {
      if (records.length > 0) return false
    }
  }
  return true
}

/**
 * Makes the target this transfer's own, or finds that it is already, and says how far it was. Throws `TransferFailure`
 * for one that holds anything else.
 */
export const claimTarget = async (target: Transfer, from: string): Promise<z.infer<typeof Note>> => {
  const text = await target.note()
  if (text !== undefined) {
    const note = Note.parse(JSON.parse(text))
    if (note.from === from) return note
    throw new TransferFailure(
      `The target holds an unfinished transfer from ${note.from}: finish that one, or empty the target.`,
    )
  }
  if (!(await isEmpty(target))) {
    throw new TransferFailure('The target is not empty. Nothing was changed.')
  }
  const note = { from }
  await target.setNote(JSON.stringify(note))
  return note
}

/** About what is written in one go, where a record that is no message counts a thousand. */
const MAX_BATCH_BYTES = 3_000_000

/** What expires while it is being compared would be there on one side only. */
const CLOCK_SKEW_MS = 10 * 60_000

/** Compares until the comparison was faster than what could expire during it. */
export const compare = async (
  now: () => number,
  read: (horizon: number) => Promise<{ expected: Tally; found: Tally }>,
): Promise<Tally> => {
  for (let ahead = CLOCK_SKEW_MS; ; ahead *= 4) {
    const began = now()
    const { expected, found } = await read(began + ahead)
    const differences = differencesOf(expected, found)
    if (differences.length === 0) return found
    if (now() - began < ahead) {
      throw new TransferFailure(
        `The target differs: ${differences.join('; ')}. Let nobody use either side, empty the target and begin again.`,
      )
    }
  }
}

export const migrate = async (
  { source, target, now }: { source: Transfer; target: Transfer; now: () => number },
  { from, progress }: { from: string; progress: Progress },
): Promise<{ tally: Tally; resumed: boolean; left: number }> => {
  const unfinished = await source.note()
  if (unfinished !== undefined) {
    throw new TransferFailure('The source itself is an unfinished transfer: finish that one first.')
  }
  const begun = await claimTarget(target, from)
  const first = begun.table === undefined ? -1 : TABLE_NAMES.indexOf(begun.table)
  let left = 0

  const copy = async <T extends TableName>(table: T, after: string | undefined): Promise<void> => {
    const size = await source.read[table].size()
    let done = 0
    // Small pages are written together: each write waits for a disk.
    let waiting: Records[T][] = []
    let weight = 0
    const flush = async (cursor: string | undefined) => {
      left += (await target.write[table].write(waiting)).length
      await target.setNote(JSON.stringify({ from, table, ...(cursor !== undefined && { after: cursor }) }))
      done += waiting.length
      waiting = []
      weight = 0
      progress.step(table, done, size, false)
    }
    let last = after
    for await (const { records, cursor } of source.read[table].read({ now: now(), after })) {
      for (const record of records) {
        waiting.push(record)
        weight += 'message' in record ? record.message.length : 1_000
      }
      last = cursor
      if (weight > MAX_BATCH_BYTES) await flush(cursor)
    }
    if (waiting.length > 0) await flush(last)
  }
  for (const table of TABLE_NAMES.slice(Math.max(first, 0))) {
    const after = table === begun.table ? begun.after : undefined
    await copy(table, after)
  }

  const tally = await compare(now, async (horizon) => {
    const checking = (table: TableName, count: number) => progress.step(table, count, undefined, true)
    const expected = await tallyOf(source.read, horizon, checking)
    const found = await tallyOf(target.read, horizon, checking)
    return { expected, found }
  })
  await target.setNote(undefined)
  return { tally, resumed: first >= 0, left }
}
