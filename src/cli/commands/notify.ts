import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import { EXTRAS_FLAGS, notificationFrom } from '../notification-flags.ts'
import { runBroadcast } from './broadcast.ts'

const flags = {
  domain: { type: 'positional', required: true, description: 'The app that speaks' },
  type: {
    type: 'string',
    valueHint: 'TYPE',
    description: 'Id or name of the notification type',
    required: true,
  },
  title: { type: 'string', valueHint: 'TEXT', description: '1 to 64 characters', required: true },
  body: { type: 'string', valueHint: 'TEXT', description: '1 to 255 characters', required: true },
  url: { type: 'string', valueHint: 'URL', description: 'Where the notification leads' },
  account: { type: 'string', valueHint: 'CAIP-10', description: 'Who gets it; may be repeated' },
  all: { type: 'boolean', description: 'Every subscriber gets it: a broadcast' },
  ...EXTRAS_FLAGS,
  ...ACCESS_FLAGS,
} as const satisfies Args

const outcome = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  not_found: z.array(z.string()),
})

export const notify = defineCommand({
  args: flags,
  examples: [
    "notify app.example.com --type News --title Hello --body 'from the tower' --all",
    'notify app.example.com --type News --title Hello --body You --account eip155:1:0x…',
    "notify app.example.com --type News --title Vote --body 'Shall we?' --action yes=Yes --action no=No --all",
  ],
  async run(typed) {
    const { all, on, rest } = typed
    const [domain] = rest
    if (domain === undefined) throw new UsageError('Which app?')
    const notification = notificationFrom(typed)
    if ((all.account === undefined) === !on.has('all')) {
      throw new UsageError('Say who gets it, with --account or with --all')
    }
    const ask = createAsk(typed)
    if (on.has('all')) return runBroadcast(ask, typed, domain)
    const answer = await ask(outcome, 'POST', '/admin/notify', {
      domain,
      notification,
      accounts: all.account,
    })
    if (on.has('json')) printJson(answer)
    else {
      print(`Sent to ${answer.sent.length}.`)
      for (const { account, reason } of answer.failed) print(`  ${account}: ${reason}`)
      for (const account of answer.not_found) print(`  ${account}: not subscribed`)
    }
    const missed = answer.failed.length + answer.not_found.length
    if (missed > 0) throw new CommandFailure(`${missed} did not get it.`)
  },
})
