import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import { pause, systemClock } from '../../platform/runtime/clock.ts'
import { commandLineAccess } from '../../server/config/config.ts'
import { replaceSecret } from '../../server/config/secret-files.ts'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'

const flags = {
  new: {
    type: 'boolean',
    description: 'Make a new secret in the data directory, for the next start of the server there',
  },
  ...ACCESS_FLAGS,
} as const satisfies Args

const state = z.object({
  isRunning: z.boolean(),
  round: z.number(),
  table: z.string().nullable(),
  seen: z.number(),
  resealed: z.number(),
  left: z.number(),
  unreadable: z.number(),
  isDone: z.boolean(),
  error: z.string().nullable(),
})
type State = z.output<typeof state>

/** Between two questions, ms. */
const POLL_EVERY_MS = 200

const draw = ({ round, table, seen, resealed }: State): void => {
  if (!process.stderr.isTTY || table === null) return
  process.stderr.write(`\r\x1b[2Kround ${round}  ${table.padEnd(10)}  ${seen} seen, ${resealed} sealed anew`)
}

export const reseal = defineCommand({
  args: flags,
  examples: ['reseal', 'reseal --new'],
  async run(typed) {
    if (typed.on.has('new')) {
      const { data } = commandLineAccess(typed.one)
      replaceSecret(data, randomBytes)
      if (typed.on.has('json')) return printJson({ data, isNew: true })
      return print(
        `There is a new secret in ${data}; the former one is beside it.`,
        'Now stop the server there, start it again, and then run: belfry reseal',
      )
    }
    const ask = createAsk(typed)
    let now = await ask(state, 'POST', '/admin/reseal')
    while (now.isRunning) {
      draw(now)
      await pause(systemClock, POLL_EVERY_MS)
      now = await ask(state, 'GET', '/admin/reseal')
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
    if (typed.on.has('json')) printJson(now)
    if (!now.isDone) {
      const why = now.error ?? 'the server was started anew'
      throw new CommandFailure(`It is not finished: ${why}. Run it again; the former secret is still needed.`)
    }
    if (typed.on.has('json')) return
    print(
      `${now.resealed} records were sealed anew; ${now.seen} were looked at, and none needs the former secret.`,
      'BELFRY_SECRET_PREVIOUS may go.',
    )
  },
})
