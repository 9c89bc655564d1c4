/**
 * Whatever strangers do at their address, somebody at another one goes on: receives, comes for the first time, is told
 * by webhook; every process answers, and what the attack leaves is bounded. Each attack of `attacks` is made on each
 * ground, with the limits and budgets that are the default. A ground has a file of its own, `../bystander-….alone.ts`.
 *
 * `BELFRY_UNDER_TEST` names the `dist` of another checkout to attack, `BELFRY_TELL=yes` has the measurements printed.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fetchKeys } from '../../../src/notify/client/app-keys.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import { type GROUNDS, type Ground, HAS_NAMES } from '../../support/world/attacked.ts'
import { median } from '../strangers-http.ts'
import type { Attack, Orders } from './attack.ts'
import { type AttackTally, startAttackers } from './attackers.ts'
import { ATTACKS } from './attacks.ts'
import { startBystander, watchHealth } from './bystander.ts'
import { startVictim } from './victim.ts'

const MIB = 1024 * 1024
const STORED_MIB = 32
const RESIDENT_MIB = 200
/** `/health` at the median, on a machine that is not loaded. */
const HEALTHY_MS = 100
/** A new wallet watches, subscribes and receives, at the worst. */
const NEWCOMER_MS = 7_000
const MOST_SLOWNESS = 2

const receiverAt = async (url: string) => {
  const { subscribe, authentication } = await fetchKeys({ clock: systemClock, fetch }, url)
  return { key: toHex(subscribe), did: authentication }
}

const ordersFor = async (
  ground: Ground,
  { title }: Attack,
  { domain, at, victim }: { domain: string; at: number; victim: Orders['victim'] },
): Promise<Orders> => {
  const { relays, servers, keyServers } = ground
  const [server = ''] = servers
  const own = await ground.enrol(`attackers-${at}.example`)
  return {
    ...{ title, relays: [...relays], servers: [...servers], keyServers, victim },
    address: `203.0.113.${at + 1}`,
    accomplice: `198.51.100.${at + 1}`,
    server: await receiverAt(`${server}/.well-known/did.json`),
    app: { ...(await receiverAt(`${server}/apps/${domain}/did.json`)), domain },
    project: { id: own.projectId, secret: own.secret, domain: own.domain },
  }
}

/** The attack was one, and did no more than it may. */
const expectTally = ({ atLeast = {}, atMost = {} }: Attack, tally: AttackTally) => {
  for (const [what, count] of Object.entries(atLeast)) {
    const { done = 0, refused = 0 } = tally[what] ?? {}
    expect(done + refused, what).toBeGreaterThanOrEqual(count)
  }
  for (const [what, count] of Object.entries(atMost)) {
    expect(tally[what]?.done ?? 0, what).toBeLessThanOrEqual(count)
  }
}

/**
 * How much longer the processes took than they would have on a machine of their own, because others had the cores: other
 * tests, and here the attackers, who are on the same machine.
 */
const slownessSince = async (
  ground: Ground,
  before: Awaited<ReturnType<Ground['schedule']>>,
): Promise<number> => {
  const factors = (await ground.schedule()).map(({ ran, waited }, at) => {
    const own = ran - (before[at]?.ran ?? 0)
    return own > 0 ? 1 + (waited - (before[at]?.waited ?? 0)) / own : 1
  })
  return Math.max(...factors)
}

/** How much more memory a process has had than at the beginning, bytes: of the one where it was most. */
const watchMemory = async (ground: Ground) => {
  const before = await ground.resident()
  let most = 0
  const look = async () => {
    for (const [at, bytes] of (await ground.resident()).entries())
      most = Math.max(most, bytes - (before[at] ?? 0))
  }
  const looking = setInterval(() => void look().catch(() => {}), 200)
  return {
    grown: () => most,
    [Symbol.dispose]: () => clearInterval(looking),
  }
}

/** How long an attack was made ready, prepared, made and recovered from. */
const secondsOf = (at: Record<'beganAt' | 'orderedAt' | 'begunAt' | 'overAt' | 'endedAt', number>) =>
  [at.orderedAt - at.beganAt, at.begunAt - at.orderedAt, at.overAt - at.begunAt, at.endedAt - at.overAt].map(
    (ms) => Math.round(ms / 100) / 10,
  )

/** For whoever looks at how an attack does: as JSON. */
const tell = ({ health, ...measured }: { health: readonly number[]; [what: string]: unknown }) => {
  const told = {
    answers: health.length,
    median: Math.round(median(health)),
    slowest: Math.round(Math.max(...health)),
  }
  console.log(JSON.stringify({ ...measured, health: told }))
}

/** Somebody to look at while the attack is made, somebody whom it is about, and what the attackers are told of both. */
const makeReady = async (ground: Ground, attack: Attack, at: number) => {
  const domain = `bystander-${at}.example`
  const beganAt = performance.now()
  const victimStarting = startVictim(ground)
  victimStarting.catch(() => {})
  const bystander = await startBystander(ground, domain)
  try {
    const { victim, check } = await victimStarting
    const orders = await ordersFor(ground, attack, { domain, at, victim })
    return { bystander, check, orders, beganAt, orderedAt: performance.now() }
  } catch (error) {
    await bystander[Symbol.asyncDispose]()
    throw error
  }
}
type Ready = Awaited<ReturnType<typeof makeReady>>

const suffer = async (
  ground: Ground,
  attackers: ReturnType<typeof startAttackers>,
  {
    attack,
    ready,
    onBegun,
    onOver,
  }: { attack: Attack; ready: Promise<Ready>; onBegun: () => void; onOver: () => void },
): Promise<void> => {
  const { bystander: watched, check, orders, beganAt, orderedAt } = await ready
  await using bystander = watched
  const storedBefore = await ground.stored()
  using memory = await watchMemory(ground)
  const scheduleBefore = await ground.schedule()
  const { begun, over } = attackers.attack(orders)
  await begun
  const begunAt = performance.now()
  onBegun()
  using watch = watchHealth(ground.all)
  const tally = await over
  const overAt = performance.now()
  const health = await watch.stop()
  const slowness = await slownessSince(ground, scheduleBefore)
  const stored = mib((await ground.stored()) - storedBefore)
  const resident = mib(memory.grown())
  onOver()
  await Promise.all([bystander.finish(), check()])
  const slowest = Math.max(...bystander.times.newcomer)
  if (process.env.BELFRY_TELL === 'yes') {
    const times = { beganAt, orderedAt, begunAt, overAt, endedAt: performance.now() }
    tell({
      ...{ attack: attack.title, tally, stored, resident, slowness, health, newcomer: Math.round(slowest) },
      seconds: secondsOf(times),
    })
  }
  expectTally(attack, tally)
  expect(median(health), 'ms until /health answers').toBeLessThan(
    HEALTHY_MS * Math.min(slowness, MOST_SLOWNESS),
  )
  expect(slowest, 'ms until a new wallet has received').toBeLessThan(NEWCOMER_MS)
  expect(stored, 'MiB stored').toBeLessThan(attack.storedMiB ?? STORED_MIB)
  expect(resident, 'MiB of memory').toBeLessThan(attack.residentMiB ?? RESIDENT_MIB)
}

const isPossible = ({ needsNames }: Attack) => !needsNames || HAS_NAMES

/**
 * Attacks, one after the other without a pause: while one is made the next bystander comes, and while somebody makes sure
 * that it did no harm the next one is made.
 */
const createSeries = (ground: () => Ground, attackers: () => ReturnType<typeof startAttackers>) => {
  const bystanders = new Map<number, Promise<Ready>>()
  const results = new Map<number, Promise<void>>()
  const readyFor = (at: number, attack: Attack): Promise<Ready> => {
    const ready = bystanders.get(at) ?? makeReady(ground(), attack, at)
    // It may fail before it is waited for.
    ready.catch(() => {})
    bystanders.set(at, ready)
    return ready
  }
  /** What became of an attack; it is made now if it was not yet. */
  const resultOf = (at: number): Promise<void> => {
    const attack = ATTACKS[at]
    if (!attack) return Promise.resolve()
    const next = ATTACKS.findIndex((one, place) => place > at && isPossible(one))
    const result =
      results.get(at) ??
      suffer(ground(), attackers(), {
        attack,
        ready: readyFor(at, attack),
        onBegun: () => ATTACKS[next] && void readyFor(next, ATTACKS[next]),
        onOver: () => void resultOf(next),
      })
    result.catch(() => {})
    results.set(at, result)
    return result
  }
  return {
    resultOf,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(results.values())
      for (const [at, ready] of bystanders) {
        const [settled] = results.has(at) ? [] : await Promise.allSettled([ready])
        if (settled?.status === 'fulfilled') await settled.value.bystander[Symbol.asyncDispose]()
      }
    },
  }
}

const mib = (bytes: number) => Math.round(bytes / MIB)

export const servesEverybodyElse = ({ name, start }: (typeof GROUNDS)[number]): void => {
  describe(`${name} serves everybody else while a stranger`, () => {
    let ground: Ground
    let attackers: ReturnType<typeof startAttackers>
    const series = createSeries(
      () => ground,
      () => attackers,
    )
    beforeAll(async () => {
      attackers = startAttackers()
      ground = await start()
    })
    afterAll(async () => {
      await series[Symbol.asyncDispose]()
      await attackers[Symbol.asyncDispose]()
      await ground?.[Symbol.asyncDispose]()
    })

    for (const [at, attack] of ATTACKS.entries()) {
      it.skipIf(!isPossible(attack))(attack.title, () => series.resultOf(at), 60_000)
    }

    it('was here before it was started anew', async () => {
      await ground.restart()
      await using bystander = await startBystander(ground, 'bystander-later.example')
      await bystander.finish()
    }, 120_000)
  })
}
