import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import type { Stores } from '../../../src/storage/stores.ts'
import { T } from '../../contract/notify-samples.ts'
import { client, textsOf, topic } from '../../contract/relay-samples.ts'
import { crowd } from '../../support/runs.ts'

const ROUNDS = crowd(6, 3)

type Said = Map<string, Set<string>>

const startWriter = (directory: string, round: number): ChildProcess =>
  spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=source', 'test/storage/lmdb/crash-writer.ts', directory, `${round}`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )

/** Lets a writer write, kills it after some of its lines, and answers what it had said by then. */
const writeAndKill = async (directory: string, round: number, lines: number): Promise<Said> => {
  const writer = startWriter(directory, round)
  const said: Said = new Map()
  let left = lines
  if (!writer.stdout) throw new Error('no output')
  for await (const line of createInterface({ input: writer.stdout })) {
    const [what = '', ...id] = line.split(' ')
    said.set(what, (said.get(what) ?? new Set()).add(id.join(' ')))
    left -= 1
    if (left === 0) writer.kill('SIGKILL')
  }
  return said
}

const all = (said: Said, what: string): string[] => [...(said.get(what) ?? [])]

const checkRelay = async ({ relay }: Stores, said: Said) => {
  for (const lane of all(said, 'subscribed')) {
    expect(await relay.isSubscribed(client(lane), topic(lane))).toBe(true)
    const waiting = new Set(await textsOf(relay, client(lane), topic(lane)))
    const acknowledged = said.get('acknowledged') ?? new Set()
    const published = all(said, 'published').filter((text) => text.startsWith(`${lane} `))
    for (const text of published) {
      if (acknowledged.has(text)) expect(waiting).not.toContain(text)
      // The acknowledgement of the very last one may have been written without being answered.
      else if (text !== published.at(-1)) expect(waiting).toContain(text)
    }
  }
}

const checkNotify = async ({ notify }: Stores, said: Said) => {
  const outbox = new Set<string>()
  for (;;) {
    const taken = await notify.takeOutbox({ worker: 'check', limit: 500, now: T, until: T + 1 })
    if (taken.length === 0) break
    for (const { id } of taken) outbox.add(id)
  }
  expect(await notify.outboxSize()).toBe(outbox.size)
  const committed = all(said, 'committed')
  for (const id of committed) {
    expect((await notify.account(id)).record.subscriptions[0]?.id).toBe(id)
    expect(await notify.topicOwner(`topic of ${id}`)).toEqual({ accountKey: id, subscriptionId: id })
    expect(await notify.wasCommitted(`request ${id}`, T)).toBe(true)
    if (said.get('completed')?.has(id)) expect(outbox).not.toContain(`response ${id}`)
    else if (!isThird(id)) expect(outbox).toContain(`response ${id}`)
    // What the writer may have done without living to say so is there whole or not at all.
    const copy = await notify.delivered(id, id, `copy ${id}`)
    if (said.get('handed')?.has(id)) expect(copy).toBeDefined()
    expect(outbox.has(`copy ${id}`)).toBe(copy !== undefined)
    const of = { projectId: 'project', domain: 'app.example', id }
    expect(await notify.receiptCounts(of)).toMatchObject({ queued: copy === undefined ? 0 : 1 })
    expect(await notify.unreadCounts([{ accountKey: id, subscriptionId: id }])).toEqual([copy ? 1 : 0])
  }
}

/** Those that the writer completes: it may have done so without living to say it. */
const isThird = (id: string): boolean => Number(id.split(' ').at(-1)) % 3 === 0

it('has everything that was answered before a kill at any moment, and no half of anything', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-crash-'))
  try {
    const history: Said[] = []
    for (let round = 0; round < ROUNDS; round++) {
      history.push(await writeAndKill(directory, round, 20 + Math.floor(Math.random() * 600)))
      await using stores = await openLmdb({ path: directory })
      for (const said of history) {
        await checkRelay(stores, said)
      }
      const everything: Said = new Map()
      for (const said of history) {
        for (const [what, ids] of said) {
          everything.set(what, new Set([...(everything.get(what) ?? []), ...ids]))
        }
      }
      expect(everything.get('committed')?.size).toBeGreaterThan(0)
      await checkNotify(stores, everything)
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}, 60_000)
