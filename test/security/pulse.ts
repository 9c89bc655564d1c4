import { newOwner } from '../support/owner.ts'
import { type EnrolledApp, newDevice, postNotification } from '../support/story.ts'
import type { World } from '../support/world.ts'

export const PULSE_DOMAIN = 'pulse.example'

/** A beat that takes longer than this is a server that does not serve, ms. */
const PATIENCE_MS = 10_000

export interface PulsePlace {
  /** Notify servers: the wallet uses the first one, the dapp each in turn. */
  readonly servers: readonly string[]
  /** The relay of the wallet, `ws:`. */
  readonly relay: string
  readonly app: EnrolledApp
}

/** What is late is an error that says what was waited for. */
export const inTime = async <T>(what: string, work: Promise<T>, milliseconds = PATIENCE_MS): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Time between two things, which ends early when somebody waits for the second one. */
export const createRest = () => {
  let end = () => {}
  return {
    async last(milliseconds: number): Promise<void> {
      if (milliseconds <= 0) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds)
        end = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    },
    end: () => end(),
  }
}

/**
 * A wallet and a dapp that go on exchanging notifications, one after the other, whatever else happens to the server.
 * One beat: published, received and decrypted, marked as read with an answer. `everyMs`: from one beat to the next.
 */
export const startPulseAt = async (place: PulsePlace, { everyMs = 0 }: { everyMs?: number } = {}) => {
  const { servers, relay, app } = place
  const [server = ''] = servers
  const { domain } = app
  const owner = newOwner()
  const wallet = newDevice({ url: server, wsUrl: relay }, owner)
  const sent: string[] = []
  const received: string[] = []
  /** How long each step of a beat took, ms. */
  const times = { received: [] as number[], answered: [] as number[] }
  const waiting = new Map<string, (id: string) => void>()
  wallet.on('message', ({ notification: { body, id } }) => {
    if (body.startsWith('beat ')) received.push(body)
    waiting.get(body)?.(id)
  })
  await inTime('The wallet watches', wallet.watch())
  await inTime('The wallet subscribes', wallet.subscribe(domain))

  let isStopped = false
  let beats = 0
  let isBeating = false
  let failure: unknown
  let listeners: (() => void)[] = []
  const rest = createRest()

  const timed = async <T>(what: keyof typeof times, work: Promise<T>): Promise<T> => {
    const began = performance.now()
    const result = await inTime(`The pulse is ${what}`, work)
    times[what].push(performance.now() - began)
    return result
  }
  const publishBeat = async (body: string): Promise<string> => {
    const arrived = new Promise<string>((resolve) => waiting.set(body, resolve))
    const url = servers[beats % servers.length] ?? ''
    const outcome = await postNotification({ url }, app, { id: body, body, accounts: [owner.account] })
    if (outcome.sent.length !== 1) throw new Error(`${body} was not sent: ${JSON.stringify(outcome)}`)
    return arrived
  }
  const beat = async () => {
    const body = `beat ${sent.length + 1}`
    sent.push(body)
    const id = await timed('received', publishBeat(body))
    waiting.delete(body)
    await timed('answered', wallet.markRead(domain, [id]))
  }
  const run = async () => {
    while (!isStopped) {
      const began = performance.now()
      isBeating = true
      await beat()
      isBeating = false
      beats++
      const woken = listeners
      listeners = []
      for (const wake of woken) wake()
      if (!isStopped) await rest.last(everyMs - (performance.now() - began))
    }
  }
  const running = run().catch((error: unknown) => {
    failure = error
    for (const wake of listeners) wake()
  })
  const until = async (count: number): Promise<void> => {
    while (beats < count && failure === undefined && !isStopped) {
      const beaten = new Promise<void>((resolve) => void listeners.push(resolve))
      rest.end()
      await beaten
    }
    if (failure !== undefined) throw failure
  }

  return {
    account: owner.account,
    type: app.types[0]?.id ?? '',
    sent,
    received,
    times,
    get beats() {
      return beats
    },
    /** A whole beat that begins after now, and the one in progress before it. Nothing rests before they are over. */
    next: () => until(beats + (isBeating ? 2 : 1)),
    /** Throws what went wrong, if anything did. */
    async stop() {
      isStopped = true
      rest.end()
      await running
      if (failure !== undefined) throw failure
    },
    async [Symbol.asyncDispose]() {
      isStopped = true
      rest.end()
      await running
      await wallet[Symbol.asyncDispose]()
    },
  }
}

export type Pulse = Awaited<ReturnType<typeof startPulseAt>>

/** The pulse of a world, at full speed. */
export const startPulse = async (world: World, how: { everyMs?: number } = {}): Promise<Pulse> => {
  const { project } = world
  const { types } = await world.addApp(PULSE_DOMAIN, { types: [{ name: 'Beat' }] })
  const app = { domain: PULSE_DOMAIN, projectId: project.id, secret: project.secret, types }
  return startPulseAt({ servers: [world.url], relay: world.wsUrl, app }, how)
}
