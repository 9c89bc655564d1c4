/**
 * The whole system over real sockets, and devices that write their requests and read their answers themselves: for what
 * a wallet client keeps to itself. Identity keys are registered at the server's own registry, as wallets do.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { fromBase64url, fromHex } from '../../../src/protocol/bytes.ts'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { ed25519Did } from '../../../src/protocol/did.ts'
import type { Claims } from '../../../src/protocol/jwt.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { type Online, online } from '../../notify/support/online.ts'
import { claimsIn, newCacao, newDevice, opened, type Sent } from '../../notify/support/wallet.ts'
import { eventually } from '../eventually.ts'
import { newOwner, type Owner } from '../owner.ts'
import { startWorld, type World } from '../world.ts'

export const NEWS = 'news'
export const OFFERS = 'offers'
const TYPES = [
  { id: NEWS, name: 'News' },
  { id: OFFERS, name: 'Offers' },
]

/** What an account has at an app, as `sbs` says it. */
const view = z.array(
  z.object({
    appDomain: z.string(),
    symKey: z.string(),
    account: z.string(),
    scope: z.array(z.string()),
    unreadNotificationCount: z.number(),
  }),
)
export type View = z.infer<typeof view>
export const viewIn = (claims: Claims): View => view.parse(claims.sbs)

const didDocument = z.object({
  verificationMethod: z.array(z.object({ publicKeyJwk: z.object({ crv: z.string(), x: z.string() }) })),
})
const outcome = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  not_found: z.array(z.string()),
})
export type Outcome = z.infer<typeof outcome>

/** Timers run as ever; what o'clock it is, the test says. */
const createHands = () => {
  let offset = 0
  let stopped: number | undefined
  const now = () => stopped ?? Date.now() + offset
  return {
    now,
    after: systemClock.after,
    leap: (ms: number) => {
      offset += ms
    },
    /** It is the same instant until `go`. */
    stop: () => {
      stopped = now()
    },
    go: () => {
      stopped = undefined
    },
  } satisfies Clock & Record<string, unknown>
}

/** An app with two types; in a project of its own where one is named. */
const addApp = async (world: World, domain: string, project?: string) => {
  const added = await world.addApp(domain, { types: TYPES, ...(project !== undefined && { project }) })
  const { projectId, secret, subscribeKey, authenticationKey } = added
  if (secret === null) throw new Error('The project has no secret')
  const at = (path: string) => path.replace(':projectId', projectId)
  return {
    domain,
    projectId,
    secret,
    did: ed25519Did(fromHex(authenticationKey)),
    publicKey: fromHex(subscribeKey),
    http: (method: string, path: string, body?: unknown) =>
      world.http(method, at(path), { token: secret, ...(body !== undefined && { body }) }),
    async notify(
      accounts: readonly string[],
      { title = 'Hello', type = NEWS, id }: { title?: string; type?: string; id?: string } = {},
    ): Promise<Outcome> {
      const answer = await world.http('POST', at('/:projectId/notify'), {
        token: secret,
        body: {
          ...(id !== undefined && { notification_id: id }),
          notification: { type, title, body: 'World' },
          accounts,
        },
      })
      if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
      return outcome.parse(answer.body)
    },
  }
}
export type App = Awaited<ReturnType<typeof addApp>>

export const startDevices = async () => {
  const hands = createHands()
  const world = await startWorld({ clock: hands })
  const devices: Online[] = []
  const { body } = await world.http('GET', '/.well-known/did.json')
  const keyOf = (curve: string) => {
    const methods = didDocument.parse(body).verificationMethod
    const found = methods.find(({ publicKeyJwk }) => publicKeyJwk.crv === curve)
    return fromBase64url(found?.publicKeyJwk.x ?? '')
  }

  const settled = () =>
    eventually(async () => {
      const size = await world.stores.notify.outboxSize()
      if (size > 0) throw new Error(`${size} entries wait in the outbox`)
    })

  /** Who watch requests are addressed to. */
  const address = { did: ed25519Did(keyOf('Ed25519')), publicKey: keyOf('X25519') }

  /**
   * The requests of what was sent on the topic until now, opened. Nothing is missing: a message that was published
   * after them has arrived, and a topic keeps its order.
   */
  const heard = async (device: Online, topic: string, tag: number, key: Uint8Array): Promise<Claims[]> => {
    await settled()
    const last = randomBytes(24).toString('base64')
    const stranger = online(world.wsUrl, device.device, hands)
    await stranger.client.publish({ topic, message: last, tag: 4050, ttl: 300 })
    await eventually(() => {
      if (!device.on(topic, 4050).some(({ message }) => message === last)) throw new Error('not yet')
    })
    await stranger[Symbol.asyncDispose]()
    return device.on(topic, tag).map(({ message }) => claimsIn(opened(message, key)))
  }

  const town = {
    world,
    hands,
    address,

    app: (domain: string, project?: string) => addApp(world, domain, project),

    /** `account`: how this device names the owner's address. */
    async device(
      owner: Owner,
      {
        account = owner.account,
        grant = {},
        ...rest
      }: { account?: string; grant?: Partial<Cacao['p']>; mjv?: string | undefined } = {},
    ): Promise<Online> {
      const device = newDevice(owner, { now: hands.now, keyServer: world.url, account, ...rest })
      const cacao = newCacao({ ...owner, account }, device.identity, grant)
      const { status, body } = await world.http('POST', '/identity', { body: { cacao } })
      if (status !== 200) throw new Error(`The identity key was refused: ${JSON.stringify(body)}`)
      const connected = online(world.wsUrl, device, hands)
      devices.push(connected)
      return connected
    },

    /** Watches all apps or one; `changes` are the claims of every 4012 so far. */
    async watch(device: Online, domain: string | null = null) {
      const sent = device.device.watch(address, domain)
      const first = viewIn(await device.ask(sent))
      return { first, changes: () => heard(device, sent.answerTopic, 4012, sent.key) }
    },

    /** Subscribes and listens; `messages` are the claims of every notification so far. */
    async subscribe(device: Online, app: App, scope: string[] = [NEWS, OFFERS]) {
      const answered = viewIn(await device.ask(device.device.subscribe(app, scope)))
      const own = answered.find(({ appDomain }) => appDomain === app.domain)
      if (!own) throw new Error('The answer does not show the subscription')
      const key = fromHex(own.symKey)
      const topic = topicOf(key)
      await device.client.subscribe([topic])
      return {
        view: answered,
        own,
        key,
        topic,
        messages: () => heard(device, topic, 4002, key),
      }
    },

    /** What a device that comes now sees of the account. */
    async look(owner: Owner): Promise<View> {
      return (await town.watch(await town.device(owner))).first
    },

    /** `code` and sentence of a refusal. */
    async refusal(device: Online, sent: Sent) {
      const rpc = await device.call(sent)
      if (rpc.kind !== 'failure') throw new Error('It was not refused')
      return { code: rpc.code, message: rpc.message }
    },

    newOwner,
    async [Symbol.asyncDispose]() {
      await Promise.all(devices.map((device) => device[Symbol.asyncDispose]()))
      await world[Symbol.asyncDispose]()
    },
  }
  return town
}
export type DevicesWorld = Awaited<ReturnType<typeof startDevices>>
