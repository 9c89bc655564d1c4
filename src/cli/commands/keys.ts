import * as z from 'zod'
import { ACCESS_FLAGS, allPages, createAsk, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, defineGroup, UsageError } from '../command.ts'

const key = z.object({
  identityKey: z.string(),
  account: z.string(),
  revokedAt: z.string().nullable(),
  cacao: z.unknown(),
})
const keysPage = z.object({ keys: z.array(key), next: z.string().nullable() })

const list = defineCommand({
  name: 'list',
  description: 'The identity keys, and whose they are',
  args: ACCESS_FLAGS,
  examples: ['keys list'],
  async run(typed) {
    const ask = createAsk(typed)
    const keys = await allPages(async (after) => {
      const start = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
      const { keys: items, next } = await ask(keysPage, 'GET', `/admin/keys?limit=500${start}`)
      return { items, next }
    })
    if (typed.on.has('json')) {
      return printJson(
        keys.map(({ identityKey, account, revokedAt }) => ({ identityKey, account, revokedAt })),
      )
    }
    if (keys.length === 0) print('There are none yet.')
    for (const { identityKey, account, revokedAt } of keys) {
      print(`${identityKey}  ${account}${revokedAt === null ? '' : `  revoked ${revokedAt}`}`)
    }
  },
})

const showFlags = {
  key: { type: 'positional', required: true, description: 'did:key:z6Mk…, or z6Mk…' },
  ...ACCESS_FLAGS,
} as const satisfies Args

const show = defineCommand({
  name: 'show',
  description: 'One identity key, with the CACAO that its owner signed',
  args: showFlags,
  examples: ['keys show did:key:z6Mk…'],
  async run(typed) {
    const [name] = typed.rest
    if (name === undefined) throw new UsageError('Which key?')
    const found = await createAsk(typed)(
      z.object({ identityKey: z.string(), cacao: z.unknown() }),
      'GET',
      `/admin/keys/${encodeURIComponent(name)}`,
    )
    if (typed.on.has('json')) printJson(found)
    else print(found.identityKey, JSON.stringify(found.cacao, null, 2))
  },
})

export const keys = defineGroup({
  commands: [list, show],
})
