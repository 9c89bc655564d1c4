/** The address block that pays for a request which Hono serves; '' where the app is called by itself, without a socket. */
import { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { ClientAddress } from '../platform/client-address.ts'

export const contextAddress =
  (addressOf: ClientAddress) =>
  (c: Context): string => {
    const env: unknown = c.env
    const incoming = typeof env === 'object' && env !== null && 'incoming' in env ? env.incoming : undefined
    return incoming instanceof IncomingMessage ? addressOf(incoming) : ''
  }
