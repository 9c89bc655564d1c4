/**
 * A process that commits batches until it is killed:
 * `writer.ts <directory or URL of a Redis> <seed> <of each partition the number of its first batch, as JSON>`.
 * It prints a line for each batch that was answered, and nothing before; a line that is whole ends with a point.
 */
import { writeSync } from 'node:fs'
import { QUEUE } from '../../contract/kv-model.ts'
import { openKv } from './open.ts'
import { batchOf, LEASE_MARK, NOW, PARTITIONS, textOf } from './random.ts'

const [where = '', seed = '', first = '{}'] = process.argv.slice(2)
const firsts = new Map<string, number>(Object.entries(JSON.parse(first)))
const { kv } = await openKv(where)

/** Commits the batches of some partitions, each time together; leases and sweeps now and then. */
const write = async (partitions: readonly string[]): Promise<void> => {
  for (let nth = 0; ; nth++) {
    const numbered = partitions.map((partition) => ({ partition, at: (firsts.get(partition) ?? 0) + nth }))
    const now = NOW + Math.min(...numbered.map(({ at }) => at))
    const outcomes = await kv.commit(
      numbered.map(({ partition, at }) => batchOf(Number(seed), partition, at)),
      now,
    )
    const lines = numbered.map(({ partition, at }, of) => `${partition} ${at} ${textOf(outcomes[of])}.\n`)
    writeSync(1, lines.join(''))
    if (nth % 3 === 0)
      await kv.take({ table: QUEUE, partitions }, { limit: 2, now: NOW + 500, until: NOW + 900 + LEASE_MARK })
    if (nth % 10 === 0) await kv.sweep(now, 100)
  }
}

/** One that is told that the store is away has nothing more to say. */
const untilRefused = (partitions: readonly string[]) => write(partitions).catch(() => {})
await Promise.all([untilRefused(PARTITIONS.together), ...PARTITIONS.alone.map((one) => untilRefused([one]))])
