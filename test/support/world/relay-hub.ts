import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { z } from 'zod'
import type { Budgets } from '../../../src/platform/budgets/budgets.ts'
import type { Clock } from '../../../src/platform/runtime/clock.ts'
import { untraced } from '../../../src/platform/telemetry.ts'
import {
  type Archiving,
  type Connection,
  createRelayHub,
  type Peer,
  type RelayHub,
  type RelayLimits,
} from '../../../src/relay/hub.ts'
import type { MailboxLimits } from '../../../src/relay/store.ts'
import type { Stores } from '../../../src/storage/stores.ts'
import { capturedLog } from '../capture/log.ts'
import { manualClock } from '../clock.ts'
import { eventually } from '../eventually.ts'
import { lmdb } from '../stores.ts'
import { unpaid } from '../unpaid.ts'

const frameSchema = z.object({
  id: z.union([z.number(), z.string(), z.null()]),
  method: z.string().optional(),
  params: z
    .object({
      id: z.string(),
      data: z.object({
        topic: z.string(),
        message: z.string(),
        publishedAt: z.number(),
        tag: z.number(),
        attestation: z.string(),
      }),
    })
    .optional(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
})
type Frame = z.output<typeof frameSchema>

/** A connection as a test holds it: everything the hub sent, in order. */
export interface TestPeer {
  clientId: string
  session: Connection
  frames: Frame[]
  /** Messages pushed, in order. */
  pushed(): string[]
  pushes(): { pushId: number; subscription: string; topic: string; message: string; attestation: string }[]
  request(method: string, params: unknown): Promise<unknown>
  /** The raw frame of the answer to a raw frame. */
  raw(text: string): void
  publish(topic: string, message: string, more?: object): Promise<unknown>
  subscribe(topic: string): Promise<unknown>
  /** Answers `true` to the push of this message (its last one). */
  acknowledge(message: string, result?: unknown): void
  autoAcknowledge: boolean
  buffered: number
  paused: boolean
  closed: { code: number; reason: string } | undefined
  close(): void
}

export interface HubWorld extends AsyncDisposable {
  clock: ReturnType<typeof manualClock>
  hub: RelayHub
  store: Stores['relay']
  counted: Map<string, number>
  connect(
    clientId: string,
    options?: { share?: boolean; autoAcknowledge?: boolean; address?: string },
  ): TestPeer
  /** A hub on the same store, as another start of the process. */
  restart(): Promise<void>
}

export const topicNamed = (name: string): string => Buffer.from(name.padEnd(32, '.')).toString('hex')

export const startHub = async (
  options: Partial<RelayLimits> & { trusted?: (clientId: string) => boolean } = {},
  mailbox?: MailboxLimits,
  archiveOn?: (stores: Stores, clock: Clock) => Archiving,
  budgetsOn?: (clock: Clock) => Budgets,
): Promise<HubWorld> => {
  const clock = manualClock()
  const stores = await lmdb.open({ ...(mailbox && { mailbox }) })
  const archive = archiveOn?.(stores, clock)
  const paid = budgetsOn ? { budgets: budgetsOn(clock), payerOf: (address: string) => address } : {}
  const counted = new Map<string, number>()
  const meter = {
    count: (name: string, labels: Record<string, string> = {}, by = 1) => {
      for (const key of new Set([name, [name, ...Object.values(labels)].join(':')])) {
        counted.set(key, (counted.get(key) ?? 0) + by)
      }
    },
    gauge: (name: string, value: number) => void counted.set(name, value),
    observe: () => {},
    ...untraced,
  }
  const start = () =>
    createRelayHub(
      {
        ...unpaid,
        ...paid,
        store: stores.relay,
        clock,
        log: capturedLog,
        meter,
        randomBytes,
        ...(archive && { archive }),
      },
      options,
    )
  let hub = start()
  let ids = 0

  const connect: HubWorld['connect'] = (
    clientId,
    { share = false, autoAcknowledge = false, address = '' } = {},
  ) => {
    const answers = new Map<string, (frame: Frame) => void>()
    const peer: Peer = {
      send(text) {
        const frame = frameSchema.parse(JSON.parse(text))
        it.frames.push(frame)
        if (frame.method === undefined) answers.get(String(frame.id))?.(frame)
        else if (it.autoAcknowledge) {
          queueMicrotask(() => hub.receive(session, `{"id":${frame.id},"jsonrpc":"2.0","result":true}`))
        }
      },
      buffered: () => it.buffered,
      pause: () => {
        it.paused = true
      },
      resume: () => {
        it.paused = false
      },
      close: (code, reason) => {
        it.closed = { code, reason }
      },
    }
    const pushes = () =>
      it.frames.flatMap(({ id, method, params }) => {
        if (method !== 'irn_subscription' || !params || typeof id !== 'number') return []
        const { topic, message, attestation } = params.data
        return [{ pushId: id, subscription: params.id, topic, message, attestation }]
      })
    const request = (method: string, params: unknown): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const id = `${++ids}`
        answers.set(id, ({ result, error }) =>
          error ? reject(Object.assign(new Error(error.message), error)) : resolve(result),
        )
        hub.receive(session, JSON.stringify({ id, jsonrpc: '2.0', method, params }))
      })
    const it: TestPeer = {
      clientId,
      get session() {
        return session
      },
      frames: [],
      pushes,
      pushed: () => pushes().map(({ message }) => message),
      request,
      raw: (text) => hub.receive(session, text),
      publish: (topic, message, more) =>
        request('irn_publish', { topic, message, ttl: 300, tag: 4002, ...more }),
      subscribe: (topic) => request('irn_subscribe', { topic }),
      acknowledge: (message, result = true) => {
        const push = pushes().findLast((each) => each.message === message)
        if (!push) throw new Error(`${message} was not pushed`)
        hub.receive(session, JSON.stringify({ id: push.pushId, jsonrpc: '2.0', result }))
      },
      autoAcknowledge,
      buffered: 0,
      paused: false,
      closed: undefined,
      close: () => hub.close(session),
    }
    const session = hub.connect(peer, { clientId, share, address })
    return it
  }

  return {
    clock,
    get hub() {
      return hub
    },
    store: stores.relay,
    counted,
    connect,
    async restart() {
      await hub[Symbol.asyncDispose]()
      hub = start()
    },
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]()
      await stores[Symbol.asyncDispose]()
    },
  }
}

/** Waits until exactly these messages were pushed, in this order. */
export const expectPushed = (peer: TestPeer, messages: readonly string[]): Promise<void> =>
  eventually(() => expect(peer.pushed()).toEqual(messages))

/** Lets the store finish what it was asked, so that what should not come would have come. */
export const quiet = async (world: HubWorld): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) {
    await world.store.unsubscribe('did:key:nobody', [topicNamed('nothing')])
    await world.clock.advance(0)
  }
}
