import { systemClock } from '../../src/platform/clock.ts'
import { createDapp } from '../../src/sdk/dapp.ts'
import { createWallet, fromNotifyServer } from '../../src/sdk/wallet.ts'
import { newOwner } from '../support/owner.ts'
import type { World } from '../support/world.ts'

export const PULSE_DOMAIN = 'pulse.example'

/** A beat that takes longer than this is a server that does not serve, ms. */
const PATIENCE = 10_000

/**
 * A wallet and a dapp that go on exchanging notifications, one after the other, whatever else happens to the server.
 * One beat: published, received and decrypted, marked as read with an answer.
 */
export const startPulse = async (world: World) => {
  const { url, project } = world
  const app = await world.addApp(PULSE_DOMAIN, { types: [{ name: 'Beat' }] })
  const type = app.types[0]?.id ?? ''
  const owner = newOwner()
  const wallet = createWallet({
    url,
    account: owner.account,
    sign: async (text) => owner.sign(text),
    domain: 'wallet.example',
    allApps: true,
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
  })
  const dapp = createDapp({ url, projectId: project.id, secret: project.secret, domain: PULSE_DOMAIN })
  const sent: string[] = []
  const received: string[] = []
  const waiting = new Map<string, (id: string) => void>()
  wallet.on('message', ({ notification: { title, id } }) => {
    if (title.startsWith('beat ')) received.push(title)
    waiting.get(title)?.(id)
  })
  await wallet.watch()
  await wallet.subscribe(PULSE_DOMAIN)

  let isStopped = false
  let beats = 0
  let failure: unknown
  let listeners: (() => void)[] = []

  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('The pulse stopped')), PATIENCE)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }

  const beat = async () => {
    const title = `beat ${sent.length + 1}`
    const arrived = new Promise<string>((resolve) => waiting.set(title, resolve))
    sent.push(title)
    const outcome = await dapp.notify({ type, title, body: 'Still here' }, [owner.account])
    if (outcome.sent.length !== 1) throw new Error(`${title} was not sent: ${JSON.stringify(outcome)}`)
    const id = await arrived
    waiting.delete(title)
    await wallet.markRead(PULSE_DOMAIN, [id])
  }

  const run = async () => {
    while (!isStopped) {
      await inTime(beat())
      beats++
      const woken = listeners
      listeners = []
      for (const wake of woken) wake()
    }
  }
  const running = run().catch((error: unknown) => {
    failure = error
    for (const wake of listeners) wake()
  })

  const until = async (count: number): Promise<void> => {
    while (beats < count && failure === undefined && !isStopped) {
      await new Promise<void>((resolve) => void listeners.push(resolve))
    }
    if (failure !== undefined) throw failure
  }

  return {
    account: owner.account,
    type,
    sent,
    received,
    get beats() {
      return beats
    },
    /** A whole beat that begins after now: the one in progress, and the next. */
    next: () => until(beats + 2),
    async stop() {
      isStopped = true
      await running
      if (failure !== undefined) throw failure
    },
    async [Symbol.asyncDispose]() {
      isStopped = true
      await running
      await wallet[Symbol.asyncDispose]()
    },
  }
}
export type Pulse = Awaited<ReturnType<typeof startPulse>>
