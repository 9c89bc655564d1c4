/**
 * Somebody at another address: a wallet that goes on receiving and marking as read, wallets that come for the first time,
 * a project whose webhook is told of them.
 */

import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { type EnrolledApp, newDevice, postNotification } from '../../support/story.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { createRest, inTime, startPulseAt } from '../pulse.ts'

const BEAT_MS = 700
const NEWCOMER_MS = 1_200
const HEALTH_MS = 100
const PATIENCE_MS = 10_000

/** Does it again and again, from one beginning to the next so many ms, until it is stopped. */
const repeated = (everyMs: number, work: () => Promise<void>) => {
  let isStopped = false
  const rest = createRest()
  const run = async () => {
    while (!isStopped) {
      const began = performance.now()
      await work()
      if (!isStopped) await rest.last(everyMs - (performance.now() - began))
    }
  }
  const running = run()
  running.catch(() => {})
  return {
    async stop() {
      isStopped = true
      rest.end()
      await running
    },
  }
}

const timeOf = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** A wallet that comes for the first time: it watches, subscribes, and receives a notification. */
const newcomer = async (ground: Ground, app: EnrolledApp, turn: number): Promise<string> => {
  const url = ground.servers[turn % ground.servers.length] ?? ''
  const wsUrl = ground.relays[turn % ground.relays.length] ?? ''
  const owner = newOwner()
  const wallet = newDevice({ url, wsUrl }, owner)
  try {
    await inTime('A new wallet watches', wallet.watch())
    await inTime('A new wallet subscribes', wallet.subscribe(app.domain))
    const arrived = new Promise<void>((resolve) => wallet.on('message', () => resolve()))
    const body = `to ${owner.account}`
    await postNotification({ url }, app, { id: body, body, accounts: [owner.account] })
    await inTime('A new wallet receives', arrived)
  } finally {
    await wallet[Symbol.asyncDispose]()
  }
  return owner.account
}

/** Asks the processes whether they are there, the next time also while they have not answered yet. */
export const watchHealth = (urls: readonly string[]) => {
  const times: number[] = []
  const asked: Promise<void>[] = []
  let failure: unknown
  const ask = async (url: string) => {
    const took = await timeOf(async () => {
      const { status } = await fetch(`${url}/health`, { signal: AbortSignal.timeout(PATIENCE_MS) })
      if (status !== 200) throw new Error(`${url}/health answers ${status}`)
    })
    times.push(took)
  }
  const askAll = () => {
    for (const url of urls) {
      const answered = ask(url).catch((error: unknown) => {
        failure = error
      })
      asked.push(answered)
    }
  }
  askAll()
  const asking = setInterval(askAll, HEALTH_MS)
  return {
    /** How long each answer took, ms. Throws where there was none. */
    async stop(): Promise<number[]> {
      clearInterval(asking)
      await Promise.all(asked)
      if (failure !== undefined) throw failure
      return times
    },
    [Symbol.dispose]: () => clearInterval(asking),
  }
}

export const startBystander = async (ground: Ground, domain: string) => {
  const app = await ground.enrol(domain)
  const receiver = await startReceiver()
  const [server = ''] = ground.servers
  const registered = await fetch(`${server}/${app.projectId}/register-webhook`, {
    method: 'POST',
    headers: { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      url: receiver.url.replace('127.0.0.1', ground.hookHost),
      events: ['subscribed'],
    }),
  })
  if (!registered.ok) throw new Error(`No webhook: ${registered.status} ${await registered.text()}`)
  const [relay = ''] = ground.relays
  const pulse = await startPulseAt({ servers: ground.servers, relay, app }, { everyMs: BEAT_MS })

  const firstTimes: number[] = []
  const accounts: string[] = []
  const come = async () => {
    const took = await timeOf(async () => {
      accounts.push(await newcomer(ground, app, accounts.length))
    })
    firstTimes.push(took)
  }
  const newcomers = repeated(NEWCOMER_MS, come)
  return {
    app,
    /** How long things took, ms, in the order in which they happened. */
    times: { ...pulse.times, newcomer: firstTimes },
    /** Some more, after the attack. Throws what went wrong, if anything did. */
    async finish(): Promise<void> {
      await newcomers.stop()
      await Promise.all([come(), pulse.next()])
      await pulse.stop()
      await eventually(() => {
        const told = new Set(receiver.taken().map(({ event }) => event.data.account))
        const missing = accounts.filter((account) => !told.has(account))
        if (missing.length > 0) throw new Error(`The webhook was not told of ${missing.length} wallets`)
      }, PATIENCE_MS)
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([newcomers.stop()])
      await pulse[Symbol.asyncDispose]()
      await receiver[Symbol.asyncDispose]()
    },
  }
}
