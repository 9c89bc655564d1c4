/**
 * `belfry mcp`: the way in for agents. What they are offered depends on what it is given: a project and an app, the directory
 * of an inbox, or both.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { KeptInbox, McpOptions } from '../../../mcp/main.ts'
import { agentAccess, rpcUrlsFrom } from '../../../server/config/config.ts'
import { prepareDataDir } from '../../../server/config/data-dir.ts'
import { lockDataDir } from '../../../server/config/data-lock.ts'
import { codeOf } from '../../../server/config/start-error.ts'
import { requireViem } from '../../../server/rooms/contract-wallets.ts'
import { createLog } from '../../../server/telemetry/log.ts'
import { readVersion } from '../../../server/version.ts'
import { ACCESS_FLAGS, printJson, urlOf } from '../../admin-client.ts'
import { type Args, defineCommand, type Typed, UsageError } from '../../command.ts'
import { CommandFailure } from '../../command-failure.ts'
import { keep, openKept } from '../../kept-wallet.ts'
import { untilStopped } from '../../until-stopped.ts'

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 8090
const MIN_TOKEN_LENGTH = 32
const TOKEN_BYTES = 32

const httpGroup = 'Over HTTP:'
const { data, server } = ACCESS_FLAGS
const flags = {
  app: {
    type: 'string',
    valueHint: 'DOMAIN',
    description: 'The app that the agent speaks for; its secret is in BELFRY_PROJECT_SECRET [BELFRY_APP]',
  },
  project: { type: 'string', valueHint: 'ID', description: 'The project of the app [BELFRY_PROJECT_ID]' },
  inbox: {
    type: 'string',
    valueHint: 'DIR',
    description:
      "Where the key of the agent's own inbox is, or will be; without it there is none [BELFRY_INBOX]",
  },
  'read-only': { type: 'boolean', description: 'Only tools that change nothing' },
  'trust-server': {
    type: 'boolean',
    description: 'Take the keys of apps that publish none from a server elsewhere, too',
  },
  json: { type: 'boolean', description: 'Print the tools as JSON, and end' },
  http: {
    type: 'boolean',
    description: 'Over Streamable HTTP; its token is in BELFRY_MCP_TOKEN, or made and shown',
    group: httpGroup,
  },
  port: {
    type: 'string',
    valueHint: 'N',
    description: `Port; 0 takes a free one [${DEFAULT_PORT}]`,
    group: httpGroup,
  },
  host: {
    type: 'string',
    valueHint: 'ADDRESS',
    description: `Address to listen on [${DEFAULT_HOST}]`,
    group: httpGroup,
  },
  name: {
    type: 'string',
    valueHint: 'NAME',
    description: 'A host name by which it is reached; may be repeated [those of this machine]',
    group: httpGroup,
  },
  ...{ data, server },
} as const satisfies Args

const appOf = ({ app, projectId, secret }: ReturnType<typeof agentAccess>): McpOptions['app'] => {
  if (app === undefined) return undefined
  if (projectId === undefined) throw new UsageError('--app needs --project or BELFRY_PROJECT_ID')
  if (secret === undefined) throw new UsageError('--app needs BELFRY_PROJECT_SECRET in the environment')
  return { domain: app, projectId, secret }
}

const portOf = (text: string | undefined): number => {
  if (text === undefined) return DEFAULT_PORT
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError('--port must be a whole number from 0 to 65535')
}

const httpOf = ({ one, all, on }: Typed, given: string | undefined): McpOptions['http'] => {
  if (!on.has('http')) return undefined
  if (given !== undefined && given.length < MIN_TOKEN_LENGTH)
    throw new UsageError(`BELFRY_MCP_TOKEN must have at least ${MIN_TOKEN_LENGTH} characters`)
  const token = given ?? randomBytes(TOKEN_BYTES).toString('base64url')
  const { host = DEFAULT_HOST, port } = one
  return { host, port: portOf(port), names: all.name ?? [], token }
}

/** The wallet in the directory, for this process alone. Rejects with a sentence. */
const createOpenKept = (dir: string, url: string) => async (): Promise<KeptInbox> => {
  prepareDataDir(dir)
  const lock = await lockDataDir(dir)
  try {
    const file = join(dir, 'wallet.json')
    const { ownerKey, state } = openKept(file, url, 'inbox')
    // Before anybody knows the account.
    keep(file, { url, ownerKey, state })
    return {
      ...{ ownerKey, state },
      save: (next) => keep(file, { url, ownerKey, state: next }),
      [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
    }
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

const serve = async (options: McpOptions, inbox: string | undefined, isShown: boolean): Promise<void> => {
  const { runMcp } = await import('../../../mcp/main.ts')
  const { url, http } = options
  const shown = isShown && http ? `\n  Authorization: Bearer ${http.token}` : ''
  // stdout belongs to the protocol.
  const listening = (at: string) => void process.stderr.write(`Agents reach it at ${at}${shown}\n`)
  const openKept = inbox === undefined ? undefined : createOpenKept(inbox, url)
  const deps = { log: createLog('warn'), stopped: untilStopped(), openKept, listening }
  await runMcp(deps, options).catch((cause: unknown) => {
    if (codeOf(cause) !== 'EADDRINUSE') throw cause
    throw new CommandFailure(`The port ${http?.port} is in use: choose another one with --port.`, { cause })
  })
}

/** The tools that such an agent has. Nobody is asked anything, so it needs no server and no secret. */
const printTools = async (
  { app, inbox }: ReturnType<typeof agentAccess>,
  isReadOnly: boolean,
): Promise<void> => {
  const { listTools } = await import('../../../mcp/main.ts')
  const nobody = { url: 'http://localhost', isReadOnly }
  const named = app === undefined ? undefined : { domain: app, projectId: 'none', secret: 'none' }
  printJson(listTools({ ...nobody, app: named }, inbox !== undefined))
}

export const mcp = defineCommand({
  args: flags,
  examples: [
    'mcp --app app.example.com --project ID --inbox ./inbox',
    'mcp --inbox ./inbox --read-only',
    'mcp --http',
  ],
  async run(typed) {
    const { one, on } = typed
    const given = agentAccess(one)
    if (given.app === undefined && given.inbox === undefined)
      throw new UsageError('An agent needs an app (--app), an inbox (--inbox), or both')
    if (on.has('json')) return printTools(given, on.has('read-only'))
    const app = appOf(given)
    const rpcUrls = rpcUrlsFrom()
    if (rpcUrls) requireViem()
    const options: McpOptions = {
      ...{ url: urlOf(typed), app, rpcUrls, version: readVersion(), http: httpOf(typed, given.token) },
      isReadOnly: on.has('read-only'),
      trustServer: on.has('trust-server'),
    }
    await serve(options, given.inbox, given.token === undefined)
  },
})
