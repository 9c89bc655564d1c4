/** Shapes of zod as JSON Schema, which is what OpenAPI 3.1 takes. What has an id becomes a component of the document. */
import * as z from 'zod'

/** A failure as most rooms answer it: `Failure` of `platform/net/http`. */
export const Failure = z
  .object({
    error: z.string().describe('A sentence for people'),
    code: z.string().describe('A word for programs'),
    field: z.string().optional().describe('The place in the input that is at fault'),
    id: z.string().optional().describe('What the log has, too, where the fault is ours'),
  })
  .meta({ id: 'Failure', description: 'What went wrong' })

const DefinitionsIn = z.record(z.string(), z.record(z.string(), z.unknown())).default({})

export interface Schemas {
  /** The schema of what is sent, before it is transformed. */
  of(shape: z.ZodType): Record<string, unknown>
  components: Record<string, unknown>
}

export const createSchemas = (): Schemas => {
  const components: Record<string, unknown> = {}
  /** Many operations fail alike. */
  const known = new Map<z.ZodType, Record<string, unknown>>()
  return {
    components,
    of(shape) {
      const before = known.get(shape)
      if (before) return before
      const text = JSON.stringify(z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' }))
      const referring: unknown = JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/'))
      const { $schema: _, $defs, ...schema } = z.record(z.string(), z.unknown()).parse(referring)
      Object.assign(components, DefinitionsIn.parse($defs))
      known.set(shape, schema)
      return schema
    },
  }
}
