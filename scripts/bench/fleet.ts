/**
 * Many processes on one Redis: what a second notify server adds to a fan-out, and what it costs. A fan-out is over when
 * the outbox is empty; the subscribers are away, so that nothing but the servers is measured.
 */
import { cpus } from 'node:os'
import { eventually } from '../../test/support/eventually.ts'
import { startFleet } from '../../test/support/fleet.ts'
import { readMetric } from '../../test/support/metrics.ts'
import { newOwner } from '../../test/support/owner.ts'
import { startRedis } from '../../test/support/redis.ts'
import { enrol, newDevice, postNotification } from '../../test/support/story.ts'
import { count, type Row, sum } from './table.ts'

const DOMAIN = 'bench.example.com'
const SUBSCRIBERS = 500
const CALLS = 20
/** Calls before the measurement, so that all processes are warm. */
const WARM_UP = 4

/** Seconds that all cores together have worked since the machine started, for whomever. */
const busySeconds = () =>
  sum(cpus().map(({ times }) => times.user + times.nice + times.sys + times.irq)) / 1000

const fanOut = async (notifies: number) => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url, { notifies, env: { BELFRY_LOG_LEVEL: 'warn' } })
  const [home] = fleet.notifies
  if (!home) throw new Error('there is one')
  const app = await enrol(home.dataDir, DOMAIN)
  const accounts: string[] = []
  const join = async () => {
    const owner = newOwner()
    const { wsUrl = '' } = fleet.relays[accounts.push(owner.account) % fleet.relays.length] ?? {}
    await using wallet = newDevice({ url: home.url, wsUrl }, owner, {
      receipts: false,
      requestTimeout: 60_000,
    })
    await wallet.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
  }
  for (let at = 0; at < SUBSCRIBERS; at += 25) await Promise.all(Array.from({ length: 25 }, join))

  const sent = () =>
    Promise.all(
      fleet.notifies.map(({ url }) =>
        readMetric(url, 'belfry_notify_deliveries_total', { kind: 'notification', outcome: 'sent' }),
      ),
    )
  let called = 0
  const send = async (calls: number) => {
    const last = called + calls
    const caller = async () => {
      while (called < last) {
        const id = `fleet-${called++}`
        const server = fleet.notifies[called % notifies] ?? home
        await postNotification(server, app, { id, body: 'x'.repeat(200), accounts })
      }
    }
    await Promise.all([caller(), caller()])
    await eventually(async () => {
      if (sum(await sent()) < last * SUBSCRIBERS) throw new Error('the outbox is not empty')
    }, 120_000)
  }
  await send(WARM_UP)

  const processes = [...fleet.relays, ...fleet.notifies]
  const ours = async () =>
    sum(await Promise.all(processes.map(({ url }) => readMetric(url, 'process_cpu_seconds_total'))))
  const before = { busy: busySeconds(), ours: await ours(), parts: await sent() }
  const start = performance.now()
  await send(CALLS)
  const seconds = (performance.now() - start) / 1000
  const cores = seconds * cpus().length
  const parts = (await sent()).map((part, at) => part - (before.parts[at] ?? 0))
  return {
    rate: (CALLS * SUBSCRIBERS) / seconds,
    /** What the busiest process sent of the whole. */
    most: Math.max(...parts) / sum(parts),
    /** Of all cores: what was in use by anybody, and by our processes (Redis and the callers not among them). */
    busy: (busySeconds() - before.busy) / cores,
    ours: ((await ours()) - before.ours) / cores,
  }
}

const percent = (part: number) => `${Math.round(part * 100)} %`

export const benchFleet = async (): Promise<Row[]> => {
  const one = await fanOut(1)
  const two = await fanOut(2)
  const what = (notifies: string) => `fan-out on Redis, ${notifies} (${count(CALLS * SUBSCRIBERS)} messages)`
  const cores = ({ busy, ours }: typeof one) => `cores ${percent(busy)} in use, ${percent(ours)} by Belfry`
  return [
    { what: what('1 notify server'), figure: `${count(one.rate)} /s; ${cores(one)}` },
    {
      what: what('2 notify servers'),
      figure: `${count(two.rate)} /s; ${cores(two)}`,
      reference: `${(two.rate / one.rate).toFixed(2)} × one; the busier one sent ${percent(two.most)}`,
    },
  ]
}
