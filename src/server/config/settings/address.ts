/** The address and port of a listener, as a setting writes them. */
import * as z from 'zod'
import { wholeNumber } from './whole-number.ts'

export interface HostAndPort {
  host: string
  port: number
}

const addressAndPort = z.object({ host: z.string().min(1).max(253), port: wholeNumber(0, 65_535) })

/** `0.0.0.0:9464`, `[::]:9464`. */
export const hostAndPort = (text: string, context: z.RefinementCtx): HostAndPort => {
  const {
    host,
    bare = host,
    port,
  } = /^(?:\[(?<bare>[\da-f:.]+)\]|(?<host>[\w.-]+)):(?<port>\d+)$/i.exec(text)?.groups ?? {}
  const parsed = addressAndPort.safeParse({ host: bare, port })
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom' })
  return z.NEVER
}

export const writtenAddress = ({ host, port }: HostAndPort): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
