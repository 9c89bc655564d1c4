/**
 * A storage in a file, for Node: one line a write, appended and synced to the disk. A line begins with a sum of itself;
 * one that a crash cut off has the wrong one, and everything of that write is as if it had never been. When most of the
 * file is outdated it is written anew beside it and put in its place.
 *
 * For one process at a time. It holds secrets: only its owner may read it.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod'
import type { KeyValues } from './storage.ts'

const Line = z.array(z.tuple([z.string(), z.string().nullable()]))
/** Bytes. */
const WORTH_IT = 1024 * 1024

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
    if (length < Math.max(WORTH_IT, 4 * line.length)) return
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

  /** Lengths at which it is worth looking whether to write anew. */
  let look = Math.max(WORTH_IT, length * 2)
  return {
    load: async () => [...values],
    async write(changes) {
      const line = lineOf(changes)
      try {
        await file.appendFile(line)
        await file.datasync()
      } catch (error) {
        // What stands there of it must not be in front of the next line.
        await file.truncate(length)
        throw error
      }
      length += Buffer.byteLength(line)
      put(changes)
      if (length < look) return
      await rewrite()
      look = Math.max(WORTH_IT, length * 2)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}
