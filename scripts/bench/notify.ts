/** The notify server through its public surface: request round trips, and fan-out from HTTP call to decrypted. */
import { randomBytes } from 'node:crypto'
import type { Wallet, WalletState } from '../../src/notify/client/index.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { type SigningKey, signingKeyFrom } from '../../src/protocol/keys.ts'
import { newOwner } from '../../test/support/owner.ts'
import { type EnrolledApp, enrol, newDevice, postNotification } from '../../test/support/story.ts'
import { alternate, type Both, median, ratio, startBoth } from './engines.ts'
import { connectPeer, type Peer } from './peer.ts'
import type { BenchServer } from './server.ts'
import { count, ms, percentile, type Row } from './table.ts'

/** New in each run: a Redis that was there before may remember the last one. */
export const DOMAIN = `${randomBytes(8).toString('hex')}.example.com`
export const WALLETS = 50
/** Of each measurement on each engine. */
const ROUNDS = 5
export const CALLS = 40
/** HTTP calls at once. */
const CALLERS = 4
const TRIPS = 100

/** A server with an app and wallets that are subscribed to it. */
export interface Town {
  server: BenchServer
  app: EnrolledApp
  /** Asks for things; gets no notifications. */
  wallet: Wallet
  wallets: Wallet[]
  /** The wallets' relay keys, for sockets in their place. */
  relayKeys: SigningKey[]
  accounts: string[]
  onMessage: () => void
}

export const subscribeWallets = async (server: BenchServer): Promise<Town> => {
  const app = await enrol(server.dataDir, DOMAIN)
  const wallet = newDevice(server, newOwner(), { receipts: false })
  const town: Town = { server, app, wallet, wallets: [], relayKeys: [], accounts: [], onMessage: () => {} }
  const scope = app.types.slice(0, 1).map(({ id }) => id)
  await wallet.subscribe(DOMAIN, scope)
  for (let i = 0; i < WALLETS; i++) {
    const owner = newOwner()
    let seed = ''
    const save = (state: WalletState) => {
      seed = state.clientSeed
    }
    const one = newDevice(server, owner, { receipts: false, save })
    one.on('message', () => town.onMessage())
    await one.subscribe(DOMAIN, scope)
    town.wallets.push(one)
    town.relayKeys.push(signingKeyFrom(fromHex(seed)))
    town.accounts.push(owner.account)
  }
  return town
}

/** How long each trip took, ms. */
const timed = async (work: (trip: number) => Promise<unknown>): Promise<number[]> => {
  const took: number[] = []
  for (let trip = 0; trip < TRIPS / ROUNDS; trip++) {
    const start = performance.now()
    await work(trip)
    took.push(performance.now() - start)
  }
  return took
}

/** Notifications that arrive in a second. */
export const fanOut = async (town: Town, name: string): Promise<number> => {
  let received = 0
  const all = new Promise<void>((resolve) => {
    town.onMessage = () => {
      received += 1
      if (received === WALLETS * CALLS) resolve()
    }
  })
  const start = performance.now()
  let call = 0
  const caller = async () => {
    while (call < CALLS) {
      const id = `${name}-${call++}`
      await postNotification(town.server, town.app, { id, body: 'x'.repeat(200), accounts: town.accounts })
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await all
  return (WALLETS * CALLS * 1000) / (performance.now() - start)
}

/**
 * Fifty wallets that decrypt keep this process as busy as the server. Sockets in their place, which only answer, show
 * the server; the caller closes them.
 */
export const withSockets = async (town: Town): Promise<Peer[]> => {
  await Promise.all([town.wallet, ...town.wallets].map((one) => one[Symbol.asyncDispose]()))
  const peers: Peer[] = []
  for (const key of town.relayKeys) {
    peers.push(await connectPeer(town.server.wsUrl, () => town.onMessage(), key))
  }
  return peers
}

const roundTrips = async (
  what: string,
  towns: Both<Town>,
  work: (town: Town, trip: number) => Promise<unknown>,
): Promise<Row> => {
  const rounds = await alternate(towns, ROUNDS, (town) => timed((trip) => work(town, trip)))
  const took = { embedded: rounds.embedded.flat(), redis: rounds.redis.flat() }
  const figure = (samples: number[]) =>
    `p50 ${ms(percentile(samples, 0.5))}, p99 ${ms(percentile(samples, 0.99))}`
  return {
    what: `round trip: ${what}`,
    figure: figure(took.embedded),
    onRedis: figure(took.redis),
    // Of times the reciprocal, so that more is better everywhere in the column.
    ratio: (median(took.embedded) / median(took.redis)).toFixed(2),
  }
}

export const benchNotify = async (): Promise<Row[]> => {
  await using servers = await startBoth()
  const towns = {
    embedded: await subscribeWallets(servers.embedded),
    redis: await subscribeWallets(servers.redis),
  }
  const rows = [
    await roundTrips('watch', towns, ({ wallet }) => wallet.watch()),
    await roundTrips('update a subscription', towns, ({ wallet, app }, trip) =>
      wallet.update(
        DOMAIN,
        app.types.slice(0, 1 + (trip % 2)).map(({ id }) => id),
      ),
    ),
  ]
  const fanOutRow = async (what: string): Promise<Row> => {
    const rates = await alternate(towns, ROUNDS, (town, round) => fanOut(town, `${what} ${round}`))
    return {
      what: `fan-out, HTTP call to ${what} (${ROUNDS} × ${count(WALLETS * CALLS)} to ${WALLETS} wallets)`,
      figure: `${count(median(rates.embedded))} /s`,
      onRedis: `${count(median(rates.redis))} /s`,
      ratio: ratio(rates),
    }
  }
  rows.push(await fanOutRow('decrypted'))
  const peers = [...(await withSockets(towns.embedded)), ...(await withSockets(towns.redis))]
  rows.push(await fanOutRow('socket'))
  for (const peer of peers) peer.close()
  return rows
}
