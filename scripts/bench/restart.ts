/**
 * A server is stopped and started again on its data, and all its clients come back at once: how long until each is
 * subscribed again, how many of their attempts were refused, and how long a message takes meanwhile.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { connectPeer, type Peer } from './peer.ts'
import { startServer } from './server.ts'
import { CLIENTS } from './sizes.ts'
import { count, ms, percentile, type Row } from './table.ts'

/** Clients that connect at once for the first time. */
const AT_ONCE = 50
/** A client that was refused tries again after this. */
const RETRY_MS = 250
/** Between two messages whose time is taken. */
const PAUSE_MS = 10

interface Client {
  key: SigningKey
  topic: string
}

/** Connects and subscribes, until it is let in; returns how often it was refused before. */
const comeBack = async (
  wsUrl: string,
  { key, topic }: Client,
  onMessage: () => void = () => {},
): Promise<{ peer: Peer; refused: number }> => {
  for (let refused = 0; ; refused++) {
    const peer = await connectPeer(wsUrl, onMessage, key).catch(() => undefined)
    if (peer) {
      await peer.request('irn_subscribe', { topic })
      return { peer, refused }
    }
    await sleep(RETRY_MS)
  }
}

/** How long messages took from publish to arrival until `crowd` is back, ms. The two clients come back with the others. */
const messagesWhile = async (wsUrl: string, client: Client, crowd: Promise<unknown>): Promise<number[]> => {
  let isOver = false
  const over = crowd.then(() => {
    isOver = true
  })
  let onMessage = () => {}
  const reader = await comeBack(wsUrl, client, () => onMessage())
  const writer = await comeBack(wsUrl, { key: generateSigningKey(), topic: newTopic() })
  const took: number[] = []
  for (let at = 0; !isOver || at === 0; at++) {
    const arrived = new Promise<void>((resolve) => {
      onMessage = resolve
    })
    const start = performance.now()
    await writer.peer.request('irn_publish', { topic: client.topic, message: `${at}`, ttl: 300, tag: 4002 })
    await arrived
    took.push(performance.now() - start)
    await sleep(PAUSE_MS)
  }
  await over
  for (const { peer } of [reader, writer]) peer.close()
  return took
}

const newTopic = () => randomBytes(32).toString('hex')
const newClient = (): Client => ({ key: generateSigningKey(), topic: newTopic() })

export const benchRestart = async (): Promise<Row[]> => {
  await using server = await startServer()
  const clients = Array.from({ length: CLIENTS }, newClient)
  for (let at = 0; at < CLIENTS; at += AT_ONCE) {
    await Promise.all(clients.slice(at, at + AT_ONCE).map((client) => comeBack(server.wsUrl, client)))
  }
  const started = await server.restart()
  const start = performance.now()
  const crowd = Promise.all(clients.map((client) => comeBack(server.wsUrl, client)))
  const [back, took] = await Promise.all([
    crowd.then((all) => ({ all, seconds: (performance.now() - start) / 1000 })),
    messagesWhile(server.wsUrl, newClient(), crowd),
  ])
  const refused = back.all.reduce((so, one) => so + one.refused, 0)
  for (const { peer } of back.all) peer.close()
  return [
    {
      what: `restart: ${count(CLIENTS)} clients come back at once`,
      figure:
        `start ${ms(started)}; all subscribed after ${back.seconds.toFixed(1)} s, ${count(refused)} refused; ` +
        `a message meanwhile p99 ${ms(percentile(took, 0.99))}`,
    },
  ]
}
