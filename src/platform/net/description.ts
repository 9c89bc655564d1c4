/**
 * How a room describes its routes. `server/openapi` makes the document of `/openapi.json` from it, and adds what stands before all
 * rooms (`http-guard`). A description is loaded when the document is asked for, never at a start.
 */
import type * as z from 'zod'

/** How a caller shows who it is; `nobody` beside another one: it may be left out. */
export type Credential =
  | 'projectSecret'
  | 'adminToken'
  | 'consoleSession'
  | 'clientToken'
  | 'clientTokenInQuery'
  | 'mqToken'
  | 'relaySignature'
  | 'nobody'

export interface Answer {
  /** Default: 200. */
  status?: number
  /** What the status means; default: `Done`. */
  says?: string
  /** Absent where nothing is in the body. */
  shape?: z.ZodType
  /** Default: `application/json`. */
  type?: string
  headers?: Readonly<Record<string, string>>
  example?: unknown
}

export interface Operation {
  /** The name of the function in generated clients: unique in the house, and never changed. */
  id: string
  method: 'get' | 'post' | 'put' | 'delete'
  /** As OpenAPI writes it: `/v1/{projectId}/apps`. */
  path: string
  summary: string
  description: string
  needs?: readonly Credential[]
  /** Beside those of the room. */
  params?: Readonly<Record<string, z.ZodType>>
  query?: z.ZodObject
  headers?: z.ZodObject
  body?: { shape: z.ZodType; type?: string; isOptional?: true }
  /** JSON with status 200, unless it says otherwise. */
  answer: z.ZodType | Answer
  /** Other answers that are no failure. */
  also?: readonly Answer[]
  /** Beside those of the credential, the body and the guard. */
  failures?: Readonly<Record<number, string>>
  /** A request that works, and what is answered to it. What only its caller has (ids, tokens) looks like the real thing. */
  example: {
    params?: Readonly<Record<string, string>>
    query?: Readonly<Record<string, string>>
    headers?: Readonly<Record<string, string>>
    body?: unknown
    answer?: unknown
  }
}

export interface RoomDescription {
  tag: { name: string; description: string }
  /** The shape of its failures, where it is not the one of the house. */
  failure?: z.ZodType
  /** Statuses that its published answers have instead of others: `{422: 400}`. */
  statuses?: Readonly<Record<number, number>>
  /** Parts of paths, by name. */
  params?: Readonly<Record<string, z.ZodType>>
  operations: readonly Operation[]
}
