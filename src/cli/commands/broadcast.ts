import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { ACCESS_FLAGS, type Ask, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, type Typed, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import { EXTRAS_FLAGS, notificationFrom } from '../notification-flags.ts'
import { createProgressBar } from '../progress-bar.ts'

/** Between two looks at it, ms. */
const POLL_EVERY_MS = 250

const flags = {
  domain: { type: 'positional', required: true, description: 'The app that speaks' },
  type: { type: 'string', valueHint: 'TYPE', description: 'Id or name of the notification type' },
  title: { type: 'string', valueHint: 'TEXT', description: '1 to 64 characters' },
  body: { type: 'string', valueHint: 'TEXT', description: '1 to 255 characters' },
  url: { type: 'string', valueHint: 'URL', description: 'Where the notification leads' },
  id: { type: 'string', valueHint: 'ID', description: 'An id of your own: with the same one it goes on' },
  detach: { type: 'boolean', description: 'Do not wait until it is handed over' },
  status: { type: 'string', valueHint: 'ID', description: 'Show how far a broadcast is' },
  cancel: { type: 'string', valueHint: 'ID', description: 'Cancel one' },
  ...EXTRAS_FLAGS,
  ...ACCESS_FLAGS,
} as const satisfies Args

const started = z.object({ id: z.string(), status: z.string() })
const progress = z.object({
  id: z.string(),
  app_domain: z.string(),
  status: z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired']),
  total: z.number().nullable(),
  handed: z.number(),
  skipped: z.number(),
  counts: z.record(z.string(), z.number()),
})
type Progress = z.infer<typeof progress>

const pathOf = (domain: string, id: string): string =>
  `/admin/broadcasts/${encodeURIComponent(domain)}/${encodeURIComponent(id)}`

const sentence = ({ status, handed, skipped, total, counts }: Progress): string => {
  const states = Object.entries(counts).flatMap(([state, count]) => (count > 0 ? [`${count} ${state}`] : []))
  const of = total === null ? '' : ` of ${total} subscribers`
  return [`${status}: handed over to ${handed}${of}`, `${skipped} skipped`, ...states].join(', ')
}

/** Starts a broadcast; unless it is to be left alone, follows it to its end. */
export const runBroadcast = async (
  ask: Ask,
  typed: Typed,
  domain: string,
  out: NodeJS.WriteStream = process.stderr,
): Promise<void> => {
  const { one, on } = typed
  const { id, status } = await ask(started, 'POST', '/admin/broadcasts', {
    domain,
    notification: notificationFrom(typed),
    notificationId: one.id,
  })
  if (on.has('detach')) {
    if (on.has('json')) printJson({ id, status })
    else print(`${status}: ${id}`)
    return
  }
  // JSON and nothing else.
  const meter = on.has('json') ? undefined : createProgressBar(out)
  for (;;) {
    const now = await ask(progress, 'GET', pathOf(domain, id))
    meter?.show(now.handed + now.skipped, now.total)
    if (now.status === 'running' || now.status === 'scheduled') {
      await sleep(POLL_EVERY_MS)
      continue
    }
    meter?.end()
    if (on.has('json')) printJson(now)
    else print(`${id} ${sentence(now)}`)
    if (now.status !== 'done') throw new CommandFailure(`The broadcast is ${now.status}.`)
    return
  }
}

export const broadcast = defineCommand({
  args: flags,
  examples: [
    "broadcast app.example.com --type News --title Hello --body 'from the tower'",
    'broadcast app.example.com --status ID',
  ],
  async run(typed) {
    const { one, on, rest } = typed
    const [domain] = rest
    if (domain === undefined) throw new UsageError('Which app?')
    const ask = createAsk(typed)
    if (one.cancel !== undefined) {
      const answer = await ask(z.object({ cancelled: z.number() }), 'DELETE', pathOf(domain, one.cancel))
      if (on.has('json')) printJson(answer)
      else print(`Taken back from ${answer.cancelled}.`)
    } else if (one.status !== undefined) {
      const answer = await ask(progress, 'GET', pathOf(domain, one.status))
      if (on.has('json')) printJson(answer)
      else print(sentence(answer))
    } else await runBroadcast(ask, typed, domain)
  },
})
