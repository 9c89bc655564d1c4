/**
 * Looks at embedded stores: `reader.ts <now>`; each line of its input is a data directory, and it answers one line each.
 * A store that ends the process ends this one alone.
 */
import { createInterface } from 'node:readline'
import type { Log } from '../../../src/platform/telemetry.ts'
import { StartError } from '../../../src/server/config/start-error.ts'
import { openEmbedded } from '../../../src/server/stores/embedded.ts'
import { type Report, reportOf } from './report.ts'

const now = Number(process.argv[2])

const lookAt = async (dir: string): Promise<Report> => {
  const said: string[] = []
  const keep = (...args: unknown[]) => void said.push(args.filter((one) => typeof one === 'string').join(' '))
  const log: Log = { debug() {}, info() {}, warn: keep, error: keep }
  try {
    await using stores = await openEmbedded(dir, { log })
    return await reportOf(stores, now, said)
  } catch (error) {
    const sentences = error instanceof StartError ? error.sentences : undefined
    return { refused: sentences?.join(' ') ?? `not a sentence: ${String(error)}`, answers: {}, said }
  }
}

for await (const dir of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await lookAt(dir))}\n`)
}
