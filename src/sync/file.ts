/**
 * A storage in a file, for Node: one line a write, appended and synced to the disk. A line begins with a sum of itself;
 * one that a crash cut off has the wrong one, and is dropped with everything in it. When most of the file is outdated, a
 * new file is written beside it and renamed over it.
 *
 * For one process at a time. It holds secrets: only its owner may read it.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod'
import type { KeyValues } from './storage.ts'

const Line = z.array(z.tuple([z.string(), z.string().nullable()]))
/** A shorter file is never written anew. */
const MIN_REWRITE_BYTES = 1024 * 1024

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

const lineOf = (changes: Iterable<readonly [string, string | undefined]>): string => {
  const text = JSON.stringify([...changes].map(([name, value]) => [name, value ?? null]))
  return `${sumOf(text)} ${text}\n`
}

/** Undefined for a line that is not whole. */
const changesOf = (line: string): z.infer<typeof Line> | undefined => {
  const text = line.slice(17)
  return line.slice(0, 16) === sumOf(text) ? Line.parse(JSON.parse(text)) : undefined
}

const syncFolder = async (file: string): Promise<void> => {
  const folder = await open(dirname(file), 'r')
  await folder.sync().finally(() => folder.close())
}

/**
 * Opens a storage in a file, which one process at a time may use. It is made where it is missing.
 *
 * @param path of the file
 * @returns the storage
 * @throws what the file system throws
 * @example
 * await using storage = await openFileStorage('/var/lib/wallet/sync')
 * const sync = await openSync({ url, storage })
 */
export const openFileStorage = async (path: string): Promise<KeyValues & AsyncDisposable> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  let file: FileHandle = await open(path, 'a+', 0o600)
  const values = new Map<string, string>()
  const put = (changes: Iterable<readonly [string, string | null | undefined]>) => {
    for (const [name, value] of changes) {
      if (value == null) values.delete(name)
      else values.set(name, value)
    }
  }

  const content = await file.readFile()
  /** Bytes of whole lines. */
  let length = 0
  for (let end = content.indexOf(10); end !== -1; end = content.indexOf(10, length)) {
    const changes = changesOf(content.toString('utf8', length, end))
    if (!changes) break
    put(changes)
    length = end + 1
  }
  await file.truncate(length)
  await file.sync()
  await syncFolder(path)

  const rewrite = async (): Promise<void> => {
    const line = lineOf(values)
    if (length < Math.max(MIN_REWRITE_BYTES, 4 * line.length)) return
    const next = await open(`${path}.next`, 'w', 0o600)
    await next.writeFile(line)
    await next.sync()
    await next.close()
    await rename(`${path}.next`, path)
    await syncFolder(path)
    await file.close()
    file = await open(path, 'a+', 0o600)
    length = Buffer.byteLength(line)
  }

  /** The length from which `rewrite` looks again whether most of the file is outdated. */
  let rewriteAtBytes = Math.max(MIN_REWRITE_BYTES, length * 2)
  return {
    load: async () => [...values],
    async write(changes) {
      const line = lineOf(changes)
      try {
        await file.appendFile(line)
        await file.datasync()
      } catch (error) {
        // A part of the failed line must not stand in front of the next one.
        await file.truncate(length)
        throw error
      }
      length += Buffer.byteLength(line)
      put(changes)
      if (length < rewriteAtBytes) return
      await rewrite()
      rewriteAtBytes = Math.max(MIN_REWRITE_BYTES, length * 2)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}
