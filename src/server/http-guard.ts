/**
 * What a client of HTTP pays for, before a room sees its request.
 *
 * | | charged | over it |
 * |---|---|---|
 * | a connection, while it is open | `connections` of its peer; a trusted proxy's is free | it is cut |
 * | a request in progress, unless its connection pays for it | `connections` of its address | 429 |
 * | a request | `work`, `WORK_COST.request` | 429 |
 * | a body of more than 64 KiB, as announced | `memory`, until it is answered | 429 |
 * | an answer of more than 64 KiB | `memory`, until it is read | 429 instead of it |
 *
 * An answer that is read too slowly is cut off (`ANSWER_PATIENCE_MS`, `MIN_READ_BYTES_PER_S`). Free are `/health`, `/ready`,
 * `/metrics` and whoever has the admin token. A refusal here costs a tenth of what a room's costs: it is not logged.
 */
import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'
import { BODY_LIMIT } from '../platform/net/http.ts'
import { watchUpgrades } from '../platform/net/upgrades.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'

export interface HttpGuardDeps {
  budgets: Pick<Budgets, 'work' | 'connections' | 'memory'>
  addressOf: ClientAddress
  isProxy: (address: string) => boolean
  isOperator: (request: IncomingMessage) => boolean
  clock: Clock
  meter: Meter
}

export interface HttpGuard {
  /** For `createServer`. */
  ServerResponse: typeof ServerResponse
  /** Watches the connections of a server. */
  guard(server: Server): void
  /** Whether the request is served; one that is not has been answered. */
  admits(request: IncomingMessage, response: ServerResponse): boolean
}

/** Bodies and answers up to this size are paid for by the connection. */
const FREE_BYTES = 64 * 1024
/** The longest that an answer may take, beside the time that its size needs. */
const ANSWER_PATIENCE_MS = 30_000
/** A client on the slowest mobile network reads faster. */
const MIN_READ_BYTES_PER_S = 16 * 1024
/** A preflight is answered for so long after the rest is refused, or a page could not read the refusal, ms. */
const PREFLIGHT_DEBT_MS = 5_000

const FREE_PATHS = new Set(['/health', '/ready', '/metrics'])

const isFree = ({ url = '' }: IncomingMessage): boolean => FREE_PATHS.has(url.split('?', 1)[0] ?? '')

/** What a body will take at most; what is not announced may be as long as any. */
const announcedBytes = ({ headers }: IncomingMessage): number => {
  const length = headers['content-length']
  if (length !== undefined) return Math.min(Number(length), BODY_LIMIT)
  return headers['transfer-encoding'] === undefined ? 0 : BODY_LIMIT
}

const bytesOf = (chunk: unknown): number => {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk)
  return ArrayBuffer.isView(chunk) ? chunk.byteLength : 0
}

/** Readable by web pages of any origin, because it holds nothing. */
const refusal = ({ message, code, http, retryAfter = 1 }: ProtocolError) => ({
  status: http,
  body: JSON.stringify({ error: message, code }),
  headers: {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'Retry-After': `${retryAfter}`,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Expose-Headers': 'Retry-After',
  },
})

/** What a connection pays for, and what must be given back when it ends. */
interface Held {
  /** Takes a place of its peer's address. */
  place: Disposable | undefined
  /** Requests in progress. */
  requests: number
  releases: Set<() => void>
}

export const createHttpGuard = (deps: HttpGuardDeps): HttpGuard => {
  const { budgets, addressOf, isProxy, isOperator, clock, meter } = deps
  const connections = new WeakMap<Duplex, Held>()
  /** Of requests that are charged. */
  const addresses = new WeakMap<IncomingMessage, string>()

  /** Once, at the end of the answer or of its connection: Node does not tell of an answer that waited for another. */
  const untilAnswered = (response: ServerResponse, held: Held | undefined, give: () => void): void => {
    const release = () => {
      if (held && !held.releases.delete(release)) return
      give()
    }
    held?.releases.add(release)
    response.once('close', release)
  }

  const takeMemory = (response: ServerResponse, held: Held | undefined, address: string, bytes: number) => {
    if (bytes <= FREE_BYTES || address === '') return true
    if (!budgets.memory.take(address, bytes)) return false
    untilAnswered(response, held, () => budgets.memory.give(address, bytes))
    return true
  }

  /** Holds the head back until the length is known, so that an answer that is too much becomes a refusal. */
  class PaidResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
    #head: readonly unknown[] | undefined
    #isHeld = true
    #isRefused = false
    #bytes = 0

    #sendHead(): void {
      const head = this.#head
      this.#isHeld = false
      this.#head = undefined
      if (head) Reflect.apply(super.writeHead, this, head)
    }

    override writeHead(...head: unknown[]): this {
      if (this.#isHeld) this.#head = head
      else Reflect.apply(super.writeHead, this, head)
      return this
    }

    override flushHeaders(): void {
      this.#sendHead()
      super.flushHeaders()
    }

    override write(...args: unknown[]): boolean {
      if (!this.#affords(bytesOf(args[0]))) return true
      this.#sendHead()
      return Reflect.apply(super.write, this, args)
    }

    override end(...args: unknown[]): this {
      if (!this.#affords(bytesOf(args[0]))) return this
      this.#sendHead()
      Reflect.apply(super.end, this, args)
      if (this.writableFinished) return this
      const patienceMs = ANSWER_PATIENCE_MS + (this.#bytes / MIN_READ_BYTES_PER_S) * 1000
      const late = clock.after(patienceMs, () => this.destroy())
      untilAnswered(this, connections.get(this.req.socket), () => late[Symbol.dispose]())
      return this
    }

    /** Pays for so much more of the answer. What is not affordable becomes a refusal; half of it is cut off. */
    #affords(bytes: number): boolean {
      if (this.#isRefused) return false
      const held = connections.get(this.req.socket)
      if (takeMemory(this, held, addresses.get(this.req) ?? '', bytes)) {
        this.#bytes += bytes
        return true
      }
      if (this.#isHeld) {
        refuse(this, new ProtocolError('rate_limited', 'unread answers fill what your address may hold'))
      } else this.destroy()
      this.#isRefused = true
      return false
    }
  }

  const refuse = (response: ServerResponse, error: ProtocolError): void => {
    const { method } = response.req
    meter.count('http_requests_total', {
      method: method === 'GET' || method === 'POST' ? method : 'other',
      route: 'none',
      status: `${error.http}`,
    })
    const { status, headers, body } = refusal(error)
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body)
  }

  /** Takes a place for the connection. False when its peer has too many. */
  const opened = (socket: Socket): boolean => {
    const known = connections.get(socket)
    const held: Held = known ?? { place: undefined, requests: 0, releases: new Set() }
    connections.set(socket, held)
    if (!known) {
      socket.once('close', () => {
        held.place?.[Symbol.dispose]()
        for (const release of [...held.releases]) release()
      })
    }
    const peer = socket.remoteAddress ?? ''
    if (held.place || peer === '' || isProxy(peer)) return true
    const owner = addressOf({ headers: {}, socket })
    if (!budgets.connections.take(owner)) return false
    held.place = {
      [Symbol.dispose]() {
        held.place = undefined
        budgets.connections.give(owner)
      },
    }
    return true
  }

  const takePlace = (response: ServerResponse, held: Held | undefined, address: string): boolean => {
    const isPaid = held?.place !== undefined && held.requests === 0
    if (!isPaid && !budgets.connections.take(address)) return false
    if (held) held.requests++
    untilAnswered(response, held, () => {
      if (held) held.requests--
      if (!isPaid) budgets.connections.give(address)
    })
    return true
  }

  const chargeRequest = (request: IncomingMessage, address: string): void => {
    if (request.method !== 'OPTIONS') budgets.work.charge(address, WORK_COST.request)
    else if (budgets.work.spend(address, WORK_COST.request) > PREFLIGHT_DEBT_MS) {
      throw new ProtocolError('rate_limited')
    }
  }

  /** Throws `rate_limited`. */
  const charge = (request: IncomingMessage, response: ServerResponse): void => {
    const address = addressOf(request)
    if (address === '') throw new ProtocolError('bad_request', 'its connection is gone')
    addresses.set(request, address)
    chargeRequest(request, address)
    const held = connections.get(request.socket)
    if (!takePlace(response, held, address)) throw new ProtocolError('rate_limited', 'too many connections')
    if (!takeMemory(response, held, address, announcedBytes(request))) {
      throw new ProtocolError('rate_limited', 'what your address sends at once is too much')
    }
  }

  return {
    ServerResponse: PaidResponse,
    guard(server) {
      server.on('connection', (socket: Socket) => {
        if (opened(socket)) return
        meter.count('http_connections_refused_total')
        socket.destroy()
      })
      // Who takes it charges for it.
      watchUpgrades(server, (raw) => connections.get(raw)?.place?.[Symbol.dispose]())
    },
    admits(request, response) {
      if (isFree(request) || isOperator(request)) return true
      try {
        charge(request, response)
        return true
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        refuse(response, error)
        return false
      }
    },
  }
}
