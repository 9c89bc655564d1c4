import { type ChildProcess, fork } from 'node:child_process'
import { bundledPeer } from './bundle.ts'

/**
 * A published client in a process of its own: it keeps sockets, timers and stores alive and cannot be closed, so it
 * is ended by its process. Used with `await using`; disposing fails when the process ended by itself before, so an
 * unhandled rejection inside a client fails the test.
 */
export interface Peer extends AsyncDisposable {
  readonly pid: number
  /** Runs a method of the peer script in the process (see peers/). */
  call<T>(method: string, ...args: unknown[]): Promise<T>
  /** Takes the first event of that name (and for which `matches`) that was not taken before; waits for it. */
  next<T>(event: string, matches?: (data: T) => boolean): Promise<T>
  /** The events of that name that nobody has taken. */
  left<T>(event: string): T[]
  /** Host names outside that the client tried to reach. */
  readonly outside: readonly string[]
}

export interface PeerOptions {
  /** The package to load, for `core` and `sign`. */
  client?: string
  /** Host name (and port) → base URL of the server under test. */
  routes?: Record<string, string>
}

const PATIENCE_MS = 20_000

export const startPeer = async (
  kind: 'core' | 'sign' | 'notify' | 'sync' | 'chat',
  options: PeerOptions = {},
): Promise<Peer> => {
  const { client, routes = {} } = options
  // Not inherited: conditions and hooks of the test runner must not reach the client.
  const { NODE_OPTIONS: _, ...environment } = process.env
  const { script, args, execArgv } = await bundledPeer(kind, client)
  const child = fork(script, args, {
    execArgv,
    env: { ...environment, COMPAT_ROUTES: JSON.stringify(routes) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  return listenTo(child, client ?? kind)
}

interface Waiting {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

const listenTo = async (child: ChildProcess, name: string): Promise<Peer> => {
  const calls = new Map<number, Waiting>()
  const events: { event: string; data: unknown }[] = []
  const watching = new Set<() => void>()
  const outside: string[] = []
  let printed = ''
  let ended: Error | undefined
  // Whether the test has already failed because of it.
  let noticed = false
  let lastCall = 0

  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      printed = (printed + chunk).slice(-100_000)
    })
  }
  // Node quotes the line that threw, and in a minified package that is the whole package.
  const said = () =>
    printed
      .split('\n')
      .filter((line) => line.trim() && line.length < 500)
      .slice(-40)
      .join('\n')
  let ready: Waiting | undefined
  const started = new Promise((resolve, reject) => {
    ready = { resolve, reject }
  })
  child.on('message', (message: Record<string, unknown>) => {
    if (message.ready) ready?.resolve(undefined)
    if (typeof message.outside === 'string') outside.push(message.outside)
    if (typeof message.event === 'string') {
      events.push({ event: message.event, data: message.data })
      for (const look of [...watching]) look()
    }
    if (typeof message.id !== 'number') return
    const call = calls.get(message.id)
    calls.delete(message.id)
    if ('error' in message) call?.reject(new Error(`${name}: ${String(message.error)}`))
    else call?.resolve(message.result)
  })
  const exit = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      ended = new Error(`${name} ended by itself (${signal ?? code}):\n${said()}`)
      ready?.reject(ended)
      noticed = calls.size + watching.size > 0
      for (const call of calls.values()) call.reject(ended)
      for (const look of [...watching]) look()
      resolve()
    })
  })

  const withPatience = <T>(what: string, start: (waiting: Waiting) => () => void): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        const heard = events.map(({ event }) => event).join(', ') || 'nothing'
        settle(() =>
          reject(new Error(`${name}: no ${what} in ${PATIENCE_MS} ms; heard: ${heard}\n${said()}`)),
        )
      }, PATIENCE_MS)
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        stop()
        finish()
      }
      const stop = start({
        resolve: (value) => settle(() => resolve(value as T)),
        reject: (error) => settle(() => reject(error)),
      })
    })

  await started
  return {
    pid: child.pid ?? -1,
    outside,
    call: (method, ...args) =>
      withPatience(`answer to ${method}()`, (waiting) => {
        if (ended) throw ended
        const id = ++lastCall
        calls.set(id, waiting)
        child.send({ id, method, args })
        return () => calls.delete(id)
      }),
    next: <T>(event: string, matches: (data: T) => boolean = () => true) => {
      const take = () => {
        const index = events.findIndex((entry) => entry.event === event && matches(entry.data as T))
        return index < 0 ? undefined : events.splice(index, 1)[0]
      }
      const waiting = take()
      if (waiting) return Promise.resolve(waiting.data as T)
      return withPatience<T>(`event ${event}`, ({ resolve, reject }) => {
        const look = () => {
          if (ended) return reject(ended)
          const found = take()
          if (found) resolve(found.data)
        }
        watching.add(look)
        return () => watching.delete(look)
      })
    },
    left: <T>(event: string) => events.filter((entry) => entry.event === event).map(({ data }) => data as T),
    async [Symbol.asyncDispose]() {
      if (ended && !noticed) throw ended
      child.kill('SIGKILL')
      await exit
    },
  }
}
