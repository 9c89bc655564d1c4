/** The message hub as an operator runs it: processes that are killed, on either engine, and two that share a Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { MqClient } from '../../src/mq/client.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { temporaryHome } from '../support/story.ts'
import { agentAt, startHubPair } from './message-hubs.ts'

const KILLS = crowd(4, 2)

const env = { BELFRY_ROOMS: 'mq', BELFRY_MQ_DOMAINS: 'default: connectionTimeout=500' }

/**
 * Somebody puts and two others read, one with `messages`, one with `take`, while `strike` kills and starts processes.
 * What was answered must be true afterwards.
 */
const survives = async (
  urls: { putter: string; reader: string; taker: string },
  strike: (kill: number) => Promise<void>,
) => {
  const putter = agentAt(urls.putter)
  const reader = agentAt(urls.reader)
  const taker = agentAt(urls.taker)
  const putting = new AbortController()
  const reading = new AbortController()

  const forReader: string[] = []
  const forTaker: string[] = []
  const putInto = async (
    to: MqClient & { agreementKey: { publicKey: Uint8Array } },
    acknowledged: string[],
  ) => {
    for (let at = 0; !putting.signal.aborted; at++) {
      try {
        await putter.put(to.did, `${at}`, { sealTo: to.agreementKey.publicKey })
        acknowledged.push(`${at}`)
      } catch {
        // Killed meanwhile: nothing was promised.
        await sleep(20)
      }
      await sleep(5)
    }
  }
  const read: { id: string; text: string }[] = []
  const readAll = async () => {
    for await (const { id, text } of reader.messages(reading.signal)) read.push({ id, text })
  }
  const taken: string[] = []
  let inDoubt = 0
  const takeAll = async () => {
    while (!reading.signal.aborted) {
      try {
        const message = await taker.take()
        if (message) taken.push(message.text)
      } catch {
        // The answer may have been on its way: that one is lost, as the document warns.
        inDoubt += 1
        await sleep(50)
      }
    }
  }

  const puts = Promise.all([putInto(reader, forReader), putInto(taker, forTaker)])
  const reads = Promise.all([readAll(), takeAll()])
  for (let kill = 0; kill < KILLS; kill++) {
    const [before, then] = [forReader.length, forTaker.length]
    await eventually(() =>
      expect(Math.min(forReader.length - before, forTaker.length - then)).toBeGreaterThan(4),
    )
    await sleep(Math.random() * 300)
    await strike(kill)
  }
  await sleep(500)
  putting.abort()
  await puts
  // A mark behind everything that was put before.
  for (const agent of [reader, taker]) await putter.put(agent.did, 'the end')
  await eventually(() => {
    expect(read.map(({ text }) => text)).toContain('the end')
    expect(taken).toContain('the end')
  }, 60_000)
  reading.abort()
  await reads

  const texts = read.map(({ text }) => text)
  // All of them, in their order; one may come again when the answer to its deletion was cut off, nothing later does.
  expect(forReader.filter((text) => !texts.includes(text))).toEqual([])
  const numbers = texts.slice(0, -1).map(Number)
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  // What was taken never comes back, and nothing is missing but what was on its way.
  const sorted = taken.slice(0, -1).map(Number)
  expect(new Set(sorted).size).toBe(sorted.length)
  expect(sorted).toEqual([...sorted].sort((a, b) => a - b))
  const missing = forTaker.filter((text) => !taken.includes(text))
  expect(missing.length).toBeLessThanOrEqual(inDoubt)
}

it('loses nothing that was answered over kills, on the embedded store', { timeout: 240_000 }, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  let server = await startServerProcess(home.path, { port, env })
  const { url } = server
  await survives({ putter: url, reader: url, taker: url }, async () => {
    await server.end('SIGKILL')
    server = await startServerProcess(home.path, { port, env })
  })
  await server[Symbol.asyncDispose]()
})

it('on one Redis, two processes are one hub, also when they are killed', { timeout: 240_000 }, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using homes = await temporaryHome()
  // Short polls: a reader must not wait on a process that was killed.
  const pair = await startHubPair(redis.url, homes.path, { env })
  const [one = '', two = ''] = pair.servers.map(({ url }) => url)
  await survives({ putter: one, reader: two, taker: one }, async (kill) => {
    await pair.servers[kill % 2]?.end('SIGKILL')
    await pair.start(kill % 2)
  })
  for (const server of pair.servers) await server[Symbol.asyncDispose]()
})
