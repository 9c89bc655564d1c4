/** Puts a backup (`transfer/backup.ts`) into an empty store. */
import { checkBackup, Line, linesOf, parsed, schemas } from './backup.ts'
import { claimTarget, compare, type Progress } from './migration.ts'
import { addTo, countOf, type Tally, tallyOf } from './sum.ts'
import type { Records, TableName, Transfer } from './transfer.ts'

const expiryOf = (record: Records[TableName]): number => {
  if ('expiresAt' in record) return record.expiresAt
  return 'entry' in record ? record.entry.expiresAt : Number.POSITIVE_INFINITY
}

/** Records that are written together, and about their bytes. */
const MAX_BATCH_RECORDS = 1_000
const MAX_BATCH_BYTES = 4 * 1024 * 1024

interface Restoring {
  target: Transfer
  now: () => number
  file: string
  progress: Progress
  /** Records of each table that the file has. */
  counts: Partial<Record<TableName, number>>
  /** By topic, until when it has a message: without one nothing is remembered of clients that left it. */
  topicEnds: Map<string, number>
  /** Each takes one record that the store could not place away from what is expected. */
  unplaced: ((expected: Tally, horizon: number) => void)[]
}

const isLive = ({ topicEnds }: Restoring, record: Records[TableName], at: number): boolean =>
  'acked' in record && !record.isSubscribed ? (topicEnds.get(record.topic) ?? 0) > at : expiryOf(record) > at

/** What the file holds that has not expired at the horizon. */
const expectedAt = async (restoring: Restoring, horizon: number): Promise<Tally> => {
  const expected: Tally = new Map()
  for await (const line of linesOf(restoring.file)) {
    const value = parsed(line)
    if (!Array.isArray(value)) continue
    const [table, content] = Line.parse(value)
    const add = <T extends TableName>(name: T) => {
      const record = schemas[name].parse(content)
      if (isLive(restoring, record, horizon)) addTo(expected, name, record)
    }
    add(table)
  }
  return expected
}

const load = async <T extends TableName>(
  restoring: Restoring,
  table: T,
  records: Records[T][],
): Promise<void> => {
  const { target, now, unplaced } = restoring
  const live = records.filter((record) => isLive(restoring, record, now()))
  for (const record of await target.write[table].write(live)) {
    unplaced.push((expected, horizon) => {
      if (isLive(restoring, record, horizon)) addTo(expected, table, record, -1)
    })
  }
}

interface Batch {
  table: TableName
  contents: unknown[]
  bytes: number
}

/** Writes the batch; returns how many records of the table are written by now. */
const flush = async (restoring: Restoring, { table, contents }: Batch, before: number): Promise<number> => {
  const send = <T extends TableName>(name: T) =>
    load(
      restoring,
      name,
      contents.map((content) => schemas[name].parse(content)),
    )
  await send(table)
  const done = before + contents.length
  restoring.progress.step(table, done, restoring.counts[table], false)
  return done
}

const loadAll = async (restoring: Restoring): Promise<void> => {
  const { file, topicEnds } = restoring
  let batch: Batch | undefined
  let done = 0
  for await (const line of linesOf(file)) {
    const value = parsed(line)
    if (!Array.isArray(value)) continue
    const [table, content] = Line.parse(value)
    const isFull = batch && (batch.contents.length >= MAX_BATCH_RECORDS || batch.bytes > MAX_BATCH_BYTES)
    if (batch && (batch.table !== table || isFull)) {
      done = await flush(restoring, batch, done)
      if (batch.table !== table) done = 0
      batch = undefined
    }
    batch ??= { table, contents: [], bytes: 0 }
    batch.contents.push(content)
    batch.bytes += line.length
    if (table === 'message') {
      const { topic, expiresAt } = schemas.message.parse(content)
      topicEnds.set(topic, Math.max(topicEnds.get(topic) ?? 0, expiresAt))
    }
  }
  if (batch) await flush(restoring, batch, done)
}

/**
 * Puts a backup into an empty store. When it is cut off, the same file may be restored again into what is there.
 * Records that have expired are left out, and (`left`) those that belong to something that the backup does not have:
 * one of a Redis in use is not of one instant. `ending`: those that have expired, or expire before they could be compared.
 */
export const restore = async (
  { target, now }: { target: Transfer; now: () => number },
  { file, progress }: { file: string; progress: Progress },
): Promise<{ tally: Tally; left: number; ending: number }> => {
  const { sha256, counts } = await checkBackup(file)
  await claimTarget(target, `the backup ${sha256}`)
  const restoring: Restoring = {
    ...{ target, now, file, progress, counts },
    ...{ topicEnds: new Map(), unplaced: [] },
  }
  await loadAll(restoring)
  const tally = await compare(now, async (horizon) => {
    const expected = await expectedAt(restoring, horizon)
    for (const subtract of restoring.unplaced) subtract(expected, horizon)
    const found = await tallyOf(target.read, horizon, (table, count) =>
      progress.step(table, count, undefined, true),
    )
    return { expected, found }
  })
  await target.setNote(undefined)
  const left = restoring.unplaced.length
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return { tally, left, ending: Math.max(0, all - countOf(tally) - left) }
}
