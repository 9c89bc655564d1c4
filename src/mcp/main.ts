/**
 * The way in for agents: a server of the Model Context Protocol. It is a client of a notify server, as a dapp and as a wallet,
 * and keeps nothing but the wallet's key. It runs in a process of its own, where the project's secret and the key belong;
 * see docs/adr/0018.
 *
 * | file        | what                                                             |
 * |-------------|------------------------------------------------------------------|
 * | `offer`     | which tools there are                                            |
 * | `tools/`    | what each takes, does and answers                                |
 * | `questions/`| asking, waiting, and which answers count                         |
 * | `server`    | tools, resources and prompts on one connection                   |
 * | `http/`     | many connections: who may come in, and when a session ends       |
 *
 * The command line loads it from a bundle of its own: nothing that is not plain data crosses the seam.
 */
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { systemClock } from '../platform/runtime/clock.ts'
import { createReleaseStack } from '../platform/runtime/release-stack.ts'
import { type Log, silent } from '../platform/telemetry.ts'
import { serveHttp } from './http/serve.ts'
import { createSessions } from './http/sessions.ts'
import { createInbox, type KeptInbox } from './inbox.ts'
import { type AgentOptions, createOffer } from './offer.ts'
import { createCallGate, createMcpServer, type Offer } from './server.ts'

export type { KeptInbox } from './inbox.ts'

export interface McpOptions extends AgentOptions {
  version: string
  trustServer: boolean
  /** Absent: over stdin and stdout. */
  http?: { host: string; port: number; names: readonly string[]; token: string } | undefined
}

export interface McpDeps {
  log: Log
  /** Absent: the agent has no inbox. */
  openKept?: (() => Promise<KeptInbox>) | undefined
  /** Resolves when the process is to end. */
  stopped: Promise<void>
  /** Is told where it listens. */
  listening(url: string): void
}

/** As the wallet's own domain, in what its account signs. */
const INBOX_DOMAIN = 'agent.belfry'

const deps = { clock: systemClock, fetch: globalThis.fetch }

/** Over stdin and stdout, until either is closed. */
const runStdio = async (
  server: ReturnType<typeof createMcpServer>,
  stopped: Promise<void>,
): Promise<void> => {
  const ended = new Promise<void>((resolve) => {
    server.onclose = () => resolve()
    process.stdin.once('end', resolve)
    process.stdout.once('error', () => resolve())
  })
  await server.connect(new StdioServerTransport())
  await Promise.race([ended, stopped])
  await server.close()
}

/** What the agent would be offered, as plain data. */
export const listTools = ({ url, app, isReadOnly }: AgentOptions, hasInbox: boolean) => {
  const never = () => Promise.reject(new Error('Nothing is called'))
  const offered = { ...deps, log: silent, ...(hasInbox && { openInbox: never }) }
  const { tools } = createOffer(offered, { url, app, isReadOnly })
  return tools.map(({ call: _, ...shown }) => shown)
}

/** Serves until the client goes, or `stopped` resolves. */
export const runMcp = async (
  { log, openKept, stopped, listening }: McpDeps,
  options: McpOptions,
): Promise<void> => {
  await using owned = createReleaseStack()
  const { url, version, trustServer, http } = options
  const inbox =
    openKept && owned.use(createInbox({ ...deps, log, openKept }, { url, domain: INBOX_DOMAIN, trustServer }))
  const offer: Offer = createOffer({ ...deps, log, openInbox: inbox?.open }, options)
  const calls = createCallGate()
  const newServer = () => createMcpServer({ log, calls }, offer, { version })
  if (!http) {
    await runStdio(newServer(), stopped)
    return
  }
  const sessions = createSessions({ clock: systemClock, newSpeaker: newServer })
  const listener = owned.use(await serveHttp({ sessions, log }, http))
  listening(listener.url)
  await stopped
}
