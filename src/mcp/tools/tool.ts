/** Tools as data: what a model is told of them, what it may say, and what it is answered. */
import * as z from 'zod'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'

export interface ToolContext {
  /** Aborted when the client cancels the call, or goes. */
  signal: AbortSignal
  /** Tells the client how far a call is, if it wants to know. `done` grows with every call. */
  progress(done: number, total: number, message: string): Promise<void>
}

/** Hints to whoever asks a person before a tool is called. */
export interface Annotations {
  readOnlyHint: boolean
  /** It takes something away. */
  destructiveHint: boolean
  /** Again with the same arguments it does nothing more. */
  idempotentHint: boolean
  /** It reaches people and services outside. */
  openWorldHint: boolean
}

export interface Tool {
  name: string
  title: string
  description: string
  annotations: Annotations
  inputSchema: Record<string, unknown>
  outputSchema: Record<string, unknown>
  call(given: unknown, context: ToolContext): Promise<Record<string, unknown>>
}

export const READS: Annotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
}
export const SENDS: Annotations = { ...READS, readOnlyHint: false, openWorldHint: true }

const schemaOf = (schema: z.ZodObject, io: 'input' | 'output'): Record<string, unknown> => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io })
  return rest
}

/** `bad_params` with the place. */
const parsed = <S extends z.ZodObject>(schema: S, given: unknown): z.output<S> => {
  const result = schema.safeParse(given)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const field = issue?.path.join('.') ?? ''
  throw new ProtocolError('bad_params', field === '' ? issue?.message : `${field}: ${issue?.message}`)
}

export const defineTool = <I extends z.ZodObject, O extends z.ZodObject>({
  input,
  output,
  run,
  ...said
}: Pick<Tool, 'name' | 'title' | 'description' | 'annotations'> & {
  input: I
  output: O
  run(given: z.output<I>, context: ToolContext): Promise<z.input<O>>
}): Tool => ({
  ...said,
  inputSchema: schemaOf(input, 'input'),
  outputSchema: schemaOf(output, 'output'),
  call: async (given, context) => output.parse(await run(parsed(input, given), context)),
})

/** A failure as a model is told it: `code: sentence`. What is unexpected is logged with an id, and the id is told. */
export const sentenceOfFailure = (error: unknown, log: Log): string => {
  if (error instanceof ProtocolError) {
    const later = error.retryAfter === undefined ? '' : `; again in ${error.retryAfter} s`
    return `${error.code}: ${error.message}${later}`
  }
  const id = globalThis.crypto.randomUUID()
  log.error({ err: error, id }, 'A call failed')
  return `internal: ${new ProtocolError('internal').message} (${id})`
}
