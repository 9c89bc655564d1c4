/** The relay alone: publish → deliver. */
import { randomBytes } from 'node:crypto'
import { WebSocketServer } from 'ws'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { alternate, median, ratio, startBoth } from './engines.ts'
import { connectPeer, type Peer } from './peer.ts'
import { count, ms, percentile, type Row } from './table.ts'

/** Of each measurement that is made on both engines; the median counts. */
const ROUNDS = 3
const PAYLOAD = 'x'.repeat(1200)

/** Messages of 1.2 kB on one topic, `inFlight` publishes at once. `enrol` is done for each subscriber, by its client id. */
export const measure = async (
  wsUrl: string,
  subscribers: number,
  messages: number,
  inFlight: number,
  enrol: (did: string) => Promise<void> = async () => {},
) => {
  const topic = randomBytes(32).toString('hex')
  const sentAt = new Map<string, number>()
  const latencies: number[] = []
  let delivered = 0
  let arrived = () => {}
  const peers: Peer[] = []
  for (let i = 0; i < subscribers; i++) {
    const key = generateSigningKey()
    await enrol(key.did)
    const take = (message: string) => {
      delivered += 1
      latencies.push(performance.now() - (sentAt.get(message) ?? Number.NaN))
      if (delivered === subscribers * messages) arrived()
    }
    const peer = await connectPeer(wsUrl, take, key)
    await peer.request('irn_subscribe', { topic })
    peers.push(peer)
  }
  // The relay holds what is stored for 100 ms after a subscribe; the measurement starts behind that.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const publisher = await connectPeer(wsUrl)
  const all = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const start = performance.now()
  let next = 0
  const sender = async () => {
    while (next < messages) {
      const message = `${next++}.${topic}.${PAYLOAD}`
      sentAt.set(message, performance.now())
      await publisher.request('irn_publish', { topic, message, ttl: 300, tag: 4002, prompt: true })
    }
  }
  await Promise.all(Array.from({ length: inFlight }, sender))
  await all
  const seconds = (performance.now() - start) / 1000
  for (const peer of [...peers, publisher]) peer.close()
  return { rate: delivered / seconds, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
}

/** What `ws` alone does with the same frames and nothing behind them: the ceiling on this machine. */
const bareBroadcaster = async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const { id, method, params } = JSON.parse(String(data))
      if (method === undefined) return
      socket.send(JSON.stringify({ id, jsonrpc: '2.0', result: true }))
      if (method !== 'irn_publish') return
      const frame = JSON.stringify({
        id,
        jsonrpc: '2.0',
        method: 'irn_subscription',
        params: { id: '', data: params },
      })
      for (const client of server.clients) if (client !== socket) client.send(frame)
    })
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { wsUrl: `ws://127.0.0.1:${address.port}`, close: () => server.close() }
}

export const benchRelay = async (): Promise<Row[]> => {
  await using servers = await startBoth()
  const bare = await bareBroadcaster()
  const rows: Row[] = []
  for (const [subscribers, messages] of [
    [1, 3000],
    [10, 1500],
    [100, 300],
  ] as const) {
    const rounds = await alternate(servers, ROUNDS, ({ wsUrl }) => measure(wsUrl, subscribers, messages, 64))
    const ceiling = await measure(bare.wsUrl, subscribers, messages, 64)
    const calm = await alternate(servers, 1, ({ wsUrl }) => measure(wsUrl, subscribers, 200, 1))
    const rates = {
      embedded: rounds.embedded.map(({ rate }) => rate),
      redis: rounds.redis.map(({ rate }) => rate),
    }
    const figure = (name: 'embedded' | 'redis') => {
      const [{ p50, p99 } = { p50: Number.NaN, p99: Number.NaN }] = calm[name]
      return `${count(median(rates[name]))} /s; unhurried p50 ${ms(p50)}, p99 ${ms(p99)}`
    }
    rows.push({
      what: `publish → deliver, ${subscribers} subscriber${subscribers > 1 ? 's' : ''}`,
      figure: figure('embedded'),
      onRedis: figure('redis'),
      ratio: ratio(rates),
      reference: `${(median(rates.embedded) / ceiling.rate).toFixed(2)} × a bare socket server that stores nothing`,
    })
  }
  bare.close()
  return rows
}
