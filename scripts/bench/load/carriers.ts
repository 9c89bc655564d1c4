/** What carries messages from publishers to subscribers, each with a load program of its own that drives it. */
import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import { startProgram } from '../program.ts'
import { atRest } from '../server.ts'

export const SUBSCRIBERS = 100
export const PUBLISHERS = 60
export const IN_FLIGHT = 500
const LIVE_SECONDS = 1.5

const liveSchema = z.object({ delivered: z.number(), rate: z.number() })
const latencySchema = z.object({ p50: z.number(), p99: z.number() })
const offlineSchema = z.object({ published: z.number(), drained: z.number() })

export type Latency = z.infer<typeof latencySchema>
export type Offline = z.infer<typeof offlineSchema>

export interface Live {
  /** Messages that were delivered, and how many in a second. */
  delivered: number
  rate: number
  /** Seconds that the carrier and its load have computed for them. */
  cpu: number
  loadCpu: number
}

export interface Carrier extends AsyncDisposable {
  /** Publishes and delivers at once, as fast as it goes. */
  live(): Promise<Live>
  /** At a pace, whatever the carrier does. */
  paced(pace: { seconds: number; perSecond: number }): Promise<Latency>
  /** Publishes while no subscriber is there; then all come back. */
  offline(messages: number): Promise<Offline>
}

export const openCarrier = async (
  kind: 'belfry' | 'mosquitto' | 'jetstream',
  { url, cpu }: { url: string; cpu: () => Promise<number> },
): Promise<Carrier> => {
  const load = startProgram(new URL('program.ts', import.meta.url))
  const run = randomBytes(16).toString('hex')
  await load.call('open', { kind, url, run, subscribers: SUBSCRIBERS, publishers: PUBLISHERS }, z.unknown())
  return {
    async live() {
      const before = { carrier: await cpu(), load: await load.cpu() }
      const wanted = { seconds: LIVE_SECONDS, inFlight: IN_FLIGHT }
      const done = await load.call('live', wanted, liveSchema)
      const loadCpu = (await load.cpu()) - before.load
      // Acknowledgements are written a moment after the last message.
      return { ...done, loadCpu, cpu: (await atRest({ cpu })) - before.carrier }
    },
    async paced(pace) {
      const latency = await load.call('paced', pace, latencySchema)
      await atRest({ cpu })
      return latency
    },
    async offline(messages) {
      const rates = await load.call('offline', { messages, inFlight: IN_FLIGHT }, offlineSchema)
      await atRest({ cpu })
      return rates
    },
    [Symbol.asyncDispose]: () => load[Symbol.asyncDispose](),
  }
}
