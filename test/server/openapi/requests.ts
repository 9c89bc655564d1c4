/** Requests as the document shows them, with what only their caller has put in, and what is answered to them. */
import type { DescribedOperation } from './all-rooms.ts'

/** What takes the place of an example, or is laid over it. */
export interface Prepared {
  /** Parts of the path, and members of the query. */
  params?: Record<string, string>
  /** The whole path with its query, where a client of ours has made it. */
  path?: string
  headers?: Record<string, string>
  body?: unknown
}

export interface Sent {
  status: number
  text: string
  headers: Headers
}

const FORM = 'multipart/form-data'

/** By their places in the document: of each parameter its example, or what was prepared. */
const valuesOf = ({ parameters }: DescribedOperation, place: string, given: Record<string, string>) =>
  parameters
    .filter((one) => one.in === place)
    .flatMap(({ name, example }): [string, string][] => {
      const value = given[name] ?? example
      return value === undefined ? [] : [[name, String(value)]]
    })

const formOf = (fields: object): FormData => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, String(value))
  return form
}

export const pathOf = (operation: DescribedOperation, { params = {}, path }: Prepared = {}): string => {
  if (path !== undefined) return path
  const parts = Object.fromEntries(valuesOf(operation, 'path', params))
  const filled = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parts[name] ?? ''))
  const query = new URLSearchParams(valuesOf(operation, 'query', params)).toString()
  return query === '' ? filled : `${filled}?${query}`
}

export const send = async (
  url: string,
  operation: DescribedOperation,
  prepared: Prepared = {},
): Promise<Sent> => {
  const [[type = '', content] = []] = Object.entries(operation.requestBody?.content ?? {})
  const body = prepared.body ?? content?.example
  const answer = await fetch(url + pathOf(operation, prepared), {
    method: operation.method,
    redirect: 'manual',
    headers: {
      ...(content && type !== FORM && { 'content-type': type }),
      ...Object.fromEntries(valuesOf(operation, 'header', {})),
      ...prepared.headers,
    },
    ...(content && {
      body: type === FORM ? formOf(Object(body)) : typeof body === 'string' ? body : JSON.stringify(body),
    }),
  })
  return { status: answer.status, text: await answer.text(), headers: answer.headers }
}

/** The request that a client of ours makes; nothing is sent, but for what `passes` lets through. */
export const recorded = async (
  call: (fetch: typeof globalThis.fetch) => Promise<unknown>,
  passes: (url: URL) => boolean = () => false,
): Promise<Prepared> => {
  let made: Prepared | undefined
  await call(async (input, { headers, body } = {}) => {
    const url = new URL(String(input))
    if (passes(url)) return fetch(input, { headers: new Headers(headers) })
    made ??= {
      path: url.pathname + url.search,
      headers: Object.fromEntries(new Headers(headers)),
      ...(typeof body === 'string' && { body: JSON.parse(body) }),
    }
    return Response.json({})
  }).catch(() => {})
  if (!made) throw new Error('The client asked for nothing')
  return made
}
