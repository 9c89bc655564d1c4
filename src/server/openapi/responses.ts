/** What an operation may answer: its own answers, those of its room, and those of what stands before all rooms. */
import * as z from 'zod'
import type { Answer, Operation, RoomDescription } from '../../platform/net/description.ts'
import { Failure, type Schemas } from './schemas.ts'

/** Answered by the guard or before a room is asked, so always in the shape of the house. */
const OF_THE_HOUSE = new Set([400, 403, 429, 503])
/** Nobody is kept away from these. */
const FREE_PATHS = new Set(['/health', '/ready', '/metrics'])

const MEANINGS: Readonly<Record<number, string>> = {
  400: 'The request cannot be understood',
  401: 'Authentication is missing or wrong',
  403: 'The caller may not do this, or the operator has blocked it',
  404: 'There is nothing by that name',
  409: 'It is already taken, or a quota is used up',
  413: 'The body is too large',
  415: 'The body is not of the type that is taken',
  422: 'A parameter is not valid; `field` says which',
  429: 'Too many requests; `Retry-After` says for how long, in s',
  500: 'A fault of the server; its log has the `id`, too',
  503: 'The store or a part of the server does not answer now; `Retry-After` says when to ask again, in s',
  507: 'The store takes nothing new right now',
}
const RETRIED = new Set([429, 503, 507])

/** The failures of an operation that nobody has to name. */
const usualStatuses = ({ method, path, needs = [], body, query, params }: Operation): number[] => {
  const isGuarded = !FREE_PATHS.has(path)
  const isPublic = needs.length === 0 || needs.includes('nobody')
  // No form of another page may change something in the name of a session.
  const isTyped = method !== 'get' && needs.includes('consoleSession')
  return [
    400,
    ...(isGuarded ? [403, 429, 500, 503] : []),
    ...(isPublic ? [] : [401]),
    ...(body ? [413] : []),
    ...((body && body.type !== 'text/plain') || isTyped ? [415] : []),
    ...(body || query || params || path.includes('{') ? [422] : []),
    ...(method === 'get' ? [] : [507]),
  ]
}

const headersOf = (status: number) => ({
  ...(status === 401 && {
    'WWW-Authenticate': { description: 'How to authenticate', schema: { type: 'string' } },
  }),
  ...(RETRIED.has(status) && {
    'Retry-After': {
      description: 'Seconds after which it is of use to ask again',
      schema: { type: 'string' },
    },
  }),
})

export const createResponses = (schemas: Schemas) => {
  const components: Record<string, unknown> = {}

  const eithers = new Map<z.ZodType, z.ZodType>()
  const orOfTheHouse = (shape: z.ZodType): z.ZodType => {
    const either = eithers.get(shape) ?? z.union([shape, Failure])
    eithers.set(shape, either)
    return either
  }

  const failure = (shape: z.ZodType | undefined, status: number, description: string) => {
    const either = shape && OF_THE_HOUSE.has(status) ? orOfTheHouse(shape) : (shape ?? Failure)
    const headers = headersOf(status)
    return {
      description,
      ...(Object.keys(headers).length > 0 && { headers }),
      content: { 'application/json': { schema: schemas.of(either) } },
    }
  }

  /** Shared by all operations of which nothing more is to be said. */
  const usualFailure = (shape: z.ZodType | undefined, status: number) => {
    const { id = 'Failure' } = (shape ?? Failure).meta() ?? {}
    const name = `${id}${status}`
    components[name] ??= failure(shape, status, MEANINGS[status] ?? 'It failed')
    return { $ref: `#/components/responses/${name}` }
  }

  const success = ({ says = 'Done', shape, type = 'application/json', headers = {}, example }: Answer) => ({
    description: says,
    ...(Object.keys(headers).length > 0 && {
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, description]) => [
          name,
          { description, schema: { type: 'string' } },
        ]),
      ),
    }),
    ...(shape && {
      content: { [type]: { schema: schemas.of(shape), ...(example !== undefined && { example }) } },
    }),
  })

  const of = (operation: Operation, room: RoomDescription): Record<number, unknown> => {
    const { answer, also = [], failures = {}, example } = operation
    const own: Answer = answer instanceof z.ZodType ? { shape: answer } : answer
    const answers: Answer[] = [{ example: example.answer, ...own }, ...also]
    const told: Record<number, unknown> = {
      ...Object.fromEntries(
        Object.entries(failures).map(([status, says]) => [
          status,
          failure(room.failure, Number(status), says),
        ]),
      ),
      ...Object.fromEntries(
        answers.map((one) => {
          const { status = 200, says, shape } = one
          if (status >= 400 && !shape) return [status, failure(room.failure, status, says ?? '')]
          return [status, success(one)]
        }),
      ),
    }
    const usual = usualStatuses(operation).map((status) => room.statuses?.[status] ?? status)
    for (const status of usual) told[status] ??= usualFailure(room.failure, status)
    return told
  }
  return { of, components }
}
