/**
 * The relay at least once and with mailboxes: 100 subscribers with a topic each, 60 publishers, 500 messages of 1.3 kB in
 * flight. Beside it, driven by the same load in the same rounds: a router that stores nothing (what frames and sockets
 * cost), and brokers where they are installed. Figures in microseconds are CPU of what carries the messages.
 */
import * as z from 'zod'
import { createReleaseStack, type ReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { median, startBoth } from './engines.ts'
import { type Carrier, IN_FLIGHT, type Live, openCarrier, PUBLISHERS, SUBSCRIBERS } from './load/carriers.ts'
import { startProgram } from './program.ts'
import { type Broker, startJetStream, startMosquitto } from './references/brokers.ts'
import { count, ms, type Row, sum } from './table.ts'

const ROUNDS = 5
const PACE = { rounds: 3, seconds: 2, perSecond: 1_000 }
const OFFLINE = { rounds: 3, messages: 3_000 }

type Name = 'embedded' | 'redis' | 'router' | 'mosquitto' | 'JetStream'
/** The carriers that there are, in the order in which they take turns. */
type Carriers = Map<Name, Carrier>

const startRouter = async (owned: ReleaseStack): Promise<Broker> => {
  const router = owned.use(startProgram(new URL('references/router-program.ts', import.meta.url)))
  return { ...router, url: await router.call('listen', null, z.string()) }
}

const startCarriers = async (owned: ReleaseStack): Promise<Carriers> => {
  const servers = owned.use(await startBoth())
  const carriers: Carriers = new Map()
  for (const name of ['embedded', 'redis'] as const) {
    const { wsUrl: url, cpu } = servers[name]
    carriers.set(name, owned.use(await openCarrier('belfry', { url, cpu })))
  }
  carriers.set('router', owned.use(await openCarrier('belfry', await startRouter(owned))))
  const mosquitto = await startMosquitto()
  if (mosquitto) carriers.set('mosquitto', owned.use(await openCarrier('mosquitto', owned.use(mosquitto))))
  const jetStream = await startJetStream()
  if (jetStream) carriers.set('JetStream', owned.use(await openCarrier('jetstream', owned.use(jetStream))))
  return carriers
}

/** As many rounds of each, turn and turn about. */
const inRounds = async <T>(carriers: Carriers, rounds: number, work: (carrier: Carrier) => Promise<T>) => {
  const results = new Map<Name, T[]>()
  for (const name of carriers.keys()) results.set(name, [])
  for (let round = 0; round < rounds; round++) {
    for (const [name, carrier] of carriers) results.get(name)?.push(await work(carrier))
  }
  return results
}

/** A row out of what each carrier showed: Belfry's in their columns, the others beside how Belfry does against them. */
const rowOf = <T>(
  what: string,
  results: ReadonlyMap<Name, T[]>,
  {
    references,
    shown,
    goodness,
  }: { references: Name[]; shown: (of: T[]) => string; goodness: (of: T[]) => number },
): Row => {
  const of = (name: Name): T[] => results.get(name) ?? []
  const against = (name: Name, other: Name) => (goodness(of(name)) / goodness(of(other))).toFixed(2)
  const reference = references.map((name) =>
    results.has(name)
      ? `${against('embedded', name)}, on Redis ${against('redis', name)} × ${name} (${shown(of(name))})`
      : `${name}: not installed`,
  )
  return {
    what,
    figure: shown(of('embedded')),
    onRedis: shown(of('redis')),
    ratio: against('redis', 'embedded'),
    reference: reference.join('; '),
  }
}

const costOf = (rounds: readonly Live[], of: 'cpu' | 'loadCpu'): number =>
  (sum(rounds.map((live) => live[of])) * 1e6) / sum(rounds.map(({ delivered }) => delivered))
const rateOf = (rounds: readonly Live[]): number => median(rounds.map(({ rate }) => rate))

export const benchRelayLoad = async (): Promise<Row[]> => {
  await using owned = createReleaseStack()
  const carriers = await startCarriers(owned)
  const references: Name[] = ['router', 'mosquitto', 'JetStream']
  const brokers: Name[] = ['mosquitto', 'JetStream']
  // What is compiled while it runs for the first time is not what anybody waits for later.
  await inRounds(carriers, 1, (carrier) => carrier.live())
  const live = await inRounds(carriers, ROUNDS, (carrier) => carrier.live())
  const paced = await inRounds(carriers, PACE.rounds, (carrier) => carrier.paced(PACE))
  // The router keeps nothing for subscribers that are away.
  const keeping = new Map([...carriers].filter(([name]) => name !== 'router'))
  const offline = await inRounds(keeping, OFFLINE.rounds, (carrier) => carrier.offline(OFFLINE.messages))
  return [
    rowOf(`relay: ${SUBSCRIBERS} subscribers, ${PUBLISHERS} publishers, ${IN_FLIGHT} in flight`, live, {
      references,
      shown: (rounds) =>
        `${count(rateOf(rounds))} /s, ${count(costOf(rounds, 'cpu'))} µs; load ${count(costOf(rounds, 'loadCpu'))} µs`,
      goodness: rateOf,
    }),
    rowOf(`relay: the same at ${count(PACE.perSecond)} /s`, paced, {
      references,
      shown: (rounds) =>
        `p50 ${ms(median(rounds.map(({ p50 }) => p50)))}, p99 ${ms(median(rounds.map(({ p99 }) => p99)))}`,
      // Of times the reciprocal, so that more is better everywhere.
      goodness: (rounds) => 1 / median(rounds.map(({ p99 }) => p99)),
    }),
    rowOf('relay: publish while subscribers are away', offline, {
      references: brokers,
      shown: (rounds) => `${count(median(rounds.map(({ published }) => published)))} /s`,
      goodness: (rounds) => median(rounds.map(({ published }) => published)),
    }),
    rowOf('relay: drain when they are back', offline, {
      references: brokers,
      shown: (rounds) => `${count(median(rounds.map(({ drained }) => drained)))} /s`,
      goodness: (rounds) => median(rounds.map(({ drained }) => drained)),
    }),
  ]
}
