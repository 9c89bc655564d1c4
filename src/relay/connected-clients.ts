import type { Budgets } from '../platform/budgets/budgets.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import type { AckBatcher } from './delivery/ack-batcher.ts'
import { ClientDelivery } from './delivery/client-delivery.ts'
import { Connection } from './delivery/connection.ts'
import type { Peer } from './delivery/peer.ts'
import type { RelayLimits } from './limits.ts'
import type { Caller } from './requests/caller.ts'
import type { RelayStore } from './store.ts'

/** The connections to this process, and from which delivery each of them reads. */
export interface ConnectedClients {
  readonly connections: ReadonlyMap<Connection, ClientDelivery>
  clientIds(): Iterable<string>
  /** Of one client: one a connection, and one for all shared ones. */
  deliveriesOf(clientId: string): Iterable<ClientDelivery>
  connect(peer: Peer, who: Caller & { share: boolean }): Connection
  /** False for a connection that is unknown, or was closed before. */
  close(connection: Connection): boolean
  /** Looks into the mailboxes of all clients, for messages whose wake-up was lost. */
  catchUp(): Promise<void>
}

const NO_DELIVERIES: readonly ClientDelivery[] = []

export const createConnectedClients = (deps: {
  store: RelayStore
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  budgets: Pick<Budgets, 'work' | 'memory'>
  ackBatcher: AckBatcher
  randomBytes: (length: number) => Uint8Array
}): ConnectedClients => {
  const { clock, meter, randomBytes, ackBatcher } = deps
  const byClient = new Map<string, Set<ClientDelivery>>()
  const connections = new Map<Connection, ClientDelivery>()
  const processId = toHex(randomBytes(8))
  let connectionCount = 0
  const connectionDeps = { ...deps, nextPushId: pushIds(clock) }

  /** The delivery that a new connection reads from: one of its own, or that of all shared ones of its client. */
  const deliveryFor = (who: { clientId: string; share: boolean; inTurns: boolean }): ClientDelivery => {
    const deliveries = byClient.get(who.clientId) ?? new Set()
    byClient.set(who.clientId, deliveries)
    const known = who.share ? [...deliveries].find(({ shared }) => shared) : undefined
    if (known) return known
    const delivery = new ClientDelivery(deps, who)
    deliveries.add(delivery)
    return delivery
  }

  return {
    connections,
    clientIds: () => byClient.keys(),
    deliveriesOf: (clientId) => byClient.get(clientId) ?? NO_DELIVERIES,

    connect(peer, { clientId, share, trusted, address, payer }) {
      const delivery = deliveryFor({ clientId, share, inTurns: trusted })
      const id = `${processId}-${++connectionCount}`
      const who = { id, clientId, share, trusted, address, payer, resume: () => delivery.resume() }
      const connection = new Connection(connectionDeps, peer, who)
      delivery.join(connection)
      connections.set(connection, delivery)
      meter.gauge('relay_connections', connections.size)
      return connection
    },

    close(connection) {
      const delivery = connections.get(connection)
      if (!delivery) return false
      connections.delete(connection)
      meter.gauge('relay_connections', connections.size)
      // The client may go on at another process, which reads what is written.
      void ackBatcher.whenDurable(connection.clientId)
      const inFlight = connection.end()
      const deliveries = byClient.get(connection.clientId)
      if (delivery.leave(connection, inFlight)) deliveries?.delete(delivery)
      if (deliveries?.size === 0) byClient.delete(connection.clientId)
      return true
    },

    async catchUp() {
      for (const deliveries of [...byClient.values()])
        for (const delivery of [...deliveries]) await delivery.catchUp()
    },
  }
}

/** 16 digits, as published clients expect, and rising. */
const pushIds = (clock: Clock): (() => number) => {
  let lastId = 0
  return () => {
    lastId = Math.max(lastId + 1, clock.now() * 1000)
    return lastId
  }
}
