/** Puts a backup (`transfer/backup.ts`) into an empty store. */
import { checkBackup, Line, linesOf, parsed, schemas } from './backup.ts'
import { claimTarget, compare, type Progress } from './migration.ts'
import { addTo, type Tally, tallyOf } from './sum.ts'
import type { Records, TableName, Transfer } from './transfer.ts'

const expiryOf = (record: Records[TableName]): number => {
  if ('expiresAt' in record) return record.expiresAt
  return 'entry' in record ? record.entry.expiresAt : Number.POSITIVE_INFINITY
}

/** Records that are written together. */
const BATCH = 1_000
const BATCH_BYTES = 4 * 1024 * 1024

/**
 * Puts a backup into an empty store. When it is cut off, the same file may be restored again into what is there.
 * Records that have expired are left out, and (`left`) those that belong to something that the backup does not have:
 * one of a Redis in use is not of one instant.
 */
export const restore = async (
  { target, now }: { target: Transfer; now: () => number },
  { file, progress }: { file: string; progress: Progress },
): Promise<{ tally: Tally; left: number }> => {
  const { sha256, counts } = await checkBackup(file)
  await claimTarget(target, `the backup ${sha256}`)
  /** By topic, until when it has a message: without one nothing is remembered of those who left it. */
  const until = new Map<string, number>()
  const isKept = (record: Records[TableName], at: number): boolean =>
    'acked' in record && !record.isSubscribed ? (until.get(record.topic) ?? 0) > at : expiryOf(record) > at

  const expectedAt = async (horizon: number): Promise<Tally> => {
    const expected: Tally = new Map()
    for await (const line of linesOf(file)) {
      const value = parsed(line)
      if (!Array.isArray(value)) continue
      const [table, content] = Line.parse(value)
      const add = <T extends TableName>(name: T) => {
        const record = schemas[name].parse(content)
        if (isKept(record, horizon)) addTo(expected, name, record)
      }
      add(table)
    }
    return expected
  }

  /** Each takes one record without a place away from what is expected. */
  const homeless: ((expected: Tally, horizon: number) => void)[] = []
  const load = async <T extends TableName>(table: T, records: Records[T][]): Promise<void> => {
    const live = records.filter((record) => isKept(record, now()))
    for (const record of await target.write[table].write(live)) {
      homeless.push((expected, horizon) => {
        if (isKept(record, horizon)) addTo(expected, table, record, -1)
      })
    }
  }

  let batch: { table: TableName; contents: unknown[]; bytes: number } | undefined
  let done = 0
  const flush = async () => {
    if (!batch) return
    const { table, contents } = batch
    batch = undefined
    const send = <T extends TableName>(name: T) =>
      load(
        name,
        contents.map((content) => schemas[name].parse(content)),
      )
    await send(table)
    done += contents.length
    progress.step(table, done, counts[table], false)
  }
  for await (const line of linesOf(file)) {
    const value = parsed(line)
    if (!Array.isArray(value)) continue
    const [table, content] = Line.parse(value)
    if (batch && (batch.table !== table || batch.contents.length >= BATCH || batch.bytes > BATCH_BYTES)) {
      const isOther = batch.table !== table
      await flush()
      if (isOther) done = 0
    }
    batch ??= { table, contents: [], bytes: 0 }
    batch.contents.push(content)
    batch.bytes += line.length
    if (table === 'message') {
      const { topic, expiresAt } = schemas.message.parse(content)
      until.set(topic, Math.max(until.get(topic) ?? 0, expiresAt))
    }
  }
  await flush()

  const tally = await compare(now, async (horizon) => {
    const expected = await expectedAt(horizon)
    for (const subtract of homeless) subtract(expected, horizon)
    const found = await tallyOf(target.read, horizon, (table, count) =>
      progress.step(table, count, undefined, true),
    )
    return { expected, found }
  })
  await target.setNote(undefined)
  return { tally, left: homeless.length }
}
