import * as z from 'zod'
import { pause, systemClock } from '../platform/runtime/clock.ts'
import { ACCESS_FLAGS, createAsk, print, printJson } from './admin-client.ts'
import { type Args, defineCommand, UsageError } from './command.ts'
import { CommandFailure } from './command-failure.ts'

const flags = {
  top: { type: 'string', valueHint: 'N', description: 'How many owners of each kind [10]' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const row = z.object({ owner: z.string(), rows: z.number(), bytes: z.number() })
const state = z.object({
  isRunning: z.boolean(),
  table: z.string().nullable(),
  seen: z.number(),
  isComplete: z.boolean(),
  error: z.string().nullable(),
  tables: z.array(
    z.object({
      room: z.string(),
      what: z.string(),
      by: z.string(),
      rows: z.number(),
      bytes: z.number(),
      owners: z.number(),
      isRough: z.boolean(),
      top: z.array(row),
    }),
  ),
})
type State = z.output<typeof state>

const EVERY_MS = 200
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export const readableBytes = (bytes: number): string => {
  const step = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${UNITS[step]}`
}

const draw = ({ table, seen }: State): void => {
  if (process.stderr.isTTY && table !== null) process.stderr.write(`\r\x1b[2K${table}  ${seen} seen`)
}

const printTables = ({ tables, isComplete }: State): void => {
  for (const { room, what, by, rows, bytes, owners, isRough, top } of tables) {
    if (rows === 0) continue
    const count = `${isRough ? 'more than ' : ''}${owners}`
    print(`${room}: ${what} by ${by}  ${rows} rows, ${readableBytes(bytes)}, of ${count}`)
    for (const one of top) {
      print(`  ${readableBytes(one.bytes).padStart(10)}  ${String(one.rows).padStart(8)}  ${one.owner}`)
    }
  }
  if (!isComplete) print('The time was over before everything was looked at.')
}

export const usage = defineCommand({
  args: flags,
  examples: ['usage', 'usage --top 3 --json'],
  async run(typed) {
    const top = typed.one.top ?? '10'
    if (!/^[1-9]\d{0,2}$/.test(top)) throw new UsageError('--top must be a whole number from 1 to 999')
    const ask = createAsk(typed)
    let now = await ask(state, 'POST', '/admin/usage')
    while (now.isRunning) {
      draw(now)
      await pause(systemClock, EVERY_MS)
      now = await ask(state, 'GET', `/admin/usage?top=${top}`)
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
    if (now.error !== null) throw new CommandFailure(now.error)
    if (typed.on.has('json')) printJson(now.tables)
    else printTables(now)
  },
})
