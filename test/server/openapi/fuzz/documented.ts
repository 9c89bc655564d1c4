/** Whether an answer is one that the document promises. */
import { z } from 'zod'
import { Failure } from '../../../../src/server/openapi/schemas.ts'
import type { DescribedOperation, Document, Schema } from '../all-rooms.ts'

export interface Said {
  status: number
  type: string
  text: string
}

/** Rooms whose published answers have 500 for what is nobody's fault. */
const PUBLISHED_500 = new Set(['mq'])
/** What a server may say of itself that is well. */
const FINE_CODES = new Set(['store_full', 'unavailable'])

const json = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const createCheck = (document: Document, operations: readonly DescribedOperation[]) => {
  const patterns = operations.map((operation) => ({
    operation,
    pattern: new RegExp(`^${operation.path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}/?$`),
  }))
  const $defs = JSON.parse(
    JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
  )
  const known = new Map<Schema, z.ZodType>()
  const shapeOf = (schema: Schema): z.ZodType => {
    const shape =
      known.get(schema) ??
      z.fromJSONSchema({
        ...JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/')),
        $defs,
      })
    known.set(schema, shape)
    return shape
  }
  const responseOf = ({ responses }: DescribedOperation, status: number) => {
    const response = responses[status]
    if (response?.$ref === undefined) return response
    return document.components.responses[response.$ref.split('/').at(-1) ?? '']
  }

  /** Why it is none of those of the operation; undefined where it is. */
  const against = (operation: DescribedOperation, { status, type, text }: Said): string | undefined => {
    const response = responseOf(operation, status)
    if (!response) return `${operation.operationId} has no ${status}`
    const content = Object.entries(response.content ?? {})
    if (content.length === 0) return text === '' || status === 307 ? undefined : 'it has a body'
    const found = content.find(([name]) => type.startsWith(name))
    if (!found) return `it is ${type}`
    if (found[0] !== 'application/json') return undefined
    const result = shapeOf(found[1].schema).safeParse(json(text))
    return result.success
      ? undefined
      : `its shape: ${result.error.issues[0]?.path.join('.')} ${result.error.issues[0]?.message}`
  }

  /** What is wrong with an answer; undefined where all is well. */
  return ({ method, path }: { method: string; path: string }, said: Said): string | undefined => {
    const bare = path.split('?')[0] ?? ''
    const asked = patterns.filter(
      ({ operation, pattern }) => operation.method === method && pattern.test(bare),
    )
    const code = z.object({ code: z.string() }).safeParse(json(said.text)).data?.code ?? ''
    const isOurs = said.status >= 500 && !FINE_CODES.has(code)
    const isPublished = asked.some(({ operation }) => PUBLISHED_500.has(operation.tags[0] ?? ''))
    if (isOurs && (!isPublished || code === 'internal')) return 'it is a fault of the server'
    if (method === 'HEAD') return undefined
    if (asked.length === 0) {
      // Asked by a method that the document does not have: browsers ask with OPTIONS.
      if (method === 'OPTIONS' && said.status === 204) return undefined
      if (said.status === 200) return 'nobody describes it'
      return Failure.safeParse(json(said.text)).success || said.status < 500 ? undefined : 'it is no failure'
    }
    const reasons = asked.map(({ operation }) => against(operation, said))
    return reasons.includes(undefined) ? undefined : reasons.join('; ')
  }
}
