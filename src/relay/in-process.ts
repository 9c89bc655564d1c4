/**
 * A client of the relay of the same process. It gives the hub values and is given values: no socket, no frames. What it
 * guarantees is what `createRelayClient` does (see `client/index.ts`), with the same parts. The house pays for it.
 *
 * | at the socket | here |
 * |---|---|
 * | a frame of a request | `hub.request`, checked by the same schemas |
 * | a pushed frame, its answer `true` | `pushed`, `hub.acknowledge`; the window of the hub bounds what is pushed |
 * | not read from | requests wait here: no more than a client has under way |
 * | the connection ends, and opens again | it ends with the relay or the client, for good |
 */
import { soon } from '#socket'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Client, type ClientOptions, createClient } from './client/client.ts'
import type { Connection, ConnectionEvents, Outcome } from './client/connection.ts'
import type { ValuePush } from './delivery/peer.ts'
import type { Connection as HubConnection, RelayHub } from './hub.ts'

/**
 * Connects to the relay of this process.
 *
 * @param share joins the other connections of this client id: each message goes to one of them.
 */
export const createInProcessClient = (
  deps: { hub: RelayHub; clock: Clock; log: Log; meter: Meter },
  options: ClientOptions & { share: boolean },
): Client => createClient(deps, options, (events) => createInProcessConnection(deps, options, events))

/** A request that is not answered. */
interface Unanswered {
  method: string
  params: unknown
  complete: (outcome: Outcome) => void
}

const createInProcessConnection = (
  { hub, meter }: { hub: RelayHub; meter: Meter },
  { clientId, share }: { clientId: string; share: boolean },
  events: ConnectionEvents,
): Connection => {
  const requests = createUnanswered()
  let connection: HubConnection | undefined
  let hasEnded = false

  const ask = (request: Unanswered) => {
    if (connection === undefined) return
    hub.request(connection, request, {
      answer(result) {
        requests.settle(request, { kind: 'answered', result })
        return true
      },
      fail: (error) =>
        requests.settle(request, { kind: 'refused', error, unknownMethod: error.code === 'unknown_method' }),
    })
  }
  const pushes = createPushQueue(({ message, pushId, id }) => {
    if (connection === undefined) return
    const pushedOn = connection
    events.pushed(message, () => pushedOn === connection && hub.acknowledge(pushedOn, pushId), id)
  })

  const end = (error: ProtocolError) => {
    if (hasEnded) return
    hasEnded = true
    events.ended(error)
    if (connection === undefined) return
    const ended = connection
    connection = undefined
    meter.count('relay_client_disconnects_total')
    hub.close(ended)
    pushes.clear()
    requests.loseAll()
    events.lost()
  }

  soon(() => {
    if (hasEnded) return
    connection = hub.connect(
      {
        push: pushes.add,
        // What is pushed is in the window of the connection until it is acknowledged; nothing waits beside it.
        buffered: () => 0,
        pause: requests.hold,
        resume: () => requests.release(ask),
        close: () => end(new ProtocolError('unavailable', 'the relay has stopped')),
      },
      { clientId, share, address: '' },
    )
    meter.count('relay_client_connects_total')
    events.opened()
  })

  return {
    get connected() {
      return connection !== undefined
    },
    request(method, params, complete) {
      if (connection === undefined) return soon(() => complete({ kind: 'lost' }))
      requests.add({ method, params, complete }, ask)
    },
    async close() {
      end(new ProtocolError('unavailable', 'the relay client was closed'))
    },
  }
}

/** Requests in their order. While they are held, those that come wait. */
const createUnanswered = () => {
  const unanswered = new Set<Unanswered>()
  let held: Unanswered[] = []
  let isHeld = false

  return {
    add(request: Unanswered, ask: (request: Unanswered) => void): void {
      unanswered.add(request)
      if (isHeld) held.push(request)
      else ask(request)
    },
    /** Its caller hears of it later, as it would from a socket. */
    settle(request: Unanswered, outcome: Outcome): void {
      soon(() => {
        if (unanswered.delete(request)) request.complete(outcome)
      })
    },
    hold(): void {
      isHeld = true
    },
    release(ask: (request: Unanswered) => void): void {
      isHeld = false
      const waiting = held
      held = []
      for (const [at, request] of waiting.entries()) {
        // One of them has filled the connection again.
        if (isHeld) return void held.unshift(...waiting.slice(at))
        ask(request)
      }
    },
    /** The connection has ended. */
    loseAll(): void {
      const lost = [...unanswered]
      unanswered.clear()
      held = []
      for (const { complete } of lost) complete({ kind: 'lost' })
    },
  }
}

/** Hands on what is pushed after the hub has done what it is doing. It holds no more than the window of the connection. */
const createPushQueue = (take: (push: ValuePush) => void) => {
  let waiting: ValuePush[] = []
  const takeAll = () => {
    const all = waiting
    waiting = []
    for (const push of all) take(push)
  }
  return {
    add(push: ValuePush): void {
      if (waiting.push(push) === 1) soon(takeAll)
    },
    clear(): void {
      waiting = []
    },
  }
}
