/** What connections and requests take of the budgets of their address, and that all of it is given back. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { invariant } from '../platform/invariant.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'
import { MAX_BODY_BYTES } from '../platform/net/http.ts'
import { ProtocolError } from '../protocol/errors.ts'

/** Bodies and answers up to this size are paid for by the connection. */
const FREE_BYTES = 64 * 1024
/** A preflight is answered for so long after the rest is refused, or a page could not read the refusal. */
const PREFLIGHT_DEBT_MS = 5_000

/** What a connection pays for, and what must be given back when it ends. */
interface Connection {
  /** Its share of what its peer may have open; undefined while it pays for nothing. */
  seat: Disposable | undefined
  /** Who paid when it was opened; undefined for a proxy's. */
  opener?: string
  /** In progress. */
  requests: number
  releases: Set<() => void>
}

export type PaidBudgets = Pick<Budgets, 'work' | 'probes' | 'refusals' | 'connections' | 'memory'>

export interface HttpPayments {
  /** Charges a new connection to its peer. False when the peer has too many, or owes refusals. */
  open(socket: Socket): boolean
  /** Gives back what the connection takes: it is no longer one of HTTP. */
  leave(raw: Duplex): void
  /** Charges a request to its address. Throws `rate_limited`. */
  charge(request: IncomingMessage, response: ServerResponse): void
  /** Throws `rate_limited`. */
  chargeProbe(request: IncomingMessage, cost: number): void
  /** Charges a refusal to its address. False when it has had too many: its connection is to be cut. */
  affordsRefusal(request: IncomingMessage): boolean
  /**
   * Node reads to its end what has come on a connection, cut or not: 64 KiB may hold 1,800 requests, each some 10 µs. So whoever
   * sends on without an answer owes, and loses its other connections before they are read.
   */
  chargeBehindCut(request: IncomingMessage): void
  /** Charges so many bytes of an answer, until it is read. False when its address may hold no more. */
  takeAnswer(response: ServerResponse, bytes: number): boolean
  /** Runs once, at the end of the answer or of its connection. */
  untilAnswered(response: ServerResponse, release: () => void): void
}

/** What a body will take at most; what is not announced may be as long as any. */
const announcedBytes = ({ headers }: IncomingMessage): number => {
  const length = headers['content-length']
  if (length !== undefined) return Math.min(Number(length), MAX_BODY_BYTES)
  return headers['transfer-encoding'] === undefined ? 0 : MAX_BODY_BYTES
}

/** Node emits no `close` for an answer that waited for another one when their connection ends. */
const releaseAtEnd = (
  response: ServerResponse,
  connection: Connection | undefined,
  give: () => void,
): void => {
  const release = () => {
    if (connection && !connection.releases.delete(release)) return
    give()
  }
  connection?.releases.add(release)
  response.once('close', release)
}

const chargeWork = (work: Budgets['work'], request: IncomingMessage, address: string): void => {
  if (request.method !== 'OPTIONS') work.charge(address, WORK_COST.request)
  else if (work.spend(address, WORK_COST.request) > PREFLIGHT_DEBT_MS) {
    throw new ProtocolError('rate_limited')
  }
}

/** The first request of a connection is paid for by it; one beside it takes a seat of its own. */
const takeSeat = (
  seats: Budgets['connections'],
  response: ServerResponse,
  address: string,
  connection: Connection | undefined,
): boolean => {
  const isPaid = connection?.seat !== undefined && connection.requests === 0
  if (!isPaid && !seats.take(address)) return false
  if (connection) connection.requests++
  releaseAtEnd(response, connection, () => {
    if (connection) {
      invariant(connection.requests > 0, 'A connection ends no more requests than it began')
      connection.requests--
    }
    if (!isPaid) seats.give(address)
  })
  return true
}

interface PaymentsDeps {
  budgets: PaidBudgets
  addressOf: ClientAddress
  isProxy: (address: string) => boolean
}

/** What is open, and who pays for it. */
const createConnections = ({ budgets, addressOf, isProxy }: PaymentsDeps) => {
  const connections = new WeakMap<Duplex, Connection>()
  /** Of HTTP, by who pays for them. */
  const opened = new Map<string, Set<Socket>>()

  const connectionOf = (socket: Socket): Connection => {
    const known = connections.get(socket)
    if (known) return known
    const connection: Connection = { seat: undefined, requests: 0, releases: new Set() }
    connections.set(socket, connection)
    socket.once('close', () => {
      connection.seat?.[Symbol.dispose]()
      for (const release of [...connection.releases]) release()
    })
    return connection
  }

  const open = (socket: Socket): boolean => {
    const connection = connectionOf(socket)
    const peer = socket.remoteAddress ?? ''
    if (connection.seat || peer === '' || isProxy(peer)) return true
    const owner = addressOf({ headers: {}, socket })
    if (budgets.refusals.debtOf(owner) > 0 || !budgets.connections.take(owner)) return false
    const others = opened.get(owner) ?? new Set()
    opened.set(owner, others.add(socket))
    connection.opener = owner
    connection.seat = {
      [Symbol.dispose]() {
        connection.seat = undefined
        budgets.connections.give(owner)
        others.delete(socket)
        if (others.size === 0) opened.delete(owner)
      },
    }
    return true
  }

  const chargeBehindCut = ({ socket }: IncomingMessage): void => {
    const owner = connections.get(socket)?.opener
    if (owner === undefined || budgets.refusals.spend(owner, 1) === 0) return
    for (const other of opened.get(owner) ?? []) other.destroy()
  }

  return { open, chargeBehindCut, of: (raw: Duplex) => connections.get(raw) }
}

export const createHttpPayments = (deps: PaymentsDeps): HttpPayments => {
  const { budgets, addressOf } = deps
  const connections = createConnections(deps)
  /** Of requests that are charged. */
  const addresses = new WeakMap<IncomingMessage, string>()

  const takeMemory = (response: ServerResponse, address: string, bytes: number): boolean => {
    if (bytes <= FREE_BYTES || address === '') return true
    if (!budgets.memory.take(address, bytes)) return false
    releaseAtEnd(response, connections.of(response.req.socket), () => budgets.memory.give(address, bytes))
    return true
  }

  return {
    open: connections.open,
    leave: (raw) => connections.of(raw)?.seat?.[Symbol.dispose](),
    charge(request, response) {
      const address = addressOf(request)
      if (address === '') throw new ProtocolError('bad_request', 'its connection is gone')
      addresses.set(request, address)
      chargeWork(budgets.work, request, address)
      const connection = connections.of(request.socket)
      if (!takeSeat(budgets.connections, response, address, connection)) {
        throw new ProtocolError('rate_limited', 'too many connections')
      }
      if (!takeMemory(response, address, announcedBytes(request))) {
        throw new ProtocolError('rate_limited', 'what your address sends at once is too much')
      }
    },
    chargeProbe: (request, cost) => budgets.probes.charge(addressOf(request), cost),
    affordsRefusal(request) {
      try {
        budgets.refusals.charge(addressOf(request), 1)
        return true
      } catch {
        return false
      }
    },
    chargeBehindCut: connections.chargeBehindCut,
    takeAnswer: (response, bytes) => takeMemory(response, addresses.get(response.req) ?? '', bytes),
    untilAnswered: (response, release) =>
      releaseAtEnd(response, connections.of(response.req.socket), release),
  }
}
