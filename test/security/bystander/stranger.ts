/**
 * Whoever attacks: throw-away ids at one address, as a trusted proxy names it. It counts what it does and what of it is
 * refused. For processes of attackers, so that a bystander's times are those of the server.
 */
import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { WebSocket } from 'ws'
import { fromHex, toHex } from '../../../src/protocol/bytes.ts'
import { sealType1 } from '../../../src/protocol/envelope.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import {
  deriveSymKey,
  generateAgreementKey,
  generateSigningKey,
  type SigningKey,
} from '../../../src/protocol/keys.ts'

export const MONTH_S = 2_592_000
const PATIENCE_MS = 10_000

export const randomHex = (bytes: number): string => toHex(randomBytes(bytes))
export const newTopic = (): string => randomHex(32)
export const junk = (bytes: number): string => randomBytes(bytes).toString('base64')

export const oneOf = <T>(items: readonly T[]): T => {
  const item = items[Math.floor(Math.random() * items.length)]
  if (item === undefined) throw new Error('There is nothing to choose from')
  return item
}

export const tokenFor = (key: SigningKey, aud: string, claims: object = {}): string => {
  const iat = Math.floor(Date.now() / 1000)
  return signJwt({ iss: key.did, sub: newTopic(), aud, iat, exp: iat + 86_400, ...claims }, key)
}

/** What comes sealed to an app or the server and is no request. `publicKeyHex`: X25519. */
export const nonsense = (publicKeyHex: string) => {
  const own = generateAgreementKey()
  const key = deriveSymKey(own.privateKey, fromHex(publicKeyHex))
  return { key, message: sealType1({ plaintext: junk(300), key, senderPublicKey: own.publicKey }) }
}

/** A registration of a webhook; see protocol.md §4. */
export const watchToken = (key: SigningKey, relay: string, url: string, service = url): string =>
  tokenFor(key, relay, {
    ...{ act: 'irn_watchRegister', sub: service, typ: 'subscriber', whu: url, tag: [4000] },
    ...{ sts: ['accepted', 'queued', 'delivered'], exp: Math.floor(Date.now() / 1000) + MONTH_S },
  })

export const isFine = ({ status }: { status: number }): boolean => status >= 200 && status < 300

export interface Connection {
  readonly key: SigningKey
  readonly isOpen: boolean
  /** Whether it was answered without an error. */
  ask(method: string, params: unknown): Promise<boolean>
  close(): void
}

export interface Tally {
  [what: string]: { done: number; refused: number }
}

export interface StrangerOptions {
  relays: readonly string[]
  servers: readonly string[]
  address: string
  seconds: number
  /** Called when everything is prepared. */
  onBegin?: () => void
}

/** Pushes are neither acknowledged nor looked at. */
const connectTo = async (relay: string, key: SigningKey, address: string): Promise<Connection> => {
  const ws = new WebSocket(`${relay}/?auth=${tokenFor(key, relay)}&projectId=p`, {
    perMessageDeflate: false,
    headers: { 'x-forwarded-for': address },
  })
  const waiting = new Map<number, (isDone: boolean) => void>()
  const end = () => {
    for (const settle of waiting.values()) settle(false)
    waiting.clear()
  }
  ws.on('message', (data) => {
    const text = data.toString()
    if (text.length > 64 * 1024) return
    const { id, error, method } = JSON.parse(text)
    if (method !== undefined) return
    waiting.get(Number(id))?.(error === undefined)
    waiting.delete(Number(id))
  })
  ws.on('close', end)
  ws.on('error', end)
  await new Promise<void>((resolve) => {
    ws.once('open', resolve)
    ws.once('close', resolve)
    ws.once('error', resolve)
  })
  let lastId = 0
  return {
    key,
    get isOpen() {
      return ws.readyState === WebSocket.OPEN
    },
    ask(method, params) {
      if (ws.readyState !== WebSocket.OPEN) return Promise.resolve(false)
      const id = ++lastId
      return new Promise((resolve) => {
        waiting.set(id, resolve)
        ws.send(JSON.stringify({ id, jsonrpc: '2.0', method, params }))
      })
    },
    close: () => ws.terminate(),
  }
}

export const createStranger = ({ relays, servers, address, seconds, onBegin }: StrangerOptions) => {
  let endsAt: number | undefined
  /** The time begins when it is first asked for: what is prepared before takes none of it. */
  const msLeft = () => {
    if (endsAt === undefined) {
      endsAt = Date.now() + seconds * 1000
      onBegin?.()
    }
    return Math.max(0, endsAt - Date.now())
  }
  const isOver = () => msLeft() === 0
  const tally: Tally = {}
  const note = (what: string, isDone: boolean): void => {
    tally[what] ??= { done: 0, refused: 0 }
    tally[what][isDone ? 'done' : 'refused']++
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 48 })

  return {
    relays,
    servers,
    address,
    tally,
    isOver,
    note,
    /** Resolves when the time is over. */
    over: () => new Promise<void>((resolve) => setTimeout(resolve, msLeft())),
    /** Does it again and again, so many at a time, until the time is over or it was done so often. */
    async repeat(
      what: string,
      { atOnce, times = Number.POSITIVE_INFINITY }: { atOnce: number; times?: number },
      work: (turn: number) => Promise<boolean>,
    ): Promise<void> {
      let turn = 0
      const run = async () => {
        while (!isOver() && turn < times) {
          // Whoever waits for an answer at the end is let go of.
          const late = new Promise<boolean>((resolve) =>
            setTimeout(() => resolve(false), PATIENCE_MS).unref(),
          )
          const done = await Promise.race([work(turn++), late, this.over().then(() => false)])
          note(what, done)
          // What is refused at once is tried again a moment later.
          if (!done) await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      await Promise.all(Array.from({ length: atOnce }, run))
    },
    /** A connection of an id that is new unless a key is given, perhaps from elsewhere. */
    connect: ({ relay = oneOf(relays), key = generateSigningKey(), from = address } = {}) =>
      connectTo(relay, key, from),
    /** One HTTP request. Resolves with the status, 0 for none, and what came of the body. */
    http: (method: string, url: string, body?: unknown, headers: Record<string, string> = {}) =>
      new Promise<{ status: number; text: string }>((resolve) => {
        const text = body === undefined ? undefined : JSON.stringify(body)
        const asked = request(
          url,
          {
            method,
            agent,
            timeout: PATIENCE_MS,
            headers: {
              'x-forwarded-for': address,
              ...headers,
              ...(text !== undefined && { 'content-type': 'application/json' }),
            },
          },
          (response) => {
            let received = ''
            response.on('data', (chunk) => {
              received += chunk
            })
            response.on('close', () => resolve({ status: response.statusCode ?? 0, text: received }))
          },
        )
        asked.on('timeout', () => asked.destroy())
        asked.on('error', () => resolve({ status: 0, text: '' }))
        asked.end(text)
      }),
  }
}
export type Stranger = ReturnType<typeof createStranger>
