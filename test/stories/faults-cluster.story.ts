/**
 * A master of a Redis Cluster is killed under load and its replica takes over.
 *
 * What Redis itself may lose: replication is asynchronous, so what a master answered immediately before its death may be
 * gone with it, the lag of its replica long: milliseconds here, a second is allowed for. For a message it is about the
 * publisher's answer; for a notification about the dapp's, and again about its way through the relay, so any that was
 * under way may be among them. What this story holds to: what was asked for after the death is not lost, nor what the
 * relay answered more than a second before it; of the notifications under way no more than a second's worth is lost; no
 * application is handed anything twice; and whoever is not served during the fail-over is told so.
 */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { type RedisCluster, startCluster } from '../support/redis.ts'
import { CALLS, DAPP_CALLS, startTraffic, WALLETS } from './faults.ts'

/** Calls that begin when the master is dead. */
const LATE_CALLS = 10
/** Longer than the servers wait for Redis (10 s) by far, ms: nobody can sit the fail-over out, on a slow machine either. */
const NODE_TIMEOUT = 20_000
const LAG = 1_000
/**
 * Until a replica is a master, ms. A vote that comes before its voter knows of the death is refused, and the replica asks
 * again after four times the node's timeout.
 */
const FAILOVER_MS = NODE_TIMEOUT * 6

/** The master that has the slot of a topic, and another one. */
const mastersFor = async ({ nodes }: RedisCluster, topic: string) => {
  const slot = Number(await nodes[0]?.cli('cluster', 'keyslot', `{t:${topic}}`))
  // As redis-cli divides 16,384 slots among three.
  const at = slot < 5_461 ? 0 : slot < 10_923 ? 1 : 2
  const [owner, other] = [nodes[at], nodes[(at + 1) % 3]]
  if (!owner || !other) throw new Error('there are six')
  return [owner, other] as const
}

it('loses nothing but what Redis itself may lose when a master dies under load and its replica takes over', {
  timeout: 300_000 + FAILOVER_MS,
}, async () => {
  await using cluster = await startCluster({ nodeTimeout: NODE_TIMEOUT })
  await using fleet = await startFleet(cluster.url)
  let died = Number.POSITIVE_INFINITY
  await using traffic = await startTraffic(fleet, {
    dappPatience: 30_000,
    mayBeLost: ({ since, at }, what) =>
      since <= died && (what === 'notification' || (at > died - LAG && at < died + LAG)),
  })
  // Of a master without a topic that somebody publishes on, no publisher would learn that it is dead.
  const [first, second] = await mastersFor(cluster, traffic.topics[0] ?? '')
  const began = Date.now()
  let perSecond = 0
  await traffic.strike(CALLS, async () => {
    perSecond = (traffic.posted.length * WALLETS) / ((Date.now() - began) / 1_000)
    await first.stop('SIGKILL')
    died = Date.now()
    const late = traffic.post(LATE_CALLS)
    await eventually(async () => {
      const nodes = await second.cli('cluster', 'nodes')
      expect(nodes).toMatch(/master,fail/)
      expect(nodes.match(/master - .*connected \d/g)).toHaveLength(3)
    }, FAILOVER_MS)
    await late
  })
  // The dead one comes back as a replica of its replica, and all work goes on.
  await first.restart()
  await traffic.post(CALLS)
  await traffic.settle()
  const { told } = traffic
  const lost = traffic.lost()
  console.log(
    `not served: ${JSON.stringify(told)}; lost of those under way: ${lost}, ${perSecond.toFixed(0)}/s`,
  )
  // On a machine that answers few calls in a second, all that wait may be answered in the same moment.
  const most = Math.max((perSecond * LAG) / 1_000, DAPP_CALLS * WALLETS)
  expect(told.dapp).toBeGreaterThan(0)
  expect(told.publisher).toBeGreaterThan(0)
  expect(lost).toBeLessThanOrEqual(most)
  // A call that is repeated because its first effect was lost is signed anew; the wallets know it by its id.
  expect(traffic.repeated().length).toBeLessThanOrEqual(most)
})
