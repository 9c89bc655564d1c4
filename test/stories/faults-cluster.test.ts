/**
 * A master of a Redis Cluster is killed under load and its replica takes over.
 *
 * Replication is asynchronous: Redis answers before its replica has the write, so what it answered immediately before
 * its death may be lost with it. That is the lag of the replica, milliseconds here; this story allows a second. No
 * answer given before that second or after the fail-over may be lost, nothing may arrive twice, and who was not served
 * meanwhile must have been told so, or not answered at all. `min-replicas-to-write` bounds that window from the other
 * side: a master that has lost its replica takes no more.
 */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { startCluster } from '../support/redis.ts'
import { startTraffic } from './faults.ts'

const CALLS = 40
/** What was answered so shortly before the death of the master may be lost, ms. */
const LAG = 1_000

it('loses nothing but what Redis itself may lose when a master dies under load and its replica takes over', {
  timeout: 240_000,
}, async () => {
  await using cluster = await startCluster()
  await using fleet = await startFleet(cluster.url)
  let died = Number.POSITIVE_INFINITY
  await using traffic = await startTraffic(fleet, {
    mayBeLost: ({ at }) => at > died - LAG && at <= died,
  })
  const [first, second, third] = cluster.nodes
  if (!first || !second || !third) throw new Error('there are six')
  await traffic.strike(CALLS, async () => {
    await first.stop('SIGKILL')
    died = Date.now()
    await eventually(async () => {
      expect(await second.cli('cluster', 'info')).toContain('cluster_state:ok')
      expect(await second.cli('cluster', 'nodes')).toMatch(/master,fail/)
    }, 30_000)
  })
  // The dead one comes back as a replica of its replica, and all work goes on.
  await first.restart()
  await traffic.post(CALLS)
  await traffic.settle()
  const { told } = traffic
  console.log(`not served meanwhile, and said so: ${JSON.stringify(told)}; lost: ${traffic.lost()}`)
  expect(told.dapp + told.publisher + told.wallet).toBeGreaterThan(0)
})
