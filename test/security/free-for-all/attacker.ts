/**
 * Two hundred throw-away ids of one address that do everything at once that costs a server something, as fast as it takes
 * it, until the time is over. A process of its own: `attacker.ts '{"relays":[…],"servers":[…],"seconds":60,…}'`; at the
 * end it prints, as JSON, how often each thing was done and how often it was refused.
 */
import { z } from 'zod'
import { hashDid } from '../../../src/mq/dids.ts'
import { ed25519Signer } from '../../../src/mq/signers.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { createPerson } from '../../support/person.ts'
import {
  type Connection,
  createStranger,
  isFine,
  junk,
  MONTH_S,
  newTopic,
  nonsense,
  oneOf,
  randomHex,
  tokenFor,
  watchToken,
} from '../bystander/stranger.ts'

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

const { connect, http, isOver, note, tally } = createStranger(orders)

const publish = (socket: Connection, topic: string, message: string, ttl = MONTH_S, tag = 4000) =>
  socket.ask('irn_publish', { topic, message, ttl, tag })

const onSocket: Record<string, (socket: Connection) => Promise<boolean>> = {
  'subscribe to 500 topics': (socket) =>
    socket.ask('irn_batchSubscribe', { topics: Array.from({ length: 500 }, newTopic) }),
  'subscribe to a request topic': (socket) =>
    socket.ask('irn_subscribe', { topic: topicOf(fromHex(oneOf(orders.requestKeys))) }),
  'publish 40 KB to nobody': (socket) => publish(socket, newTopic(), junk(30_000)),
  'publish 500 tiny messages to a request topic': (socket) => {
    const topic = topicOf(fromHex(oneOf(orders.requestKeys)))
    const messages = Array.from({ length: 500 }, () => ({
      topic,
      message: junk(12),
      ttl: MONTH_S,
      tag: 4000,
    }))
    return socket.ask('irn_batchPublish', { messages })
  },
  'publish sealed nonsense': (socket) => {
    const key = oneOf(orders.requestKeys)
    return publish(socket, topicOf(fromHex(key)), nonsense(key).message, MONTH_S, oneOf([4000, 4010]))
  },
  'fill its own mailbox and not read it': async (socket) => {
    const topic = newTopic()
    await socket.ask('irn_subscribe', { topic })
    const other = await connect()
    for (let at = 0; at < 20 && !isOver(); at++) await publish(other, topic, junk(30_000))
    other.close()
    return socket.isOpen
  },
  'register a watch': (socket) => {
    const url = `https://${randomHex(8)}.example/${'x'.repeat(400)}`
    const registerAuth = watchToken(socket.key, oneOf(orders.relays), url)
    return socket.ask('irn_watchRegister', { registerAuth })
  },
}

const overHttp: Record<string, () => Promise<boolean>> = {
  'register an identity': async () => {
    const person = createPerson()
    const key = person.newKey()
    const cacao = person.cacao(key, Date.now(), { resources: [`https://keys.example/${'r'.repeat(1_000)}`] })
    return isFine(await http('POST', `${oneOf(orders.servers)}/identity`, { cacao }))
  },
  'ask for an identity that is not there': async () =>
    isFine(
      await http('GET', `${oneOf(orders.servers)}/identity?publicKey=${generateSigningKey().did.slice(8)}`),
    ),
  'register at the archive': async () => {
    const server = oneOf(orders.servers)
    const authorization = `Bearer ${tokenFor(generateSigningKey(), server)}`
    const tags = Array.from({ length: 8 }, () => String(Math.floor(Math.random() * 1e6)))
    return isFine(await http('POST', `${server}/register`, { tags, relayUrl: server }, { authorization }))
  },
  'put into a queue of nobody': async () => {
    const server = oneOf(orders.servers)
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
      const did = `0x${randomHex(20)}`
      const params = { did, name: 'xmtp/installation/hex', value: 'ab'.repeat(200), signature }
      return { jsonrpc: '2.0', id, method: 'grantInstallation', params }
    })
    return isFine(await http('POST', `${oneOf(orders.servers)}/rpc/v1`, calls))
  },
  'create a wallet session': async () =>
    isFine(await http('POST', `${oneOf(orders.servers)}/session/create`)),
  'ask for what is not there': async () => isFine(await http('GET', `${oneOf(orders.servers)}/${junk(9)}`)),
}

const attack = async (index: number): Promise<void> => {
  const names = Object.keys(index % 2 === 0 ? onSocket : overHttp)
  while (!isOver()) {
    if (index % 2 === 1) {
      const name = oneOf(names)
      note(name, (await overHttp[name]?.()) ?? false)
      continue
    }
    const socket = await connect()
    note('connect', socket.isOpen)
    // Refused: an attacker comes again, a moment later.
    if (!socket.isOpen) await new Promise((resolve) => setTimeout(resolve, 50))
    for (let at = 0; at < 20 && !isOver() && socket.isOpen; at++) {
      const name = oneOf(names)
      const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5_000).unref())
      note(name, await Promise.race([onSocket[name]?.(socket) ?? Promise.resolve(false), late]))
    }
    socket.close()
  }
}

await Promise.all(Array.from({ length: orders.ids }, (_, index) => attack(index)))
console.log(JSON.stringify(tally))
process.exit()
