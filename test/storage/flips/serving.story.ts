/** A server whose store gets a damaged row while it runs: the row is not served, the log says so, and it serves on. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { startServerProcess } from '../../support/process.ts'
import { temporaryHome } from '../../support/story.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'
import { turnText } from './bits.ts'

/** Lines that a server may write of it while clients ask: it must not try again and again. */
const MAX_LINES = 20

it('serves everybody else, and turns the bit back at its next start', { timeout: 120_000 }, async () => {
  await using home = await temporaryHome()
  const [bad, good] = [randomTopic(), randomTopic()]
  const [turned, sound] = [randomMessage(), randomMessage()]
  const receive = async (url: string, topics: string[], expected: string[]) => {
    const got: string[] = []
    await using reader = connect(url, { onMessage: ({ message }) => void got.push(message) })
    await reader.subscribe(topics)
    await eventually(() => expect(got.sort()).toEqual([...expected].sort()))
  }
  {
    await using server = await startServerProcess(home.path)
    await using writer = connect(server.url)
    for (const [topic, message] of [
      [bad, turned],
      [good, sound],
    ] as const)
      await writer.publish({ topic, message, tag: 1, ttl: 3_600 })
    expect(turnText(join(home.path, 'store', 'data.mdb'), turned)).toBeGreaterThan(0)
    for (let round = 0; round < 3; round++) await receive(server.url, [bad, good], [sound])
    await writer.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 3_600 })
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
    const said = () =>
      server
        .output()
        .split('\n')
        .filter((line) => line.includes('relay.messages is damaged'))
    await eventually(() => expect(said().length).toBeGreaterThan(0))
    expect(said().length).toBeLessThan(MAX_LINES)
    expect(await server.end('SIGTERM')).toBe(0)
  }
  await using server = await startServerProcess(home.path)
  await eventually(() => expect(server.output()).toContain('of the table relay.messages had turned'))
  await receive(server.url, [bad, good], [turned, sound])
})
