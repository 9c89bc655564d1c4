/** The notify server through its public surface: request round trips, and fan-out from HTTP call to decrypted. */
import type { Wallet } from '../../src/notify/client.ts'
import { enrolByCommandLine, newDevice, postNotification } from '../../test/stories/town.ts'
import { newOwner } from '../../test/support/owner.ts'
import { startServer } from './server.ts'
import { count, ms, percentile, type Row } from './table.ts'

const DOMAIN = 'bench.example.com'
const WALLETS = 50
const CALLS = 100
/** HTTP calls at once. */
const CALLERS = 4

const timed = async (times: number, work: (round: number) => Promise<unknown>): Promise<string> => {
  const took: number[] = []
  for (let round = 0; round < times; round++) {
    const start = performance.now()
    await work(round)
    took.push(performance.now() - start)
  }
  return `p50 ${ms(percentile(took, 0.5))}, p99 ${ms(percentile(took, 0.99))}`
}

export const benchNotify = async (): Promise<Row[]> => {
  await using server = await startServer()
  const app = await enrolByCommandLine(server.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const rows: Row[] = []

  const wallet = newDevice(server, newOwner(), { receipts: false })
  await wallet.subscribe(DOMAIN, [news])
  rows.push({ what: 'round trip: watch', figure: await timed(100, () => wallet.watch()) })
  rows.push({
    what: 'round trip: update a subscription',
    figure: await timed(100, (round) => wallet.update(DOMAIN, round % 2 ? [news] : [news, alerts])),
  })
  await wallet[Symbol.asyncDispose]()

  let received = 0
  let arrived = () => {}
  const wallets: Wallet[] = []
  const accounts: string[] = []
  for (let i = 0; i < WALLETS; i++) {
    const owner = newOwner()
    const one = newDevice(server, owner, { receipts: false })
    one.on('message', () => {
      received += 1
      if (received === WALLETS * CALLS) arrived()
    })
    await one.subscribe(DOMAIN, [news])
    wallets.push(one)
    accounts.push(owner.account)
  }
  const all = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const start = performance.now()
  let call = 0
  const caller = async () => {
    while (call < CALLS) {
      const id = `bench-${call++}`
      await postNotification(server, app, { id, body: 'x'.repeat(200), accounts })
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await all
  const seconds = (performance.now() - start) / 1000
  rows.push({
    what: `fan-out, HTTP call to decrypted (${count(WALLETS * CALLS)} to ${WALLETS} wallets)`,
    figure: `${count((WALLETS * CALLS) / seconds)} /s`,
  })
  await Promise.all(wallets.map((one) => one[Symbol.asyncDispose]()))
  return rows
}
