/** What a client says of an answer that it may have already, and of the form in which it takes one (RFC 9110). */
import type { Context } from 'hono'
import { parseAccept } from 'hono/utils/accept'

const bare = (tag: string): string => tag.trim().replace(/^W\//, '')

/** Whether the client has what this entity tag names: a proxy may have made it weak, and a cache may have several. */
export const hasAlready = (c: Context, etag: string): boolean => {
  const tags = c.req.header('if-none-match')?.split(',').map(bare) ?? []
  return tags.includes(etag) || tags.includes('*')
}

/** Whether the client takes gzip; `gzip;q=0` says that it does not. */
export const takesGzip = (c: Context): boolean =>
  parseAccept(c.req.header('accept-encoding') ?? '').some(
    ({ type, q }) => type.toLowerCase() === 'gzip' && q > 0,
  )
