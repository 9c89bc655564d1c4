/**
 * A realm with what Hermes has in React Native, and nothing else: a context of V8 from which everything is taken that
 * Hermes 0.12 does not have (`built-ins.json`), with the globals of React Native (`react-native.ts`).
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Context, createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { WebSocket } from 'ws'
import { z } from 'zod'
import type { Host } from './react-native.ts'

const BUILT_INS = new URL('./built-ins.json', import.meta.url)
/** Beyond what is listed: parts of the language itself. */
const LANGUAGE = ['globalThis', 'undefined', 'NaN', 'Infinity', 'eval']

/** Takes away what is not listed. It runs in the realm, before anything else. */
const RESTRICT = `(listed, language) => {
  const nameOf = (key) => (typeof key === 'symbol' ? '@@' + key.description.replace('Symbol.', '') : key)
  const kept = /^(length|name|prototype|constructor|caller|arguments)$|^[_$]|^(left|right|input|last)/
  const restrict = (holder, names) => {
    for (const key of Reflect.ownKeys(holder)) {
      if (!names.has(nameOf(key)) && !kept.test(nameOf(key))) delete holder[key]
    }
  }
  const whole = Symbol
  const parts = {
    '%TypedArray%': Object.getPrototypeOf(Uint8Array),
    '%IteratorPrototype%': Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())),
  }
  for (const [name, text] of Object.entries(listed)) {
    const [base, isPrototype] = name.split('.')
    const holder = parts[base] ?? globalThis[base]
    if (holder && base !== 'Symbol') restrict(isPrototype ? holder.prototype : holder, new Set(text.split(' ')))
  }
  // Its own symbols cannot be taken from it.
  const symbol = (description) => whole(description)
  symbol.prototype = whole.prototype
  for (const name of listed.Symbol.split(' ')) symbol[name] = whole[name]
  globalThis.Symbol = symbol
  const globals = new Set([...Object.keys(listed), ...language])
  for (const name of Object.getOwnPropertyNames(globalThis)) if (!globals.has(name)) delete globalThis[name]
}`

/** The script of an entry, with all that it imports, in the syntax that Metro hands to Hermes without a plugin of its own. */
const scriptOf = async (contents: string, resolveDir: string): Promise<string> => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir, loader: 'ts' },
    ...{ bundle: true, format: 'iife', globalName: 'page', platform: 'browser', target: 'es2020' },
    // Metro's own conditions and fields.
    ...{ conditions: ['react-native'], mainFields: ['react-native', 'browser', 'main'] },
    // What was built, not the sources to which `paths` of our tsconfig.json lead.
    ...{ tsconfigRaw: '{}', write: false, logLevel: 'error' },
  })
  const [script] = outputFiles
  if (!script) throw new Error('The bundle is empty')
  return script.text
}

const requestSchema = z.object({
  url: z.string(),
  method: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.string().optional(),
})

/** The world as a realm sees it: real timers, real HTTP and real sockets. */
const createHost = (log: (text: string) => void): Host & Disposable => {
  const timers = new Map<number, NodeJS.Timeout>()
  const sockets = new Set<WebSocket>()
  let last = 0
  return {
    setTimer(task, delay, repeats) {
      const id = ++last
      const start = repeats ? setInterval : setTimeout
      timers.set(
        id,
        start(() => (repeats || timers.delete(id)) && task(), delay),
      )
      return id
    },
    clearTimer(id) {
      clearTimeout(timers.get(id))
      timers.delete(id)
    },
    utf8: (text) => [...Buffer.from(text)],
    fromUtf8: (bytes) => new TextDecoder().decode(Uint8Array.from(bytes)),
    random: (length) => [...randomBytes(length)],
    async fetch(request, aborted) {
      const { url, method, headers, body } = requestSchema.parse(JSON.parse(request))
      const controller = new AbortController()
      aborted(() => controller.abort())
      const { signal } = controller
      const answer = await fetch(url, { method, headers, signal, ...(body !== undefined && { body }) })
      const type = answer.headers.get('content-type')
      return JSON.stringify({ status: answer.status, text: await answer.text(), type })
    },
    openSocket(url, events) {
      const socket = new WebSocket(url)
      sockets.add(socket)
      socket.on('open', () => events.opened())
      socket.on('message', (data) => events.received(data.toString()))
      socket.on('error', () => {})
      socket.on('close', (code, reason) => {
        sockets.delete(socket)
        events.closed(code, reason.toString())
      })
      return { send: (text) => socket.send(text), close: (code, reason) => socket.close(code, reason) }
    },
    log,
    [Symbol.dispose]() {
      for (const timer of timers.values()) clearTimeout(timer)
      for (const socket of sockets) socket.terminate()
    },
  }
}

export interface Realm extends Disposable {
  context: Context
  /** Runs a script, and answers what it says, or what it will say. */
  run(script: string): unknown
  /** Loads a module; what it exports is the global `page` from then on. */
  load(contents: string, resolveDir?: string): Promise<void>
  /** What was said on its console. */
  said: string[]
}

export const openRealm = async (): Promise<Realm> => {
  const context = createContext()
  const listed = readFileSync(BUILT_INS, 'utf8')
  runInContext(`(${RESTRICT})(${listed}, ${JSON.stringify(LANGUAGE)})`, context)
  const said: string[] = []
  const host = createHost((text) => void said.push(text))
  const run = (script: string): unknown => runInContext(script, context)
  const load = async (contents: string, resolveDir = process.cwd()) => {
    run(await scriptOf(contents, resolveDir))
  }
  const here = new URL('.', import.meta.url).pathname
  await load(`export { install } from './react-native.ts'`, here)
  const install = z
    .custom<(host: Host) => void>((value) => typeof value === 'function')
    .parse(run('page.install'))
  install(host)
  return { context, run, load, said, [Symbol.dispose]: host[Symbol.dispose] }
}
