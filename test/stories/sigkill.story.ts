import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { openEnvelope, parseEnvelope } from '../../src/protocol/envelope.ts'
import { decodeJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice, postNotification, relayAs, temporaryHome } from '../support/story.ts'

const KILLS = crowd(20, 6)

/** Of each `msg.id`, the different relay messages that carried it: what a wallet was sent, before it sorts out repeats. */
const watchNotifyTopic = async (wsUrl: string, symKey: Uint8Array, topic: string) => {
  const carriers = new Map<string, Set<string>>()
  const relay = createRelayClient(
    { clock: systemClock, log: silent, meter: unmeasured },
    {
      url: wsUrl,
      key: generateSigningKey(),
      onMessage: ({ tag, message }) => {
        if (tag !== 4002) return
        const { params } = JSON.parse(openEnvelope(parseEnvelope(message), symKey))
        const { msg } = decodeJwt(params.messageAuth).claims
        const id = String(Object(msg).id)
        carriers.set(id, (carriers.get(id) ?? new Set()).add(message))
      },
    },
  )
  await relay.subscribe([topic])
  return { carriers, relay }
}

it(`loses nothing that was acknowledged and sends nothing twice over ${KILLS} kills`, {
  timeout: 240_000,
}, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  let server = await startServerProcess(home.path, { port })
  const app = await enrol(home.path, 'story.example.com')
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)

  const owner = newOwner()
  const first = newDevice(server, owner)
  const second = newDevice(server, owner)
  const received = [first, second].map((device) => {
    const bodies: string[] = []
    device.on('message', ({ notification }) => void bodies.push(notification.body))
    return bodies
  })
  await first.subscribe('story.example.com', [news])
  await second.watch()
  const symKey = fromHex(first.export().subscriptions[0]?.symKey ?? '')
  const topic = first.subscriptions()[0]?.topic ?? ''
  const observer = await watchNotifyTopic(server.wsUrl, symKey, topic)

  // Somebody who is offline all the time, and what was published for them.
  const sleeperKey = generateSigningKey()
  const sleeperTopic = 'ab'.repeat(32)
  {
    await using sleeper = relayAs(server.wsUrl, sleeperKey)
    await sleeper.subscribe([sleeperTopic])
  }
  await using publisher = relayAs(server.wsUrl)

  const posted: string[] = []
  const published: string[] = []
  const acknowledgedScopes: string[][] = [[news]]
  const stop = new AbortController()
  const untilStopped = async (step: (round: number) => Promise<void>) => {
    for (let round = 0; !stop.signal.aborted; round++) {
      // A kill may fail any step; whoever asked asks again, as real ones do.
      await step(round).catch(() => sleep(50))
    }
  }
  const dapp = untilStopped(async (round) => {
    const body = `notification ${round}`
    const notification = { id: `n-${round}`, body, accounts: [owner.account] }
    for (;;) {
      const outcome = await postNotification(server, app, notification).catch(() => undefined)
      if (outcome) {
        expect(outcome.sent).toEqual([owner.account])
        posted.push(body)
        return
      }
      await sleep(50)
    }
  })
  const wallet = untilStopped(async (round) => {
    const scope = round % 2 === 0 ? [news, alerts] : [news]
    acknowledgedScopes.push([...(await first.update('story.example.com', scope)).scope].sort())
  })
  const relayUser = untilStopped(async (round) => {
    const message = Buffer.from(`for the sleeper ${round}`).toString('base64')
    await publisher.publish({ topic: sleeperTopic, message, tag: 7, ttl: 3600 })
    published.push(message)
  })

  for (let kill = 0; kill < KILLS; kill++) {
    // Half of the kills hit a start and its reconnects, the other half a server on which all are at work again.
    const acknowledged = acknowledgedScopes.length
    if (kill % 2 === 1) {
      await eventually(() => expect(acknowledgedScopes.length).toBeGreaterThan(acknowledged), 30_000)
    }
    await sleep(100 + Math.random() * 500)
    await server.end('SIGKILL')
    server = await startServerProcess(home.path, { port })
  }
  // However much of it the kills left time for.
  await eventually(() => expect(posted.length).toBeGreaterThan(KILLS))
  stop.abort()
  await Promise.all([dapp, wallet, relayUser])
  // A change that was not answered may have been made: the last one is asked for until it is answered.
  acknowledgedScopes.push([...(await eventually(() => first.update('story.example.com', [alerts]))).scope])
  expect(acknowledgedScopes.length).toBeGreaterThan(KILLS / 2 - 1)

  // Every notification that was answered as sent reaches both devices, once.
  await eventually(() => {
    for (const bodies of received) expect([...bodies].sort()).toEqual([...posted].sort())
  }, 60_000)
  await eventually(() => expect(observer.carriers.size).toBe(posted.length))
  expect([...observer.carriers.values()].filter((messages) => messages.size > 1)).toEqual([])

  // The last acknowledged scope is what the server has, for a device that asks anew.
  const view = await second.watch()
  expect([...(view[0]?.scope ?? [])].sort()).toEqual(acknowledgedScopes.at(-1))

  // The watcher outlived every kill: the second device hears of a change without watching again.
  const heard: string[][] = []
  second.on('changed', (subscriptions) => void heard.push(subscriptions.map(({ domain }) => domain)))
  await first.delete('story.example.com')
  await eventually(() => expect(heard.at(-1)).toEqual([]))

  // What was published for somebody offline waits for them, in order, each once.
  const woken: string[] = []
  await using sleeper = relayAs(server.wsUrl, sleeperKey, ({ message }) => void woken.push(message))
  await sleeper.ready()
  await eventually(
    () => expect(woken.filter((message) => published.includes(message))).toEqual(published),
    30_000,
  )

  for (const owned of [first, second, observer.relay, server]) await owned[Symbol.asyncDispose]()
})
