import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed } from '../../command.ts'
import { agreed, YES_FLAG } from '../../confirm.ts'

const PROJECT = { type: 'positional', required: true, description: 'The project' } as const
const WEBHOOK = {
  type: 'positional',
  required: true,
  description: 'Id of the webhook, as list prints it',
} as const

const pathOf = ({ rest: [project = '', webhook] }: Typed, ...more: string[]): string =>
  ['/admin/projects', project, 'webhooks', ...(webhook === undefined ? [] : [webhook]), ...more]
    .map((part, at) => (at === 0 ? part : encodeURIComponent(part)))
    .join('/')

const listed = z.object({
  webhooks: z.array(
    z.object({
      id: z.string(),
      url: z.string(),
      events: z.array(z.string()),
      state: z.string(),
      reason: z.string(),
      createdAt: z.string(),
      hasDeadLetters: z.boolean(),
    }),
  ),
})

const list = defineCommand({
  name: 'list',
  description: 'The webhooks of a project: where they call, for what, and how they are',
  args: { project: PROJECT, ...ACCESS_FLAGS },
  examples: ['webhook list shop'],
  async run(typed) {
    const { webhooks } = await createAsk(typed)(listed, 'GET', pathOf(typed))
    if (typed.on.has('json')) return printJson(webhooks)
    if (webhooks.length === 0) print('There are none yet.')
    for (const { id, url, events, state, reason, hasDeadLetters } of webhooks) {
      const why = reason === '' ? '' : ` (${reason})`
      print(
        `${id}  ${state}${why}  ${url}  ${events.join(', ')}${hasDeadLetters ? '  has dead letters' : ''}`,
      )
    }
  },
})

const addFlags = {
  project: PROJECT,
  url: { type: 'string', valueHint: 'URL', description: 'Where it calls: https', required: true },
  event: {
    type: 'string',
    valueHint: 'EVENT',
    description: 'What it is told, like answered; may be repeated',
    required: true,
  },
  ...ACCESS_FLAGS,
} as const satisfies Args

const add = defineCommand({
  name: 'add',
  description: 'Register a webhook; prints the secret with which its calls are signed',
  args: addFlags,
  examples: ['webhook add shop --url https://shop.example.com/belfry --event answered --event read'],
  async run(typed) {
    const { one, all, on } = typed
    const registered = z.object({ id: z.string(), secret: z.string() })
    const body = { url: one.url, events: all.event }
    const made = await createAsk(typed)(registered, 'POST', pathOf(typed), body)
    if (on.has('json')) return printJson(made)
    print(
      `webhook id           ${made.id}`,
      `secret               ${made.secret}`,
      '',
      'It is not shown again.',
    )
  },
})

const remove = defineCommand({
  name: 'remove',
  description: 'Remove a webhook, with all that waits for it',
  args: { project: PROJECT, webhook: WEBHOOK, ...YES_FLAG, ...ACCESS_FLAGS },
  examples: ['webhook remove shop WEBHOOK --yes'],
  async run(typed) {
    const [, webhook] = typed.rest
    if (!typed.on.has('yes') && !(await agreed(`Remove the webhook ${webhook}?`))) return
    const gone = await createAsk(typed)(z.object({ id: z.string() }), 'DELETE', pathOf(typed))
    if (typed.on.has('json')) printJson(gone)
    else print(`The webhook ${gone.id} is removed.`)
  },
})

const replay = defineCommand({
  name: 'replay',
  description: 'Try all its dead letters again',
  args: { project: PROJECT, webhook: WEBHOOK, ...ACCESS_FLAGS },
  examples: ['webhook replay shop WEBHOOK'],
  async run(typed) {
    const path = pathOf(typed, 'dead-letters', 'replay')
    const done = await createAsk(typed)(z.object({ replayed: z.number() }), 'POST', path)
    if (typed.on.has('json')) printJson(done)
    else print(`${done.replayed} are tried again.`)
  },
})

export const webhook = defineGroup({ commands: [list, add, remove, replay] })
