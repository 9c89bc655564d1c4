/**
 * A backup: newline-delimited JSON under gzip.
 *
 *     {"belfry":"backup","version":1,"madeAt":"2026-01-01T00:00:00.000Z"}
 *     ["identity",{"identityKey":"did:key:…",…}]          one line a record, tables in the order of `TABLES`
 *     {"end":true,"counts":{"identity":1,…},"sha256":"…"}  of every byte before this line
 *
 * Counts stand at the end, because the writer does not know them before. A file without its last line, or with a
 * bit that differs, is refused before anything is changed.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import * as z from 'zod'
import { TransferFailure } from './migration.ts'
import { type Readers, type Records, TABLE_NAMES, TABLES, type TableName } from './transfer.ts'

const BACKUP_VERSION = 1
const Head = z.object({ belfry: z.literal('backup'), version: z.number(), madeAt: z.string() })
const Counts = z.partialRecord(z.enum(TABLE_NAMES), z.number())
const End = z.object({ end: z.literal(true), counts: Counts, sha256: z.string() })
export const Line = z.tuple([z.enum(TABLE_NAMES), z.unknown()])
export const schemas: { [T in TableName]: z.ZodType<Records[T]> } = TABLES

async function* backupText(readers: Readers, now: number): AsyncGenerator<string> {
  const hash = createHash('sha256')
  const counts: Partial<Record<TableName, number>> = {}
  const said = (text: string) => {
    hash.update(text)
    return text
  }
  yield said(
    `${JSON.stringify({ belfry: 'backup', version: BACKUP_VERSION, madeAt: new Date(now).toISOString() })}\n`,
  )
  for (const table of TABLE_NAMES) {
    counts[table] = 0
    for await (const { records } of readers[table].read({ now })) {
      counts[table] += records.length
      if (records.length > 0) yield said(records.map((one) => `${JSON.stringify([table, one])}\n`).join(''))
    }
  }
  yield `${JSON.stringify({ end: true, counts, sha256: hash.digest('hex') })}\n`
}

/** The file's bytes; ends the snapshot with itself, however it ends. */
export const backupBytes = (snapshot: Readers & Disposable, now: number): Readable => {
  const text = Readable.from(backupText(snapshot, now))
  const gzip = createGzip()
  // Whichever end breaks ends the other: the reader finds no last line.
  text.once('error', (error) => gzip.destroy(error))
  gzip.once('close', () => {
    text.destroy()
    snapshot[Symbol.dispose]()
  })
  return text.pipe(gzip)
}

/** The lines of a file, without believing that there is an end. */
export async function* linesOf(file: string): AsyncGenerator<string> {
  const source = createReadStream(file)
  const text = source.pipe(createGunzip())
  source.once('error', (error) => text.destroy(error))
  let rest: Buffer[] = []
  for await (const chunk of text) {
    let bytes: Buffer = chunk
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
      yield Buffer.concat([...rest, bytes.subarray(0, end)]).toString()
      rest = []
      bytes = bytes.subarray(end + 1)
    }
    rest.push(bytes)
  }
  if (Buffer.concat(rest).length > 0) throw new Error('it ends in the middle of a line')
}

export const parsed = (line: string): unknown => JSON.parse(line)

/** Reads the whole file without believing it. Throws `TransferFailure` for one that is not what was written. */
export const checkBackup = async (
  file: string,
): Promise<{ madeAt: string; sha256: string; counts: z.infer<typeof Counts> }> => {
  const hash = createHash('sha256')
  const counts: Partial<Record<TableName, number>> = {}
  let head: z.infer<typeof Head> | undefined
  let end: z.infer<typeof End> | undefined
  try {
    for await (const line of linesOf(file)) {
      if (end) throw new Error('something follows its end')
      const value = parsed(line)
      if (!head) head = Head.parse(value)
      else if (Array.isArray(value)) {
        const [table, record] = Line.parse(value)
        schemas[table].parse(record)
        counts[table] = (counts[table] ?? 0) + 1
      } else {
        end = End.parse(value)
        continue
      }
      if (head.version > BACKUP_VERSION) break
      hash.update(`${line}\n`)
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT') throw new TransferFailure(`There is no file ${file}.`, { cause })
    throw new TransferFailure(`The backup ${file} is damaged or is none. Nothing was changed.`, { cause })
  }
  if (head && head.version > BACKUP_VERSION) {
    throw new TransferFailure(`The backup ${file} was made by a newer version. Nothing was changed.`)
  }
  if (!head || !end) throw new TransferFailure(`The backup ${file} is cut off. Nothing was changed.`)
  const { sha256 } = end
  const isWhole = TABLE_NAMES.every((table) => (counts[table] ?? 0) === (end.counts[table] ?? 0))
  if (hash.digest('hex') !== sha256 || !isWhole) {
    throw new TransferFailure(`The backup ${file} is damaged. Nothing was changed.`)
  }
  return { madeAt: head.madeAt, sha256, counts }
}
