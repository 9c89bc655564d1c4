/**
 * What a client of HTTP pays for, before a room sees its request.
 *
 * | | charged | over it |
 * |---|---|---|
 * | a connection, while it is open | `connections` of its peer; a trusted proxy's is free | it is cut |
 * | a refusal | `refusals` | the connection is cut |
 * | a request behind the one that had a connection cut | `refusals`, a debt | all connections of its address are cut, new ones, too |
 * | `/health`, `/ready`, `/metrics` | `probes` | 429 |
 * | a request in progress, unless its connection pays for it | `connections` of its address | 429 |
 * | a request | `work`, `WORK_COST.request` | 429 |
 * | a body of more than 64 KiB, as announced | `memory`, until it is answered | 429 |
 * | an answer of more than 64 KiB | `memory`, until it is read | 429 instead of it |
 *
 * Whom the operator has blocked gets 403. An answer that is read too slowly is cut off (`ANSWER_TIMEOUT_MS`, `MIN_READ_BYTES_PER_S`). Free is
 * whoever has the admin token. A refusal here costs a tenth of what a room's costs: it is not logged.
 */
import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'
import { watchUpgrades } from '../platform/net/upgrades.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { createHttpPayments, type HttpPayments, type PaidBudgets } from './http-payments.ts'

export interface HttpGuardDeps {
  budgets: PaidBudgets
  addressOf: ClientAddress
  isProxy: (address: string) => boolean
  isOperator: (request: IncomingMessage) => boolean
  isBlocked: (address: string) => boolean
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

/** The longest that an answer may take, beside the time that its size needs. */
const ANSWER_TIMEOUT_MS = 30_000
/** A client on the slowest mobile network reads faster. */
const MIN_READ_BYTES_PER_S = 16 * 1024

/** What they cost, units of work. A text of all metrics takes some ms. */
const PROBE_COSTS = new Map([
  ['/health', WORK_COST.request],
  ['/ready', WORK_COST.request],
  ['/metrics', 10 * WORK_COST.request],
])

const probeCost = ({ url = '' }: IncomingMessage): number | undefined =>
  PROBE_COSTS.get(url.split('?', 1)[0] ?? '')

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

const refuse = (response: ServerResponse, error: ProtocolError, meter: Meter): void => {
  const { method } = response.req
  meter.count('http_requests_total', {
    method: method === 'GET' || method === 'POST' ? method : 'other',
    route: 'none',
    status: `${error.http}`,
  })
  const { status, headers, body } = refusal(error)
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body)
}

const cut = (socket: Socket, meter: Meter): void => {
  meter.count('http_connections_refused_total')
  socket.destroy()
}

interface ResponseDeps {
  payments: Pick<HttpPayments, 'takeAnswer' | 'untilAnswered'>
  clock: Clock
  meter: Meter
}

/** Holds the head back until the length is known, so that an answer that is too much becomes a refusal. */
abstract class PaidResponse<
  Request extends IncomingMessage = IncomingMessage,
> extends ServerResponse<Request> {
  #head: readonly unknown[] | undefined
  #isHeldBack = true
  #isRefused = false
  #bytes = 0

  protected abstract get deps(): ResponseDeps

  #sendHead(): void {
    const head = this.#head
    this.#isHeldBack = false
    this.#head = undefined
    if (head) Reflect.apply(super.writeHead, this, head)
  }

  override writeHead(...head: unknown[]): this {
    if (this.#isHeldBack) this.#head = head
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
    const { payments, clock } = this.deps
    const timeoutMs = ANSWER_TIMEOUT_MS + (this.#bytes / MIN_READ_BYTES_PER_S) * 1000
    const late = clock.after(timeoutMs, () => this.destroy())
    payments.untilAnswered(this, () => late[Symbol.dispose]())
    return this
  }

  /** Pays for so much more of the answer. What is not affordable becomes a refusal; half of it is cut off. */
  #affords(bytes: number): boolean {
    if (this.#isRefused) return false
    const { payments, meter } = this.deps
    if (payments.takeAnswer(this, bytes)) {
      this.#bytes += bytes
      return true
    }
    if (this.#isHeldBack) {
      const error = new ProtocolError('rate_limited', 'unread answers fill what your address may hold')
      refuse(this, error, meter)
    } else this.destroy()
    this.#isRefused = true
    return false
  }
}

export const createHttpGuard = (deps: HttpGuardDeps): HttpGuard => {
  const { isOperator, isBlocked, addressOf, clock, meter } = deps
  const payments = createHttpPayments(deps)
  const responseDeps: ResponseDeps = { payments, clock, meter }
  return {
    ServerResponse: class<Request extends IncomingMessage = IncomingMessage> extends PaidResponse<Request> {
      protected get deps() {
        return responseDeps
      }
    },
    guard(server) {
      server.on('connection', (socket: Socket) => {
        if (!payments.open(socket)) cut(socket, meter)
      })
      // The upgrade's own handler charges for it.
      watchUpgrades(server, (raw) => payments.leave(raw))
    },
    admits(request, response) {
      if (request.socket.destroyed) {
        payments.chargeBehindCut(request)
        return false
      }
      if (isOperator(request)) return true
      try {
        const cost = probeCost(request)
        if (cost !== undefined) payments.chargeProbe(request, cost)
        else if (isBlocked(addressOf(request))) throw new ProtocolError('blocked')
        else payments.charge(request, response)
        return true
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        if (payments.affordsRefusal(request)) refuse(response, error, meter)
        else cut(request.socket, meter)
        return false
      }
    },
  }
}
