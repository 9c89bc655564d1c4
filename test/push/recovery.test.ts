/** What a process that died held in memory is found in the mailboxes of its clients. */
import { expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { createKnownClients } from '../../src/push/delivery/known-clients.ts'
import { recoverDead } from '../../src/push/delivery/recovery.ts'
import type { Device } from '../../src/push/store.ts'
import { client, MINUTE, message, topic } from '../contract/relay-samples.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { lmdb } from '../support/stores.ts'

const WALLET = client('wallet')
const OF = topic('of the wallet')
const QUEUE = { projectId: 'p', provider: 'fcm' } as const

it('pushes what was held, although more that is newer was handed over, and nothing that must not wake', async () => {
  await using owned = createReleaseStack()
  const stores = owned.use(await lmdb.open())
  const { push: store, relay: mailboxes } = stores
  const clock = manualClock()
  const now = clock.now()
  const device: Device = {
    ...{ id: 'd', projectId: 'p', address: { provider: 'fcm', token: 'x' }, form: 'together' },
    ...{ isLegacy: false, isProven: true, expiresAt: now + 100 * MINUTE },
  }
  await store.register(WALLET, device, { now, devices: 8 })
  await mailboxes.subscribe(WALLET, [OF], { now })
  await store.alive('died', now)
  const all = Array.from({ length: 12 }, (_, at) =>
    message(OF, `m${at}`, { publishedAt: now + at, expiresAt: now + 10 * MINUTE }),
  )
  await mailboxes.publish(all)
  const [held, quiet = '', ...others] = all.map(({ id }) => id)
  await store.connected({ clientId: WALLET, processId: 'died', since: now, silent: [] })
  await store.silence({ clientId: WALLET, processId: 'died' }, quiet)
  const waits = { clientId: WALLET, deviceId: 'd', ...QUEUE }
  await store.finish(
    { ...waits, at: now, createdAt: now, takenUntil: 0, attempts: 0, messages: [], more: 0 },
    { handed: others, dropped: [], now },
  )

  const known = owned.use(createKnownClients({ store, clock }))
  const ending = new AbortController()
  const recovering = recoverDead(
    { store, mailboxes, known, clock, log: silent },
    { isAlone: true, own: () => undefined },
    ending.signal,
  )
  await eventually(async () => expect(await store.dead(now)).toEqual([]))
  ending.abort()
  await recovering
  expect((await store.waitingFor(waits))?.messages.map(({ id }) => id)).toEqual([held])
  expect(await store.connections([WALLET])).toEqual([])
})
