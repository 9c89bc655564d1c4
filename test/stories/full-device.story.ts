/**
 * A device that has less room than its file system promises, as a thin volume or a sparse image: it fails in the middle of
 * writes that the file system has taken. No signal ends the server, and nothing acknowledged is lost.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { startServerProcess } from '../support/process.ts'
import { mountSparse, mountTmpfs } from '../support/volume.ts'
import { connect, randomMessage, randomTopic } from '../support/world/scripted-relay.ts'

const DEVICE = { imageMib: 256, deviceMib: 64 }
/** The system has one number or the other for a write that was taken and then failed. */
const DEVICE_FAILS =
  /^(No space is left on the device that holds the store|The device that holds the store fails \(input\/output error\))$/
const LOST =
  'The device that holds the store failed in the middle of a write: give it room or replace it, then start the server again'
const READ_ONLY =
  'The file system that holds the store is read-only: where its device failed or is full, give that room, then mount it again and start the server again'

const key = generateSigningKey()
const topic = randomTopic()

/** What a reader that is away is owed. */
const publishSome = async (url: string): Promise<string[]> => {
  const reader = connect(url, { key })
  await reader.subscribe([topic])
  await reader[Symbol.asyncDispose]()
  await using writer = connect(url)
  const acknowledged: string[] = []
  for (let at = 0; at < 20; at++) {
    const message = randomMessage(4_096)
    await writer.publish({ topic, message, tag: 1, ttl: 3_600 })
    acknowledged.push(message)
  }
  return acknowledged
}

const receivedAgain = async (url: string, acknowledged: readonly string[]) => {
  const received: string[] = []
  await using _reader = connect(url, { key, onMessage: ({ message }) => void received.push(message) })
  await eventually(() => expect(received).toEqual(acknowledged))
}

const ready = async (url: string): Promise<{ status: number; reasons: string[] }> => {
  const response = await fetch(`${url}/ready`)
  const { reasons = [] } = (await response.json()) as { reasons?: string[] }
  return { status: response.status, reasons }
}

/** How a start was refused; one that was not is ended. */
const refusalOf = async (data: string): Promise<string> => {
  try {
    await using _server = await startServerProcess(data)
    return 'it started'
  } catch (error) {
    return String(error)
  }
}

const publishLarge = async (url: string): Promise<void> => {
  await using writer = connect(url)
  const attempt = () =>
    writer.publish({ topic: randomTopic(), message: randomMessage(150_000), tag: 1, ttl: 3_600 })
  await Promise.allSettled(Array.from({ length: 8 }, attempt))
}

it('a device without room: /ready says so, and once it has room the process ends with a sentence and the next one goes on', async () => {
  await using volume = await mountSparse({ ...DEVICE, hasJournal: false })
  const server = await startServerProcess(volume.path)
  await using _ending = server
  const acknowledged = await publishSome(server.url)
  volume.fill()
  await publishLarge(server.url)
  await eventually(async () =>
    expect(await ready(server.url)).toEqual({ status: 503, reasons: [expect.stringMatching(DEVICE_FAILS)] }),
  )
  expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: 'ok' })

  // The file that writes the head of the store is told of the failures of before when it writes again.
  volume.free()
  expect(await server.ended).toEqual({ code: 1, signal: null })
  expect(server.output().trimEnd().split('\n').at(-1)).toBe(`${LOST}.`)

  await using next = await startServerProcess(volume.path)
  await receivedAgain(next.url, acknowledged)
  await publishLarge(next.url)
  expect(await ready(next.url)).toEqual({ status: 200, reasons: [] })
}, 180_000)

it('a server that is started on a device without room ends with a sentence, and goes on once it has room', async () => {
  await using volume = await mountSparse({ ...DEVICE, hasJournal: false })
  await using first = await startServerProcess(volume.path)
  const acknowledged = await publishSome(first.url)
  volume.fill()
  await publishLarge(first.url)
  expect(await first.end('SIGTERM')).toBe(0)
  expect(await refusalOf(volume.path)).toMatch(
    /ended with 1 .*\n.*cannot be written to: (no space is left on the device \(ENOSPC\)|the device reports an error \(EIO\))\.\n$/s,
  )
  volume.free()
  await using next = await startServerProcess(volume.path)
  await receivedAgain(next.url, acknowledged)
}, 180_000)

it('a file system that has become read-only: /ready says so, a stop is in order, and after a mount all is there', async () => {
  await using volume = await mountSparse({ ...DEVICE, hasJournal: true })
  const server = await startServerProcess(volume.path)
  await using _ending = server
  const acknowledged = await publishSome(server.url)
  volume.fill()
  await publishLarge(server.url)
  await eventually(async () => expect(await ready(server.url)).toEqual({ status: 503, reasons: [READ_ONLY] }))
  expect(await server.end('SIGTERM')).toBe(0)
  expect(await refusalOf(volume.path)).toMatch(
    /ended with 1 .*cannot be written to: the file system is read-only \(EROFS\)\.\n$/s,
  )

  volume.free()
  await volume.remount()
  await using next = await startServerProcess(volume.path)
  await receivedAgain(next.url, acknowledged)
}, 180_000)

it.each([0, 12, 900])(
  'a start with %i KiB left on the disk ends with a sentence',
  async (leftKib) => {
    await using volume = await mountTmpfs(8)
    const data = join(volume.path, 'data')
    const noSpace =
      /ended with 1 .*\nThe (data directory|store of) \S+ cannot be (written to|opened): no space is left on the device( \(ENOSPC\))?\.\n$/s
    volume.fill(leftKib * 1024)
    expect(await refusalOf(data)).toMatch(noSpace)
    volume.free()
    await using first = await startServerProcess(data)
    expect(await first.end('SIGTERM')).toBe(0)
    // Made anew at every start, and mapped by the engine.
    rmSync(join(data, 'store', 'lock.mdb'))
    volume.fill(leftKib * 1024)
    expect(await refusalOf(data)).toMatch(noSpace)
  },
  60_000,
)
