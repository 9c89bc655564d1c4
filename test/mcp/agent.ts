/** Agents: `belfry mcp` as it was built, in a process of its own, with the protocol's own client before it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CallToolResultSchema, type Progress } from '@modelcontextprotocol/sdk/types.js'
import { expect } from 'vitest'
import type { CreateWalletOptions } from '../../src/sdk/wallet.ts'
import { eventually } from '../support/eventually.ts'
import { COMMAND } from '../support/process.ts'
import { startClientWorld } from '../support/world/wallets.ts'

export const CHOICES = [
  { id: 'yes', title: 'Yes' },
  { id: 'no', title: 'No' },
]

/** What a client calls, and what it is answered. */
export const callerOf = (client: Client) => {
  const raw = (name: string, given: Record<string, unknown>, options: CallOptions = {}) =>
    client.callTool({ name, arguments: given }, CallToolResultSchema, options)
  return {
    client,
    raw,
    /** What the tool answers; it must not fail. */
    async call(name: string, given: Record<string, unknown> = {}, options: CallOptions = {}) {
      const { structuredContent, isError, content } = await raw(name, given, options)
      if (isError) throw new Error(`${name} failed: ${JSON.stringify(content)}`)
      return structuredContent as Record<string, unknown>
    },
    /** The text with which it fails. */
    async fails(name: string, given: Record<string, unknown> = {}): Promise<string> {
      const { isError, content } = await raw(name, given)
      const [first] = Array.isArray(content) ? content : []
      expect(isError).toBe(true)
      return String(first?.text)
    },
  }
}
interface CallOptions {
  signal?: AbortSignal
  timeout?: number
  onprogress?: (progress: Progress) => void
}

/** A server, an app, and agents that speak for it. */
export const startAgentWorld = async (
  domain = 'agent.example.com',
  /** Nodes that the server asks, and the agents too. */
  { rpcUrls }: { rpcUrls?: Record<string, string> } = {},
) => {
  const world = await startClientWorld(rpcUrls && { rpcUrls })
  const [type = ''] = await world.app(domain, ['Questions'])
  const dir = mkdtempSync(join(tmpdir(), 'belfry-agent-'))
  const running: { close(): Promise<void> }[] = []
  const chains = Object.entries(rpcUrls ?? {}).map(([chain, url]) => `${chain}=${url}`)
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    BELFRY_SERVER: world.url,
    BELFRY_PROJECT_ID: world.project.id,
    BELFRY_PROJECT_SECRET: world.project.secret,
    ...(chains.length > 0 && { BELFRY_RPC_URLS: chains.join(',') }),
  }

  return {
    ...world,
    domain,
    type,
    dir,
    env,
    /** An agent over stdio; `words`: of the command line. */
    async agent(...words: string[]) {
      const given = words.length > 0 ? words : ['--app', domain]
      const transport = new StdioClientTransport({
        command: process.execPath,
        args: [resolve(COMMAND), 'mcp', ...given],
        env,
        cwd: dir,
        stderr: 'pipe',
      })
      let stderr = ''
      transport.stderr?.on('data', (part) => {
        stderr += part
      })
      const client = new Client({ name: 'test', version: '1' })
      await client.connect(transport)
      running.push(client)
      return { ...callerOf(client), pid: () => transport.pid ?? -1, stderr: () => stderr }
    },
    /** Somebody who is subscribed to the app, and answers when they are told to. */
    async subscriber(options: Partial<CreateWalletOptions> = {}) {
      const owner = world.newOwner()
      const device = world.device(owner, options)
      await device.wallet.subscribe(domain)
      const question = (title: string) =>
        eventually(() => {
          const found = device.received.find((one) => one.title === title)
          if (!found) throw new Error('It has not come')
          return found
        })
      return {
        ...device,
        account: options.account ?? owner.account,
        question,
        answer: async (title: string, choice: string) =>
          device.wallet.answer(domain, (await question(title)).id, choice),
      }
    },
    async [Symbol.asyncDispose]() {
      for (const one of running) await one.close()
      await world[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
    },
  }
}
export type AgentWorld = Awaited<ReturnType<typeof startAgentWorld>>
