/**
 * The port while processes are killed: whatever was answered is there, and a batch that was not is there wholly or not at
 * all. Batches follow from a seed (`./random.ts`), so the sorted list of `kv-model.ts` knows what each one does.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Kv } from '../../../src/storage/kv.ts'
import { createKvModel, QUEUE, TABLES } from '../../contract/kv-model.ts'
import { startRedis } from '../../support/redis.ts'
import { crowd } from '../../support/runs.ts'
import { temporaryHome } from '../../support/story.ts'
import { openKv } from './open.ts'
import { ALL_PARTITIONS, batchOf, digest, ENDING_SOON, LEASE_MARK, NOW, textOf } from './random.ts'

const ROUNDS = crowd(30, 6)
/** A round starts a process that loads the sources, beside the other test's, and whatever else this machine does. */
const TIMEOUT_MS = ROUNDS * 40_000
/** Answers of one round. */
const MIN_ANSWERS = 20
const MAX_ANSWERS = 600
const MAX_DELAY_MS = 20
const DAY_MS = 86_400_000

type Model = ReturnType<typeof createKvModel>
/** What is known to be there: of each partition how many batches, and what they made. */
type Known = Map<string, { count: number; model: Model }>
const nothingYet = () => ({ count: 0, model: createKvModel() })

/** Lets a writer write, and kills it after some answers; answers all that it was given. */
const writeAndKill = async (
  where: string,
  {
    seed,
    firsts,
    answers,
    before,
  }: { seed: number; firsts: Record<string, number>; answers: number; before: () => Promise<void> },
): Promise<string[]> => {
  const args = ['test/storage/sigkill/writer.ts', where, `${seed}`, JSON.stringify(firsts)]
  const writer = spawn(process.execPath, ['--import', 'tsx', '--conditions=source', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: string[] = []
  let killing: Promise<void> | undefined
  for await (const line of createInterface({ input: writer.stdout })) {
    // One that was cut off was answered all the same, but nothing is expected of it.
    if (line.endsWith('.')) said.push(line.slice(0, -1))
    if (said.length < answers) continue
    killing ??= before()
      // Not where the writer has just been answered, but anywhere.
      .then(() => setTimeout(Math.random() * MAX_DELAY_MS))
      .then(() => void writer.kill('SIGKILL'))
  }
  await killing
  expect(said.length).toBeGreaterThanOrEqual(answers)
  return said
}

interface Row {
  value: string
  /** Of a queue. */
  at: number
}
type Rows = Map<string, Row>

const nameOf = (table: string, subject: string, key: Buffer) => `${table} '${subject}' ${key.toString('hex')}`

/** By partition. */
const storedRows = async (kv: Kv): Promise<Map<string, Rows>> => {
  const stored = new Map<string, Rows>(ALL_PARTITIONS.map((partition) => [partition, new Map()]))
  for (const table of [...TABLES, QUEUE]) {
    for await (const page of kv.rows(table)) {
      for (const { set, key, value, at = 0 } of page.rows)
        stored.get(set.partition)?.set(nameOf(table.name, set.subject, key), { value: digest(value), at })
    }
  }
  return stored
}

const expectedRows = (model: Model): Rows =>
  new Map(
    model
      .rows()
      .map(({ set, key, value, due }) => [
        nameOf(set.table.name, set.subject, key),
        { value: digest(value), at: due },
      ]),
  )

/** What differs: a row that has ended may be gone, and one of a queue may be leased. */
const differences = (stored: Rows, expected: Rows): string[] => {
  const found: string[] = []
  for (const [name, { value, at }] of expected) {
    const row = stored.get(name)
    const mayBeGone = name.includes(`'${ENDING_SOON}'`)
    if (!row) {
      if (!mayBeGone) found.push(`${name} is not there`)
    } else if (row.value !== value) found.push(`${name} has another value`)
    else if (row.at !== at && row.at % 1 !== LEASE_MARK) found.push(`${name} is due at ${row.at}, not ${at}`)
  }
  for (const name of stored.keys()) if (!expected.has(name)) found.push(`${name} should not be there`)
  return found
}

/** Holds the store to what was answered; answers what is known then. */
const check = async (
  kv: Kv,
  seed: number,
  { known, said }: { known: Known; said: readonly string[] },
): Promise<Known> => {
  const stored = await storedRows(kv)
  const after: Known = new Map()
  for (const partition of ALL_PARTITIONS) {
    const { count, model } = known.get(partition) ?? nothingYet()
    const own = said.filter((line) => line.startsWith(`${partition} `))
    const expected = own.map((_, nth) => {
      const outcome = model.commit(batchOf(seed, partition, count + nth))
      return `${partition} ${count + nth} ${textOf(outcome)}`
    })
    expect(own).toEqual(expected)
    const answered = count + own.length
    const rows = stored.get(partition) ?? new Map()
    const next = createKvModel(model.rows())
    next.commit(batchOf(seed, partition, answered))
    const withNext = differences(rows, expectedRows(next))
    const without = differences(rows, expectedRows(model))
    if (withNext.length > 0) expect({ partition, answered, without, withNext }).toMatchObject({ without: [] })
    const isNextThere = withNext.length === 0
    after.set(partition, isNextThere ? { count: answered + 1, model: next } : { count: answered, model })
  }
  return after
}

/** Queues give what they have, once, and nothing else. */
const checkQueues = async (kv: Kv, known: Known) => {
  const lease = { limit: 1_000, now: NOW + DAY_MS / 2, until: NOW + DAY_MS / 2 + 1 }
  const textOfRow = (id: Buffer, value: Buffer) => `${id.toString('hex')} ${digest(value)}`
  for (const [partition, { model }] of known) {
    for (const subject of ['', 'a subject']) {
      const taken = await kv.take({ table: QUEUE, partitions: [partition], subject }, lease)
      const own = model.rows().filter(({ set }) => set.table === QUEUE && set.subject === subject)
      expect(taken.map(({ id, value }) => textOfRow(id, value)).sort()).toEqual(
        own.map(({ key, value }) => textOfRow(key, value)).sort(),
      )
      expect(await kv.take({ table: QUEUE, partitions: [partition], subject }, lease)).toEqual([])
    }
  }
}

/** `before`: what else dies, just before the writer. `restart`: before the store is opened again. */
const tell = async (
  where: string,
  { before, restart }: { before?: (round: number) => Promise<void>; restart?: () => Promise<void> } = {},
): Promise<void> => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  console.log(`${where.split(':')[0]}: the batches follow from the seed ${seed}`)
  let known: Known = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    const answers = MIN_ANSWERS + Math.floor(Math.random() * MAX_ANSWERS)
    const firsts = Object.fromEntries([...known].map(([partition, { count }]) => [partition, count]))
    const said = await writeAndKill(where, { seed, firsts, answers, before: async () => before?.(round) })
    await restart?.()
    await using opened = await openKv(where)
    known = await check(opened.kv, seed, { known, said })
    if (round === ROUNDS - 1) await checkQueues(opened.kv, known)
  }
}

it.concurrent('on LMDB a batch is there wholly or not at all after a SIGKILL, and each that was answered', {
  timeout: TIMEOUT_MS,
}, async () => {
  await using home = await temporaryHome()
  await tell(home.path)
  await using opened = await openKv(home.path)
  // What has an end goes with all that belongs to it.
  while ((await opened.kv.sweep(NOW + 2 * DAY_MS, 1_000)) > 0);
  for (const table of [...TABLES, QUEUE].filter(({ ends }) => ends))
    expect(await opened.kv.size(table)).toBe(0)
})

it.concurrent('on Redis the same holds, also when Redis itself is killed', {
  timeout: TIMEOUT_MS,
}, async () => {
  await using redis = await startRedis({ appendonly: true, config: ['--appendfsync', 'always'] })
  await tell(redis.url, {
    before: async (round) => {
      if (round % 2 === 0) await redis.stop('SIGKILL')
    },
    restart: () => redis.restart(),
  })
})
