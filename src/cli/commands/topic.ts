import * as z from 'zod'
import { ACCESS_FLAGS, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, type Typed, UsageError } from '../command.ts'
import { agreed, YES_FLAG } from '../confirm.ts'
import { readableBytes } from '../usage.ts'

const TOPIC = {
  type: 'positional',
  required: true,
  description: 'The topic; or the domain of an app, or server: where requests to it come in',
} as const

const report = z.object({
  topic: z.string(),
  messages: z.number(),
  bytes: z.number(),
  oldestAt: z.string().nullable(),
  newestAt: z.string().nullable(),
  publisherCount: z.number(),
  payerCount: z.number(),
  memberCount: z.number(),
  publishers: z.array(z.object({ publisher: z.string(), messages: z.number(), bytes: z.number() })),
  payers: z.array(z.object({ payer: z.string(), messages: z.number(), bytes: z.number() })),
  members: z.array(z.object({ clientId: z.string(), isSubscribed: z.boolean(), behind: z.number() })),
})
type Report = z.output<typeof report>

const pathOf = ({ rest }: Typed): string => {
  const [topic] = rest
  if (topic === undefined) throw new UsageError('Which topic?')
  return `/admin/topics/${encodeURIComponent(topic)}`
}

const printReport = (found: Report): void => {
  const { topic, messages, bytes, oldestAt, newestAt, publishers, payers, members } = found
  const since = oldestAt === null ? '' : `, from ${oldestAt} to ${newestAt}`
  print(topic, `  ${messages} messages, ${readableBytes(bytes)}${since}`)
  print(`  ${found.publisherCount} publishers, ${found.payerCount} payers, ${found.memberCount} clients`)
  for (const one of payers.slice(0, 10)) {
    print(`  paid for   ${one.messages} messages, ${readableBytes(one.bytes)}  ${one.payer}`)
  }
  for (const one of publishers.slice(0, 10)) {
    print(`  published  ${one.messages} messages, ${readableBytes(one.bytes)}  ${one.publisher}`)
  }
  for (const { clientId, isSubscribed, behind } of members.slice(0, 10)) {
    print(`  ${isSubscribed ? 'subscribed' : 'was here  '} ${behind} behind  ${clientId}`)
  }
}

const showFlags = { topic: TOPIC, ...ACCESS_FLAGS } as const satisfies Args

const show = defineCommand({
  name: 'show',
  description: 'What a topic holds, who published it, who waits for it',
  args: showFlags,
  examples: ['topic show app.example.com'],
  async run(typed) {
    const found = await createAsk(typed)(report, 'GET', pathOf(typed))
    if (typed.on.has('json')) printJson(found)
    else printReport(found)
  },
})

const clearFlags = {
  topic: TOPIC,
  publisher: { type: 'string', valueHint: 'DID', description: 'Only what this client published' },
  payer: { type: 'string', valueHint: 'NAME', description: 'Only what this payer of `topic show` keeps' },
  ...YES_FLAG,
  ...ACCESS_FLAGS,
} as const satisfies Args

const clear = defineCommand({
  name: 'clear',
  description: 'Remove the messages of a topic; its subscriptions stay',
  args: clearFlags,
  examples: ['topic clear app.example.com --yes'],
  async run(typed) {
    const path = pathOf(typed)
    const ask = createAsk(typed)
    if (!typed.on.has('yes')) {
      const { topic, messages } = await ask(report, 'GET', path)
      if (!(await agreed(`Remove messages of ${topic}? It has ${messages}.`))) return
    }
    const { publisher, payer } = typed.one
    const only = new URLSearchParams({
      ...(publisher !== undefined && { publisher }),
      ...(payer !== undefined && { payer }),
    })
    const done = await ask(z.object({ topic: z.string(), removed: z.number() }), 'DELETE', `${path}?${only}`)
    if (typed.on.has('json')) printJson(done)
    else print(`${done.removed} messages of ${done.topic} are removed.`)
  },
})

export const topic = defineGroup({
  commands: [show, clear],
})
