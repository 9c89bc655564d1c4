/** The house with every room that there is, those on request, too, and a node of a chain behind it. */
import * as z from 'zod'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import type { Log } from '../../../src/platform/telemetry.ts'
import type { Config } from '../../../src/server/config/config.ts'
import { ROOMS } from '../../../src/server/config/settings/server.ts'
import { startChain } from '../../support/chain.ts'
import { type PushWorld, startPushWorld } from '../../support/push/push-world.ts'
import type { World } from '../../support/world.ts'

const Schema = z.record(z.string(), z.unknown())
const Content = z.record(z.string(), z.object({ schema: Schema, example: z.unknown().optional() }))
const Parameter = z.object({
  name: z.string(),
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean(),
  schema: Schema,
  example: z.unknown().optional(),
})
const Response = z.object({
  $ref: z.string().optional(),
  description: z.string().optional(),
  content: Content.optional(),
})
const Operation = z.object({
  operationId: z.string(),
  tags: z.array(z.string()).length(1),
  summary: z.string(),
  description: z.string(),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(Parameter).default([]),
  requestBody: z.object({ required: z.boolean(), content: Content }).optional(),
  responses: z.record(z.string(), Response),
})
const Document = z.object({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({
    schemas: z.record(z.string(), Schema),
    responses: z.record(z.string(), Response),
  }),
})
export type Document = z.infer<typeof Document>
export type DescribedOperation = z.infer<typeof Operation> & { method: string; path: string }
export type Schema = z.infer<typeof Schema>

/** Every operation of a document. */
export const operationsOf = ({ paths }: Document): DescribedOperation[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  )

export interface AllRooms extends AsyncDisposable {
  world: World
  /** With providers of push on this machine. */
  push: PushWorld
  /** As it is served. */
  text: string
  document: Document
}

export const startAllRooms = async (
  options: { log?: Log; config?: Partial<Config> } = {},
): Promise<AllRooms> => {
  const owned = createReleaseStack()
  const chain = owned.use(await startChain())
  chain.failWith((_, response) => void response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: '0x1' })))
  const push = owned.use(
    await startPushWorld({
      rooms: [...ROOMS],
      ...(options.log && { log: options.log }),
      config: {
        ...{ metrics: 'shared', rpcProxy: 'on', rpcUrls: { 'eip155:1': chain.url } },
        wallets: 'test/explorer/wallets.json',
        allowPrivateAddresses: { keys: [], webhooks: ['127.0.0.1'], did: [], push: ['true'] },
        ...options.config,
      },
    }),
  )
  const { world } = push
  const text = await (await fetch(`${world.url}/openapi.json`)).text()
  return {
    ...{ world, push, text, document: Document.parse(JSON.parse(text)) },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}
