/**
 * Two hundred throw-away ids of one address that do everything at once that costs a server something, as fast as it takes
 * it, until the time is over. A process of its own: `attacker.ts '{"relays":[…],"servers":[…],"seconds":60,…}'`; at the
 * end it prints, as JSON, how often each thing was done and how often it was refused.
 */
import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { hashDid } from '../../../src/mq/dids.ts'
import { ed25519Signer } from '../../../src/mq/signers.ts'
import { fromHex, toHex } from '../../../src/protocol/bytes.ts'
import { sealType1 } from '../../../src/protocol/envelope.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { deriveSymKey, generateAgreementKey, generateSigningKey } from '../../../src/protocol/keys.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { createPerson } from '../../keys/person.ts'

const Orders = z.object({
  relays: z.array(z.string()).min(1),
  servers: z.array(z.string()).min(1),
  seconds: z.number(),
  ids: z.number(),
  /** Where all of it comes from, as a trusted proxy says it. */
  address: z.string(),
  /** X25519 keys of the server and of an app, hex. */
  requestKeys: z.array(z.string()).min(1),
})
const orders = Orders.parse(JSON.parse(process.argv[2] ?? '{}'))

const MONTH_S = 2_592_000
const endsAt = Date.now() + orders.seconds * 1000
const isOver = () => Date.now() >= endsAt
const done: Record<string, { done: number; refused: number }> = {}
const note = (what: string, isDone: boolean) => {
  done[what] ??= { done: 0, refused: 0 }
  done[what][isDone ? 'done' : 'refused']++
}
const one = <T>(items: readonly T[]): T => {
  const item = items[Math.floor(Math.random() * items.length)]
  if (item === undefined) throw new Error('nothing to choose from')
  return item
}
const forwarded = { 'x-forwarded-for': orders.address }
const newTopic = () => toHex(randomBytes(32))

const agent = new Agent({ keepAlive: true, maxSockets: 48 })
/** One HTTP request. Resolves with the status, 0 for none, and what came of the body. */
const http = (method: string, url: string, body?: unknown, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; text: string }>((resolve) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const asked = request(
      url,
      {
        method,
        agent,
        timeout: 10_000,
        headers: {
          ...forwarded,
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
  })

const tokenFor = (key: ReturnType<typeof generateSigningKey>, aud: string, claims: object = {}) => {
  const iat = Math.floor(Date.now() / 1000)
  return signJwt({ iss: key.did, sub: toHex(randomBytes(32)), aud, iat, exp: iat + 86_400, ...claims }, key)
}

/** A connection of a new id. Requests wait for their answers, at most so many; pushes are never acknowledged. */
const connect = async () => {
  const key = generateSigningKey()
  const relay = one(orders.relays)
  const ws = new WebSocket(`${relay}/?auth=${tokenFor(key, relay)}&projectId=p`, { headers: forwarded })
  const waiting = new Map<number, (isDone: boolean) => void>()
  const end = () => {
    for (const settle of waiting.values()) settle(false)
    waiting.clear()
  }
  ws.on('message', (data) => {
    const { id, error, method } = JSON.parse(data.toString())
    if (method !== undefined) return
    waiting.get(Number(id))?.(error === undefined)
    waiting.delete(Number(id))
  })
  ws.on('close', end)
  ws.on('error', end)
  const isOpen = await new Promise<boolean>((resolve) => {
    ws.once('open', () => resolve(true))
    ws.once('close', () => resolve(false))
    ws.once('error', () => resolve(false))
  })
  let lastId = 0
  return {
    key,
    isOpen,
    get ended() {
      return ws.readyState !== WebSocket.OPEN
    },
    ask(method: string, params: unknown): Promise<boolean> {
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
type Socket = Awaited<ReturnType<typeof connect>>

const junk = (bytes: number) => randomBytes(bytes).toString('base64')
const publish = (socket: Socket, topic: string, message: string, ttl = MONTH_S, tag = 4000) =>
  socket.ask('irn_publish', { topic, message, ttl, tag })

/** What comes sealed to an app or the server and is no request. */
const nonsense = (publicKeyHex: string): string => {
  const publicKey = fromHex(publicKeyHex)
  const own = generateAgreementKey()
  const symKey = deriveSymKey(own.privateKey, publicKey)
  return sealType1({ plaintext: junk(300), key: symKey, senderPublicKey: own.publicKey })
}

const onSocket: Record<string, (socket: Socket) => Promise<boolean>> = {
  'subscribe to 500 topics': (socket) =>
    socket.ask('irn_batchSubscribe', { topics: Array.from({ length: 500 }, newTopic) }),
  'subscribe to a request topic': (socket) =>
    socket.ask('irn_subscribe', { topic: topicOf(fromHex(one(orders.requestKeys))) }),
  'publish 40 KB to nobody': (socket) => publish(socket, newTopic(), junk(30_000)),
  'publish 500 tiny messages to a request topic': (socket) => {
    const topic = topicOf(fromHex(one(orders.requestKeys)))
    const messages = Array.from({ length: 500 }, () => ({
      topic,
      message: junk(12),
      ttl: MONTH_S,
      tag: 4000,
    }))
    return socket.ask('irn_batchPublish', { messages })
  },
  'publish sealed nonsense': (socket) => {
    const key = one(orders.requestKeys)
    return publish(socket, topicOf(fromHex(key)), nonsense(key), MONTH_S, one([4000, 4010]))
  },
  'fill its own mailbox and not read it': async (socket) => {
    const topic = newTopic()
    await socket.ask('irn_subscribe', { topic })
    const other = await connect()
    for (let at = 0; at < 20 && !isOver(); at++) await publish(other, topic, junk(30_000))
    other.close()
    return !socket.ended
  },
  'register a watch': (socket) => {
    const iat = Math.floor(Date.now() / 1000)
    const url = `https://${toHex(randomBytes(8))}.example/${'x'.repeat(400)}`
    const claims = { act: 'irn_watchRegister', sub: url, aud: one(orders.relays), iat, exp: iat + MONTH_S }
    const more = { typ: 'subscriber', whu: url, tag: [4000], sts: ['accepted', 'queued', 'delivered'] }
    const registerAuth = signJwt({ iss: socket.key.did, ...claims, ...more }, socket.key)
    return socket.ask('irn_watchRegister', { registerAuth })
  },
}

const isFine = ({ status }: { status: number }) => status >= 200 && status < 300
const overHttp: Record<string, () => Promise<boolean>> = {
  'register an identity': async () => {
    const person = createPerson()
    const key = person.newKey()
    const cacao = person.cacao(key, Date.now(), { resources: [`https://keys.example/${'r'.repeat(1_000)}`] })
    return isFine(await http('POST', `${one(orders.servers)}/identity`, { cacao }))
  },
  'ask for an identity that is not there': async () =>
    isFine(
      await http('GET', `${one(orders.servers)}/identity?publicKey=${generateSigningKey().did.slice(8)}`),
    ),
  'register at the archive': async () => {
    const server = one(orders.servers)
    const authorization = `Bearer ${tokenFor(generateSigningKey(), server)}`
    const tags = Array.from({ length: 8 }, () => String(Math.floor(Math.random() * 1e6)))
    return isFine(await http('POST', `${server}/register`, { tags, relayUrl: server }, { authorization }))
  },
  'put into a queue of nobody': async () => {
    const server = one(orders.servers)
    const queue = `${server}/mq/default`
    const hash = hashDid(ed25519Signer(generateSigningKey()).did)
    const given = await http('GET', `${queue}/${hash}/token`)
    if (!isFine(given)) return false
    const { token } = JSON.parse(given.text)
    const authorization = { 'x-mq-authorization': token }
    return isFine(await http('PUT', `${queue}/put/${hash}`, { message: junk(6_000) }, authorization))
  },
  'fifty wrong signatures in a batch': async () => {
    const signature = { v: 27, r: `0x${'11'.repeat(32)}`, s: `0x${'22'.repeat(32)}` }
    const calls = Array.from({ length: 50 }, (_, id) => {
      const did = `0x${toHex(randomBytes(20))}`
      const params = { did, name: 'xmtp/installation/hex', value: 'ab'.repeat(200), signature }
      return { jsonrpc: '2.0', id, method: 'grantInstallation', params }
    })
    return isFine(await http('POST', `${one(orders.servers)}/rpc/v1`, calls))
  },
  'create a wallet session': async () => isFine(await http('POST', `${one(orders.servers)}/session/create`)),
  'ask for what is not there': async () => isFine(await http('GET', `${one(orders.servers)}/${junk(9)}`)),
}

const attack = async (index: number): Promise<void> => {
  const names = Object.keys(index % 2 === 0 ? onSocket : overHttp)
  while (!isOver()) {
    if (index % 2 === 1) {
      const name = one(names)
      note(name, (await overHttp[name]?.()) ?? false)
      continue
    }
    const socket = await connect()
    note('connect', socket.isOpen)
    // Refused: an attacker comes again, a moment later.
    if (!socket.isOpen) await new Promise((resolve) => setTimeout(resolve, 50))
    for (let at = 0; at < 20 && !isOver() && !socket.ended; at++) {
      const name = one(names)
      const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5_000).unref())
      note(name, await Promise.race([onSocket[name]?.(socket) ?? Promise.resolve(false), late]))
    }
    socket.close()
  }
}

await Promise.all(Array.from({ length: orders.ids }, (_, index) => attack(index)))
console.log(JSON.stringify(done))
process.exit()
