/** How the page asks its server: JSON in and out, each answer checked by a schema. */
import { signal } from '@preact/signals'
import * as z from 'zod/mini'

/** What the server refused, in its words. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly status: number
  /** The place in what was sent: `notification.title`. */
  readonly field: string | undefined

  constructor(message: string, status: number, field?: string) {
    super(message)
    this.status = status
    this.field = field
  }
}

const Refusal = z.object({ error: z.string(), field: z.optional(z.string()) })

/** Turns true when the server no longer knows the session. */
export const isSignedOut = signal(false)

interface Asked {
  body?: unknown
  /** Asked by the page itself: it does not keep the session open. */
  isBackground?: boolean
}

const parsed = (text: string): unknown => {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Throws `Failure`. */
export const ask = async <S extends z.ZodMiniType>(
  schema: S,
  [method, path]: readonly [method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string],
  { body, isBackground = false }: Asked = {},
): Promise<z.output<S>> => {
  const response = await fetch(path, {
    method,
    cache: 'no-store',
    headers: { 'Content-Type': 'application/json', ...(isBackground && { 'X-Background': '1' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Failure('The server does not answer', 0)
  })
  const answer = parsed(await response.text())
  if (response.ok) return schema.parse(answer)
  if (response.status === 401 && path.startsWith('/admin/')) isSignedOut.value = true
  const refusal = Refusal.safeParse(answer)
  if (!refusal.success) throw new Failure(`The server answered ${response.status}`, response.status)
  throw new Failure(refusal.data.error, response.status, refusal.data.field)
}

export const nothing = z.unknown()

/** A path with its parts as they are, whatever is in them. */
export const path = (texts: TemplateStringsArray, ...parts: readonly string[]): string =>
  texts.map((text, at) => text + (at < parts.length ? encodeURIComponent(parts[at] ?? '') : '')).join('')
