/**
 * Values parsed by a schema, with failures as every way in reports them. It needs no HTTP: requests that arrive over the
 * relay are parsed with it, too.
 */
import type * as z from 'zod'
import { ProtocolError } from '../protocol/errors.ts'

/** `['notification', 'title']` → `notification.title`, `[0, 'accounts', 3]` → `[0].accounts[3]`. */
const fieldOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((field, key) => {
    if (typeof key === 'number') return `${field}[${key}]`
    return field === '' ? String(key) : `${field}.${String(key)}`
  }, '')

/** Returns what the schema makes of the value. Throws `bad_params`, with the field, for the first fault. */
export const checked = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = fieldOf(issue?.path ?? [])
  const sentence = issue?.message ?? 'not what is expected'
  throw new ProtocolError('bad_params', field === '' ? sentence : `${field}: ${sentence}`, {
    ...(field !== '' && { field }),
  })
}
