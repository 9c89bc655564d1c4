/**
 * What a connection and a stored subscription keep in memory. With `BENCH_SIZE=big` also what a million stored
 * subscriptions do to a start and to the relay's throughput.
 */
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inTurns, median } from './engines.ts'
import { type Carrier, openCarrier } from './load/carriers.ts'
import { connectPeer, type Peer } from './peer.ts'
import { type BenchServer, startServer } from './server.ts'
import { isBig } from './sizes.ts'
import { bytes, count, ms, type Row } from './table.ts'

const CONNECTIONS = 5_000
const SUBSCRIPTIONS = 200_000
const MANY_SUBSCRIPTIONS = 1_000_000
const FEW_SUBSCRIPTIONS = 1_000
/** Fewer topics each than a client may have. */
const TOPICS_OF_CLIENT = 8_000
const BATCH = 500
const ROUNDS = 5

const newTopic = () => randomBytes(32).toString('hex')

const inBatches = async <T>(items: readonly T[], size: number, work: (item: T) => Promise<unknown>) => {
  for (let at = 0; at < items.length; at += size) await Promise.all(items.slice(at, at + size).map(work))
}

const settled = async (memory: () => Promise<number>) => {
  await sleep(3_000)
  return memory()
}

const connections = async (): Promise<Row[]> => {
  await using server = await startServer()
  const warm = await connectPeer(server.wsUrl)
  const before = await settled(server.memory)
  const peers: Peer[] = []
  await inBatches(Array.from({ length: CONNECTIONS }), 100, async () =>
    peers.push(await connectPeer(server.wsUrl)),
  )
  const connected = await settled(server.memory)
  await inBatches(peers, 100, (peer) => peer.request('irn_subscribe', { topic: newTopic() }))
  const subscribed = await settled(server.memory)
  for (const peer of [warm, ...peers]) peer.close()
  return [
    {
      what: `memory per idle connection (${count(CONNECTIONS)})`,
      figure: bytes((connected - before) / CONNECTIONS),
    },
    {
      what: `memory per idle connection with one subscription (${count(CONNECTIONS)})`,
      figure: bytes((subscribed - before) / CONNECTIONS),
    },
  ]
}

/** So many subscriptions of clients that stay connected until the result is closed. */
const subscribe = async ({ wsUrl }: BenchServer, subscriptions: number): Promise<Peer[]> => {
  const clients = Math.ceil(subscriptions / TOPICS_OF_CLIENT)
  const peers = await Promise.all(Array.from({ length: clients }, () => connectPeer(wsUrl)))
  const batches = Array.from({ length: Math.ceil(subscriptions / clients / BATCH) })
  await inBatches(peers, 25, (peer) =>
    inBatches(batches, 4, () =>
      peer.request('irn_batchSubscribe', { topics: Array.from({ length: BATCH }, newTopic) }),
    ),
  )
  return peers
}

const subscriptions = async (): Promise<Row> => {
  await using server = await startServer()
  const size = async () => (await stat(join(server.dataDir, 'store', 'data.mdb'))).blocks * 512
  const before = await settled(server.memory)
  const diskBefore = await size()
  const peers = await subscribe(server, SUBSCRIPTIONS)
  const after = await settled(server.memory)
  for (const peer of peers) peer.close()
  return {
    what: `memory per subscription (${count(SUBSCRIPTIONS)})`,
    figure: `${bytes(Math.max(0, after - before) / SUBSCRIPTIONS)}; on disk ${bytes(((await size()) - diskBefore) / SUBSCRIPTIONS)}`,
  }
}

/** A server that has so many subscriptions of clients that are away, started anew: how long that took, ms. */
const storeAndRestart = async (server: BenchServer, stored: number): Promise<number> => {
  for (const peer of await subscribe(server, stored)) peer.close()
  return server.restart()
}

const carrierOf = ({ wsUrl: url, cpu }: BenchServer): Promise<Carrier> => openCarrier('belfry', { url, cpu })

const million = async (): Promise<Row> => {
  await using large = await startServer()
  await using small = await startServer()
  const started = await storeAndRestart(large, MANY_SUBSCRIPTIONS)
  await storeAndRestart(small, FEW_SUBSCRIPTIONS)
  await using ofLarge = await carrierOf(large)
  await using ofSmall = await carrierOf(small)
  const rounds = await inTurns([ofLarge, ofSmall], ROUNDS, async (carrier) => (await carrier.live()).rate)
  const [rate, reference] = [median(rounds[0]), median(rounds[1])]
  return {
    what: `${count(MANY_SUBSCRIPTIONS)} stored subscriptions`,
    figure: `start ${ms(started)}; publish → deliver ${count(rate)} /s`,
    reference: `${(rate / reference).toFixed(2)} × that at ${count(FEW_SUBSCRIPTIONS)} (${count(reference)} /s)`,
  }
}

export const benchMemory = async (): Promise<Row[]> => [
  ...(await connections()),
  await subscriptions(),
  ...(isBig ? [await million()] : []),
]
