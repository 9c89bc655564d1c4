/**
 * One process at a time uses a data directory.
 *
 * `lock.sock` is a socket that the process listens on: the kernel ends it with the process, and it answers whoever shares
 * the directory, from another container too. Where the file system has no sockets, `lock` counts alone, which names the
 * process by its number and its beginning and can be judged in the same pid namespace only.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import * as z from 'zod'
import { codeOf, reasonOf, StartError } from './start-error.ts'

const OWNER_ONLY_MODE = 0o600

/** The fields of a process after its name, as the kernel tells them: the first is its state. Undefined: it tells none. */
const statOf = (pid: number): string[] | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name is in brackets and may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/**
 * When a process began, in the kernel's words: tells a process from a later one with the same number, which is what a
 * container that was killed finds. Undefined where the system does not say, or the process is gone.
 */
const beginningOf = (pid: number): string | undefined => statOf(pid)?.[19]

/** It has ended, and its parent has not looked yet, or never looks. */
const isZombie = (pid: number): boolean => statOf(pid)?.[0] === 'Z'

const lockHolder = z.object({ pid: z.number().int().positive(), beginning: z.string().optional() })

const isRunning = (pid: number, beginning: string | undefined): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  if (isZombie(pid)) return false
  const now = beginningOf(pid)
  return now === undefined || beginning === undefined || now === beginning
}

const holderOf = (text: string): z.infer<typeof lockHolder> | undefined => {
  try {
    return lockHolder.parse(JSON.parse(text))
  } catch {
    // Its writer died in the middle.
    return undefined
  }
}

const inUse = (dir: string, pid: number | undefined): StartError =>
  new StartError([
    `The data directory ${dir} is used by another running process${pid === undefined ? '' : ` (${pid})`}.`,
  ])

const MAX_LOCK_ATTEMPTS = 4

const takeFile = (dir: string): Disposable => {
  const file = join(dir, 'lock')
  const mine = JSON.stringify({ pid: process.pid, beginning: beginningOf(process.pid) })
  for (let attempt = 1; ; attempt++) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: OWNER_ONLY_MODE })
      return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        throw new StartError([`The data directory ${dir} cannot be written to: ${reasonOf(error)}.`], {
          cause: error,
        })
      }
    }
    const holder = holderOf(readFileSync(file, 'utf8'))
    if (attempt === MAX_LOCK_ATTEMPTS || (holder && isRunning(holder.pid, holder.beginning)))
      throw inUse(dir, holder?.pid)
    rmSync(file, { force: true })
  }
}

/** How long a process that answers may take to say its number, ms. */
const ANSWER_TIMEOUT_MS = 1_000
const MAX_PID_LENGTH = 16
/** What a socket's address may be long, bytes, its end included (`sun_path`, on the shorter of the systems). */
const MAX_SOCKET_PATH_BYTES = 100

/** Who listens: undefined when nobody does. The number is that of its own namespace. */
const listenerAt = (address: string): Promise<{ pid: number | undefined } | undefined> =>
  new Promise((resolve) => {
    const socket = connect(address)
    let said = ''
    let isConnected = false
    const end = (isListening: boolean) => {
      socket.destroy()
      const pid = Number.parseInt(said, 10)
      resolve(isListening ? { pid: Number.isInteger(pid) ? pid : undefined } : undefined)
    }
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => end(true))
    socket.once('connect', () => {
      isConnected = true
    })
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1')
      if (said.length > MAX_PID_LENGTH) end(true)
    })
    socket.once('end', () => end(true))
    // EAGAIN: it listens, and too many ask.
    socket.once('error', (error) => end(isConnected || codeOf(error) === 'EAGAIN'))
  })

/** Undefined where the file system or the system has no sockets with such a name. */
const listenAt = async (address: string): Promise<Server | undefined> => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end(`${process.pid}\n`)
  })
  try {
    await once(server.listen(address), 'listening')
  } catch {
    return undefined
  }
  return server.unref()
}

/** Throws `StartError` while another process listens; undefined where there can be no socket. */
const takeSocket = async (dir: string): Promise<AsyncDisposable | undefined> => {
  // By way of an open directory, because the path may be longer than an address can be.
  const draftName = `lock.sock.${randomBytes(6).toString('hex')}`
  const isLong = Buffer.byteLength(join(dir, `${draftName}.stale`)) > MAX_SOCKET_PATH_BYTES
  const handle = isLong && process.platform === 'linux' ? openSync(dir, 'r') : undefined
  const at = (name: string) => join(handle === undefined ? dir : `/proc/self/fd/${handle}`, name)
  const [name, draft] = [at('lock.sock'), at(draftName)]
  const server = await listenAt(draft)
  if (!server) {
    if (handle !== undefined) closeSync(handle)
    return undefined
  }
  const release = async () => {
    server.close()
    await once(server, 'close')
    if (handle !== undefined) closeSync(handle)
  }
  try {
    chmodSync(draft, OWNER_ONLY_MODE)
    for (let attempt = 1; ; attempt++) {
      try {
        // Never over another one, so that of two that come at once one is refused.
        linkSync(draft, name)
        rmSync(draft, { force: true })
        return {
          [Symbol.asyncDispose]: async () => {
            rmSync(name, { force: true })
            await release()
          },
        }
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error
      }
      const listener = await listenerAt(name)
      if (listener || attempt === MAX_LOCK_ATTEMPTS) throw inUse(dir, listener?.pid)
      await removeStale(name, `${draft}.stale`)
    }
  } catch (error) {
    rmSync(draft, { force: true })
    await release()
    if (error instanceof StartError) throw error
    // A file system that has sockets and no second names for them.
    return undefined
  }
}

/** Takes the socket's name away, and gives it back when somebody has just begun to listen there. */
const removeStale = async (name: string, stale: string): Promise<void> => {
  try {
    renameSync(name, stale)
    if (await listenerAt(stale)) linkSync(stale, name)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error
  }
  rmSync(stale, { force: true })
}

/** Takes the directory for this process until disposed. Throws `StartError` while another one runs on it. */
export const lockDataDir = async (dir: string): Promise<AsyncDisposable> => {
  const socket = await takeSocket(dir)
  try {
    const file = takeFile(dir)
    return {
      [Symbol.asyncDispose]: async () => {
        file[Symbol.dispose]()
        await socket?.[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await socket?.[Symbol.asyncDispose]()
    throw error
  }
}
