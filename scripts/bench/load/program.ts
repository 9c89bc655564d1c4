/**
 * The load of the relay rows, in a process of its own: each subscriber has a topic, publishers take turns, and so many
 * messages of 1.3 kB are in flight, which is published and not yet delivered.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { answerCalls } from '../program.ts'
import { percentile } from '../table.ts'
import { connectBelfry } from './belfry.ts'
import { connectJetStream } from './jetstream.ts'
import type { Connect, Link } from './link.ts'
import { connectMosquitto } from './mosquitto.ts'

const CONNECT: Record<string, Connect> = {
  belfry: connectBelfry,
  mosquitto: connectMosquitto,
  jetstream: connectJetStream,
}
const PAYLOAD = 'x'.repeat(1_300)
/** Between two looks at the clock where messages are sent at a pace. */
const PACE_MS = 2

const openSchema = z.object({
  kind: z.string(),
  url: z.string(),
  /** New in each run. */
  run: z.string(),
  subscribers: z.number(),
  publishers: z.number(),
})
const liveSchema = z.object({ seconds: z.number(), inFlight: z.number() })
const pacedSchema = z.object({ seconds: z.number(), perSecond: z.number() })
const offlineSchema = z.object({ messages: z.number(), inFlight: z.number() })

const state = {
  open: openSchema.parse({ kind: '', url: '', run: '', subscribers: 0, publishers: 0 }),
  subscribers: [] as Link[],
  publishers: [] as Link[],
  published: 0,
  onDelivered: (_message: number) => {},
}

const topicOf = (subscriber: number) => `${state.open.run}${String(subscriber).padStart(32, '0')}`

const connectSubscriber = async (at: number): Promise<Link> => {
  const { kind, url, run } = state.open
  const connect = CONNECT[kind]
  if (!connect) throw new Error(`no load for ${kind}`)
  return connect(url, `${run}-${at}`, (message) => state.onDelivered(Number.parseInt(message, 10)))
}

/** Numbers of messages go up, so that a late or repeated one is told from those that are waited for. */
const publish = async (): Promise<number> => {
  const message = state.published++
  const link = state.publishers[message % state.publishers.length]
  await link?.publish(topicOf(message % state.open.subscribers), `${message} ${PAYLOAD}`)
  return message
}

const failed = (error: unknown): never => {
  throw error
}

const open = async (argument: unknown) => {
  state.open = openSchema.parse(argument)
  const { kind, url, run, subscribers, publishers } = state.open
  for (let at = 0; at < subscribers; at++) {
    const link = await connectSubscriber(at)
    await link.subscribe(topicOf(at))
    state.subscribers.push(link)
  }
  for (let at = 0; at < publishers; at++) {
    const link = await CONNECT[kind]?.(url, `${run}-from-${at}`, () => {})
    if (link) state.publishers.push(link)
  }
  // The relay holds what is stored for 100 ms after a subscribe.
  await sleep(300)
}

/** Keeps so many in flight for so long; resolves when all have arrived. */
const live = (argument: unknown) => {
  const { seconds, inFlight } = liveSchema.parse(argument)
  return new Promise((resolve) => {
    const start = performance.now()
    const waiting = new Set<number>()
    let delivered = 0
    const next = () => {
      waiting.add(state.published)
      publish().catch(failed)
    }
    state.onDelivered = (message) => {
      if (!waiting.delete(message)) return
      delivered += 1
      const took = performance.now() - start
      if (took < seconds * 1000) next()
      else if (waiting.size === 0) resolve({ delivered, rate: (delivered * 1000) / took })
    }
    for (let i = 0; i < inFlight; i++) next()
  })
}

/** So many a second, whatever the other end does: a latency counts from when the message was due. */
const paced = async (argument: unknown) => {
  const { seconds, perSecond } = pacedSchema.parse(argument)
  const total = seconds * perSecond
  const dueAt = new Map<number, number>()
  const latencies: number[] = []
  const all = new Promise<void>((resolve) => {
    state.onDelivered = (message) => {
      const due = dueAt.get(message)
      if (due === undefined) return
      dueAt.delete(message)
      latencies.push(performance.now() - due)
      if (latencies.length === total) resolve()
    }
  })
  const start = performance.now()
  for (let sent = 0; sent < total; await sleep(PACE_MS)) {
    for (; sent < total && start + (sent * 1000) / perSecond <= performance.now(); sent++) {
      dueAt.set(state.published, start + (sent * 1000) / perSecond)
      publish().catch(failed)
    }
  }
  await all
  return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
}

/** Publishes while no subscriber is connected, then has all of them come back and take what waits. */
const offline = async (argument: unknown) => {
  const { messages, inFlight } = offlineSchema.parse(argument)
  await Promise.all(state.subscribers.map((link) => link.close()))
  let left = messages
  let delivered = 0
  const waiting = new Set<number>()
  const publishSome = async () => {
    while (left-- > 0) waiting.add(await publish())
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: inFlight }, publishSome))
  const published = performance.now()
  const all = new Promise<void>((resolve) => {
    state.onDelivered = (message) => {
      if (waiting.delete(message) && ++delivered === messages) resolve()
    }
  })
  const back = await Promise.all(state.subscribers.map((_, at) => connectSubscriber(at)))
  state.subscribers = back
  // A consumer of JetStream begins by it; the others know it already.
  if (state.open.kind === 'jetstream') await Promise.all(back.map((link, at) => link.subscribe(topicOf(at))))
  await all
  const drained = performance.now()
  return {
    published: (messages * 1000) / (published - start),
    drained: (messages * 1000) / (drained - published),
  }
}

answerCalls({ open, live, paced, offline })
