/**
 * Power cuts on paper. `strace` records what a process writes below one directory; `cutAt` answers what a disk may hold
 * when the power ends at a moment:
 *
 * - What a write brought is there for sure once an fsync or fdatasync of its file, begun after the write, has returned,
 *   or the write was through a descriptor with O_DSYNC. Of every other write each page of 4 KiB is there or not, by chance.
 * - Names (made, linked, renamed, removed) are there for sure once an fsync of their directory has returned; of the rest of
 *   a directory a first part, of a random length. An fsync of a file does not keep its name.
 * - Not modelled: a page that is half written, a device that lies about what it flushed, and memory maps, by which the
 *   engine writes its lock file only, which it makes anew.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const PAGE_BYTES = 4_096
const CALLS = [
  ...['openat', 'write', 'pwrite64', 'writev', 'pwritev', 'ftruncate', 'fsync', 'fdatasync'],
  ...['rename', 'link', 'unlink', 'mkdir', 'rmdir', 'close', 'lseek'],
]

/** What stands before the command that is recorded. */
export const strace = (program: string, into: string): string[] => [
  program,
  ...['-ff', '-ttt', '-T', '-xx', '-s', '4000000', '-e', `trace=${CALLS.join(',')}`, '-o', into],
]

interface Call {
  name: string
  args: string
  result: number
  /** Unix ms. */
  begun: number
  ended: number
}

const LINE = /^(\d+\.\d+) (\w+)\((.*)\)\s+= (\d+).* <([\d.]+)>$/

/** Calls that succeeded, in the order of their beginning. */
export const recorded = (prefix: string): Call[] =>
  readdirSync(dirname(prefix))
    .filter((name) => join(dirname(prefix), name).startsWith(prefix))
    .flatMap((name) => readFileSync(join(dirname(prefix), name), 'latin1').split('\n'))
    .flatMap((line) => {
      const [, at = '', name = '', args = '', result = '', took = ''] = LINE.exec(line) ?? []
      if (name === '') return []
      const begun = Number(at) * 1000
      return [{ name, args, result: Number(result), begun, ended: begun + Number(took) * 1000 }]
    })
    .sort((a, b) => a.begun - b.begun)

const textsIn = (args: string): Buffer[] =>
  [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text = '']) =>
    Buffer.from(text.replaceAll('\\x', ''), 'hex'),
  )

interface Write {
  at: number
  /** Undefined: the file ends at `at`. */
  bytes: Buffer | undefined
  begun: number
  ended: number
}
interface File {
  kept: Buffer
  pending: Write[]
}
interface NameChange {
  /** Undefined: the name is removed. */
  names: [path: string, thing: File | 'directory' | undefined][]
  ended: number
}

const put = (file: File, { at, bytes }: Pick<Write, 'at' | 'bytes'>): void => {
  const end = bytes ? Math.max(file.kept.length, at + bytes.length) : at
  const next = Buffer.alloc(end)
  file.kept.copy(next, 0, 0, Math.min(file.kept.length, end))
  bytes?.copy(next, at)
  file.kept = next
}

/** Writes what the disk may hold at that moment into `target`. `root` is what was recorded; it was there, and empty. */
export const cutAt = (
  calls: readonly Call[],
  { moment, root, target, random }: { moment: number; root: string; target: string; random: () => number },
): void => {
  const names = new Map<string, File | 'directory'>()
  const kept = new Map<string, File | 'directory'>()
  const changes = new Map<string, NameChange[]>()
  const open = new Map<number, { file: File | undefined; path: string; position: number; isSync: boolean }>()
  const files = new Set<File>()

  const change = (dir: string, what: NameChange) => {
    for (const [path, thing] of what.names) thing ? names.set(path, thing) : names.delete(path)
    changes.set(dir, [...(changes.get(dir) ?? []), what])
  }
  const settle = ({ names: changed }: NameChange) => {
    for (const [path, thing] of changed) thing ? kept.set(path, thing) : kept.delete(path)
  }
  const isOurs = (path: string) => path.startsWith(`${root}/`)

  const write = (call: Call, at: number | undefined, bytes: Buffer | undefined) => {
    const held = open.get(Number.parseInt(call.args, 10))
    if (!held?.file) return
    const place = at ?? held.position
    if (at === undefined && bytes) held.position += bytes.length
    if (held.isSync && call.ended <= moment) put(held.file, { at: place, bytes })
    else held.file.pending.push({ at: place, bytes, begun: call.begun, ended: call.ended })
  }

  const flush = (call: Call) => {
    const held = open.get(Number.parseInt(call.args, 10))
    if (!held || call.ended > moment) return
    const { file, path } = held
    if (file) {
      for (const one of file.pending) if (one.ended <= call.begun) put(file, one)
      file.pending = file.pending.filter((one) => one.ended > call.begun)
      return
    }
    const all = changes.get(path) ?? []
    for (const one of all) if (one.ended <= call.begun) settle(one)
    changes.set(
      path,
      all.filter((one) => one.ended > call.begun),
    )
  }

  for (const call of calls) {
    if (call.begun > moment) break
    const { name, args, result, ended } = call
    const numbers = args.split(', ').map(Number)
    if (name === 'close') open.delete(numbers[0] ?? -1)
    else if (name === 'lseek') {
      const held = open.get(numbers[0] ?? -1)
      if (held) held.position = result
    } else if (name === 'fsync' || name === 'fdatasync') flush(call)
    else if (name === 'pwrite64') write(call, numbers.at(-1), textsIn(args)[0]?.subarray(0, result))
    else if (name === 'pwritev') write(call, numbers.at(-1), Buffer.concat(textsIn(args)).subarray(0, result))
    else if (name === 'write' || name === 'writev')
      write(call, undefined, Buffer.concat(textsIn(args)).subarray(0, result))
    else if (name === 'ftruncate') write(call, numbers[1], undefined)
    else {
      const [first = '', second = ''] = textsIn(args).map((text) => text.toString())
      if (name === 'openat') {
        let thing = names.get(first)
        if (isOurs(first) && !thing && args.includes('O_CREAT')) {
          const file: File = { kept: Buffer.alloc(0), pending: [] }
          files.add(file)
          change(dirname(first), { names: [[first, file]], ended })
          thing = file
        }
        const file = thing === 'directory' ? undefined : thing
        open.set(result, { file, path: first, position: 0, isSync: /O_D?SYNC/.test(args) })
        if (file && args.includes('O_TRUNC'))
          file.pending.push({ at: 0, bytes: undefined, begun: call.begun, ended })
      } else if (isOurs(first)) {
        const moved = names.get(first)
        if (name === 'mkdir') change(dirname(first), { names: [[first, 'directory']], ended })
        else if (name === 'unlink' || name === 'rmdir')
          change(dirname(first), { names: [[first, undefined]], ended })
        else if (name === 'link') change(dirname(second), { names: [[second, moved]], ended })
        else
          change(dirname(second), {
            names: [
              [second, moved],
              [first, undefined],
            ],
            ended,
          })
      }
    }
  }

  for (const pending of changes.values()) {
    for (const one of pending.slice(0, Math.floor(random() * (pending.length + 1)))) settle(one)
  }
  for (const file of files) {
    for (const { at, bytes } of file.pending) {
      if (!bytes) {
        if (random() < 0.5) put(file, { at, bytes })
        continue
      }
      for (let from = 0; from < bytes.length; from += PAGE_BYTES) {
        if (random() < 0.5) put(file, { at: at + from, bytes: bytes.subarray(from, from + PAGE_BYTES) })
      }
    }
  }
  mkdirSync(target, { recursive: true })
  const hasWay = (path: string): boolean =>
    path === root || (kept.get(path) === 'directory' && hasWay(dirname(path)))
  for (const [path, thing] of [...kept].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!hasWay(dirname(path))) continue
    if (thing === 'directory') mkdirSync(target + path.slice(root.length), { mode: 0o700 })
    else writeFileSync(target + path.slice(root.length), thing.kept, { mode: 0o600 })
  }
}
