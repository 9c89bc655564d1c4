/**
 * What React Native 0.74 puts beside the built-ins of Hermes, as far as a client of ours could reach for it. It runs in the realm
 * and is written after React Native's own sources, with what they leave out: `Libraries/Blob/URL.js` (no parts, no
 * setters), `whatwg-fetch` (no streams), `abort-controller` (no reasons, no statics), `Libraries/WebSocket/WebSocket.js`.
 * `crypto` is what `react-native-get-random-values` adds: that function and nothing else.
 */

/** What the realm is given of the world outside. Only text and numbers cross the border. */
export interface Host {
  setTimer(task: () => void, delay: number, repeats: boolean): number
  clearTimer(timer: number): void
  utf8(text: string): number[]
  /** Fails for `fatal`, as Hermes's decoder does; UTF-8 alone. */
  fromUtf8(bytes: number[]): string
  random(length: number): number[]
  fetch(request: string, aborted: (abort: () => void) => void): Promise<string>
  openSocket(
    url: string,
    events: SocketEvents,
  ): { send(text: string): void; close(code?: number, reason?: string): void }
  log(text: string): void
}

export interface SocketEvents {
  opened(): void
  received(text: string): void
  closed(code: number, reason: string): void
}

type Listener = (event: { type: string }) => void

const notImplemented = (name: string) => {
  throw new Error(`${name} is not implemented`)
}

/** URL and URLSearchParams, `Libraries/Blob/URL.js`. */
const urls = () => {
  class URLSearchParams {
    private readonly pairs: [string, string][] = []
    constructor(params?: unknown) {
      if (typeof params === 'object' && params !== null) {
        for (const [key, value] of Object.entries(params)) this.append(key, String(value))
      }
    }
    append(key: string, value: string): void {
      this.pairs.push([key, value])
    }
    delete(): never {
      return notImplemented('URLSearchParams.delete')
    }
    get(): never {
      return notImplemented('URLSearchParams.get')
    }
    getAll(): never {
      return notImplemented('URLSearchParams.getAll')
    }
    has(): never {
      return notImplemented('URLSearchParams.has')
    }
    set(): never {
      return notImplemented('URLSearchParams.set')
    }
    sort(): never {
      return notImplemented('URLSearchParams.sort')
    }
    toString(): string {
      return this.pairs
        .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
        .join('&')
    }
  }

  class URL {
    private readonly text: string
    private params: URLSearchParams | undefined
    /** Neither `url` nor what it becomes is checked without a base; a slash is put behind it. */
    constructor(url: string, base?: string | URL) {
      if (base === undefined) this.text = url.endsWith('/') ? url : `${url}/`
      else {
        const before = `${base}`.replace(/\/$/, '')
        this.text = `${before}${url.startsWith('/') ? url : `/${url}`}`
      }
    }
    get href(): string {
      return this.toString()
    }
    get searchParams(): URLSearchParams {
      this.params ??= new URLSearchParams()
      return this.params
    }
    toString(): string {
      return this.params ? `${this.text}${this.text.includes('?') ? '&' : '?'}${this.params}` : this.text
    }
    toJSON(): string {
      return this.toString()
    }
  }
  const parts = ['hash', 'host', 'hostname', 'origin', 'password', 'pathname', 'port', 'protocol', 'search']
  for (const part of [...parts, 'username']) {
    Object.defineProperty(URL.prototype, part, { get: () => notImplemented(`URL.${part}`) })
  }
  return { URL, URLSearchParams }
}

/** `abort-controller`: the signal is an event target with `aborted`, and knows no reason. */
const aborting = () => {
  class AbortSignal {
    aborted = false
    onabort: Listener | null = null
    private readonly listeners = new Set<Listener>()
    addEventListener(_: string, listener: Listener): void {
      this.listeners.add(listener)
    }
    removeEventListener(_: string, listener: Listener): void {
      this.listeners.delete(listener)
    }
    fire(): void {
      if (this.aborted) return
      this.aborted = true
      for (const each of [...this.listeners]) each({ type: 'abort' })
      this.onabort?.({ type: 'abort' })
    }
  }
  class AbortController {
    readonly signal = new AbortSignal()
    abort(): void {
      this.signal.fire()
    }
  }
  return { AbortController, AbortSignal }
}

interface FetchOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
  signal?: InstanceType<ReturnType<typeof aborting>['AbortSignal']>
}

/** `whatwg-fetch`: the whole body at once, and no stream of it. */
const createFetch =
  (host: Host) =>
  async (url: unknown, { method = 'GET', headers = {}, body, signal }: FetchOptions = {}) => {
    if (signal?.aborted) throw new Error('Aborted')
    const request = JSON.stringify({ url: `${url}`, method, headers, body })
    const answered = await host.fetch(request, (abort) => signal?.addEventListener('abort', abort))
    const { status, text, type } = JSON.parse(answered)
    return {
      ...{ status, ok: status >= 200 && status < 300, url: `${url}` },
      headers: { get: (name: string) => (name.toLowerCase() === 'content-type' ? type : null) },
      text: async () => text,
      json: async () => JSON.parse(text),
    }
  }

/** `Libraries/WebSocket/WebSocket.js`. */
const createWebSocket = (host: Host) =>
  class WebSocket {
    static readonly CONNECTING = 0
    static readonly OPEN = 1
    static readonly CLOSING = 2
    static readonly CLOSED = 3
    readyState = WebSocket.CONNECTING
    binaryType = 'blob'
    onopen: ((event: unknown) => void) | null = null
    onmessage: ((event: unknown) => void) | null = null
    onerror: ((event: unknown) => void) | null = null
    onclose: ((event: unknown) => void) | null = null
    private readonly socket: ReturnType<Host['openSocket']>
    constructor(url: string) {
      this.socket = host.openSocket(url, {
        opened: () => {
          this.readyState = WebSocket.OPEN
          this.onopen?.({ type: 'open' })
        },
        received: (data) => this.onmessage?.({ type: 'message', data }),
        closed: (code, reason) => {
          this.readyState = WebSocket.CLOSED
          this.onclose?.({ type: 'close', code, reason })
        },
      })
    }
    send(text: string): void {
      if (this.readyState === WebSocket.CONNECTING) throw new Error('INVALID_STATE_ERR')
      this.socket.send(text)
    }
    close(code?: number, reason?: string): void {
      if (this.readyState >= WebSocket.CLOSING) return
      this.readyState = WebSocket.CLOSING
      this.socket.close(code, reason)
    }
  }

/** Puts it all into the realm. */
export const install = (host: Host): void => {
  const timer =
    (repeats: boolean) =>
    (task: () => void, delay = 0) =>
      host.setTimer(task, delay, repeats)
  const log = (...what: unknown[]) => host.log(what.map(String).join(' '))
  Object.assign(globalThis, {
    ...urls(),
    ...aborting(),
    ...{ setTimeout: timer(false), setInterval: timer(true), clearTimeout: host.clearTimer },
    ...{ clearInterval: host.clearTimer, setImmediate: (task: () => void) => host.setTimer(task, 0, false) },
    fetch: createFetch(host),
    WebSocket: createWebSocket(host),
    crypto: {
      getRandomValues<T extends Uint8Array>(bytes: T): T {
        bytes.set(host.random(bytes.length))
        return bytes
      },
    },
    TextEncoder: class {
      encode(text = '') {
        return Uint8Array.from(host.utf8(text))
      }
    },
    TextDecoder: class {
      constructor(encoding = 'utf-8', { fatal = false }: { fatal?: boolean } = {}) {
        if (!/^utf-?8$/i.test(encoding)) throw new RangeError(`Unknown encoding: ${encoding}`)
        if (fatal) throw new TypeError('fatal is not supported')
      }
      decode(bytes: Uint8Array) {
        return host.fromUtf8(Array.from(bytes))
      }
    },
    console: { log, info: log, warn: log, error: log, debug: log },
  })
}
