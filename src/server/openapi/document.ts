/**
 * The document of `/openapi.json`: what the rooms say of their routes, of which those are told that are mounted. A route that
 * nobody describes is a mistake, which the caller is told.
 */
import { setImmediate } from 'node:timers/promises'
import * as z from 'zod'
import type { Credential, Operation, RoomDescription } from '../../platform/net/description.ts'
import { createResponses } from './responses.ts'
import { createSchemas, type Schemas } from './schemas.ts'

/** As Hono has it: `/v1/:projectId/apps`. */
export interface MountedRoute {
  method: string
  path: string
}

const SCHEMES = {
  projectSecret: {
    ...{ type: 'http', scheme: 'bearer' },
    description: 'The secret of the project, as `belfry app add` prints it',
  },
  adminToken: {
    ...{ type: 'http', scheme: 'bearer' },
    description:
      "The operator's token: `BELFRY_ADMIN_TOKEN`, or what `admin.json` in the data directory says",
  },
  consoleSession: {
    ...{ type: 'apiKey', in: 'cookie', name: 'belfry-console' },
    description: 'The session of the console; over https the cookie is `__Host-belfry-console`',
  },
  clientToken: {
    ...{ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
    description: 'A did-jwt, signed by the Ed25519 key of the client for the URL of this server',
  },
  clientTokenInQuery: {
    ...{ type: 'apiKey', in: 'query', name: 'auth' },
    description: 'The same did-jwt in the query',
  },
  mqToken: {
    ...{ type: 'apiKey', in: 'header', name: 'x-mq-authorization' },
    description: 'A token of `getQueueToken`, for this queue',
  },
  relaySignature: {
    ...{ type: 'apiKey', in: 'header', name: 'X-Ed25519-Signature' },
    description: 'The signature of a relay that the operator trusts',
  },
} as const satisfies Record<Exclude<Credential, 'nobody'>, object>

/** Of both spellings of a path, `/v1` and `/v1/`, one is described. */
const spelled = (path: string): string => {
  const braced = path.replace(/:(\w+)/g, '{$1}')
  return braced.length > 1 && braced !== '/socket.io/' ? braced.replace(/\/$/, '') : braced
}

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE'])

const Parameters = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
})

/** As JSON has it: what a path or a query holds is text. */
const exampleFor = ({ type }: Record<string, unknown>, text: string): unknown =>
  type === 'integer' || type === 'number' ? Number(text) : text

const parametersIn = (
  place: 'path' | 'query' | 'header',
  shape: z.ZodObject,
  { schemas, examples = {} }: { schemas: Schemas; examples: Readonly<Record<string, string>> | undefined },
) => {
  const { properties, required } = Parameters.parse(schemas.of(shape))
  return Object.entries(properties).map(([name, { description, ...schema }]) => {
    const example = examples[name]
    return {
      ...{ name, in: place, required: place === 'path' || required.includes(name) },
      ...(description !== undefined && { description }),
      schema,
      ...(example !== undefined && { example: exampleFor(schema, example) }),
    }
  })
}

const describe = (
  operation: Operation,
  room: RoomDescription,
  { schemas, responses }: { schemas: Schemas; responses: ReturnType<typeof createResponses> },
) => {
  const { id, path, summary, description, needs, query, headers, body, example } = operation
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const known = { ...room.params, ...operation.params }
  const parts = z.object(Object.fromEntries(names.map((name) => [name, known[name] ?? z.string().min(1)])))
  const parameters = [
    ...parametersIn('path', parts, { schemas, examples: example.params }),
    ...(query ? parametersIn('query', query, { schemas, examples: example.query }) : []),
    ...(headers ? parametersIn('header', headers, { schemas, examples: example.headers }) : []),
  ]
  return {
    ...{ operationId: id, tags: [room.tag.name], summary, description },
    security: needs?.map((one) => (one === 'nobody' ? {} : { [one]: [] })) ?? [],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: body.isOptional !== true,
        content: {
          [body.type ?? 'application/json']: {
            schema: schemas.of(body.shape),
            ...(example.body !== undefined && { example: example.body }),
          },
        },
      },
    }),
    responses: responses.of(operation, room),
  }
}

const ABOUT = `A self-hosted, end-to-end encrypted notification and messaging backbone for wallets and dapps.

Every failure is JSON, \`{"error", "code", "field"?, "id"?}\`, unless the room's published answers look otherwise. The relay's
WebSocket, which most clients use, speaks JSON-RPC 2.0 at \`/\`; it is no part of this document.`

export const composeDocument = async (
  rooms: readonly RoomDescription[],
  mounted: readonly MountedRoute[],
  { publicUrl, version }: { publicUrl: string; version: string },
) => {
  const schemas = createSchemas()
  const responses = createResponses(schemas)
  const routes = new Set(
    mounted
      .filter(({ method, path }) => METHODS.has(method) && !path.includes('*'))
      .map(({ method, path }) => `${method} ${spelled(path)}`),
  )
  const paths: Record<string, Record<string, unknown>> = {}
  const tags = new Map<string, RoomDescription['tag']>()
  const described = new Set<string>()
  for (const room of rooms) {
    // A room a turn: others are served in between.
    await setImmediate()
    for (const operation of room.operations) {
      const { method, path } = operation
      const route = `${method.toUpperCase()} ${path}`
      if (!routes.has(route)) continue
      described.add(route)
      tags.set(room.tag.name, room.tag)
      paths[path] = { ...paths[path], [method]: describe(operation, room, { schemas, responses }) }
    }
  }
  const document = {
    openapi: '3.1.0',
    info: {
      ...{ title: 'Belfry', version, description: ABOUT },
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: publicUrl }],
    tags: [...tags.values()],
    paths,
    components: { schemas: schemas.components, responses: responses.components, securitySchemes: SCHEMES },
  }
  return { document, undescribed: [...routes].filter((route) => !described.has(route)) }
}
