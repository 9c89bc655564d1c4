/** A published client's way to the session relay: Socket.IO in either role, everything that it heard in order. */
import { io, type Socket } from 'socket.io-client'
import { knownSecret } from '../support/capture/record.mjs'
import { eventually } from '../support/eventually.ts'

export interface Wire {
  readonly socket: Socket
  readonly heard: (readonly [event: string, ...values: unknown[]])[]
  /** Why it was disconnected, once it was. */
  readonly ended: string | undefined
  say(event: string, ...values: unknown[]): void
  /** Resolves when it has heard the event so often. */
  hears(event: string, times?: number): Promise<unknown[]>
  /** Resolves when the server has ended it, within so many ms; answers why. */
  ends(within?: number): Promise<string>
  close(): void
}

export const dial = async (
  url: string,
  transports: ('websocket' | 'polling')[] = ['websocket'],
): Promise<Wire> => {
  const socket = io(url, { transports, reconnection: false, forceNew: true })
  const heard: [string, ...unknown[]][] = []
  let ended: string | undefined
  socket.onAny((event: string, ...values: unknown[]) => void heard.push([event, ...values]))
  socket.on('disconnect', (reason) => {
    ended = reason
  })
  await new Promise<void>((resolve, reject) => {
    socket.on('connect', () => resolve())
    socket.on('connect_error', (error) => {
      socket.disconnect()
      reject(error)
    })
  })
  return {
    socket,
    heard,
    get ended() {
      return ended
    },
    say: (event, ...values) => void socket.emit(event, ...values),
    hears: (event, times = 1) =>
      eventually(() => {
        const [, ...values] = heard.filter(([name]) => name === event)[times - 1] ?? []
        if (heard.filter(([name]) => name === event).length < times) {
          throw new Error(`${event} was not heard ${times} times, but ${JSON.stringify(heard)}`)
        }
        return values
      }),
    ends: (within) =>
      eventually(() => {
        if (ended === undefined) throw new Error(`not ended; heard ${JSON.stringify(heard)}`)
        return ended
      }, within),
    close: () => void socket.disconnect(),
  }
}

export const createSession = async (url: string): Promise<string> => {
  const response = await fetch(`${url}/session/create`, { method: 'POST' })
  const body: unknown = await response.json()
  const sessionId =
    typeof body === 'object' && body !== null && 'sessionId' in body ? body.sessionId : undefined
  if (response.status !== 201 || typeof sessionId !== 'string') throw new Error(`${response.status}`)
  // Whoever knows it may come in.
  knownSecret('session id', sessionId)
  return sessionId
}
