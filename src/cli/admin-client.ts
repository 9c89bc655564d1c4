/** The running server, as the command line reaches it: over its admin routes, with the token of the data directory. */
import * as z from 'zod'
import { fetchJson } from '../platform/net/fetch-json.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'
import { commandLineAccess } from '../server/config/config.ts'
import { readAdminAccess } from '../server/config/data-dir.ts'
import { type Args, type Typed, UsageError } from './command.ts'
import { CommandFailure } from './command-failure.ts'

const group = 'The server that is asked:'

/** The flag of every command that prints something. */
export const JSON_FLAG = {
  json: { type: 'boolean', description: 'Print JSON and nothing else' },
} as const satisfies Args

export const ACCESS_FLAGS = {
  ...JSON_FLAG,
  data: {
    type: 'string',
    valueHint: 'DIR',
    description: 'Data directory of the running server [BELFRY_DATA; ./belfry-data]',
    group,
  },
  server: {
    type: 'string',
    valueHint: 'URL',
    description: 'The server, when it runs elsewhere [BELFRY_SERVER]',
    group,
  },
  token: { type: 'string', valueHint: 'TEXT', description: 'Its admin token [BELFRY_ADMIN_TOKEN]', group },
} as const satisfies Args

export type Ask = <S extends z.ZodType>(
  answer: S,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
) => Promise<z.output<S>>

const failed = z.object({ error: z.string() })

const nothingRuns = (data: string): CommandFailure =>
  new CommandFailure(
    `No server is running on the data directory ${data}. Start one with: belfry serve, or say where it is with --data, or --server and --token.`,
  )

/** Why nothing that can be read came from there. `cause`: what `fetchJson` threw. */
export const noAnswer = (url: string, cause: unknown): CommandFailure => {
  const why = cause instanceof Error ? cause.cause : undefined
  const name = why instanceof Error ? why.name : ''
  if (name === 'AbortError')
    return new CommandFailure(
      `The server at ${url} gives no answer in time, and may do yet what it was asked. Look what is wrong: belfry doctor`,
      { cause },
    )
  if (name === 'SyntaxError') return new CommandFailure(`What answers at ${url} is no Belfry.`, { cause })
  return new CommandFailure(`No server answers at ${url}. Start one with: belfry serve`, { cause })
}

/** Where the server that is meant is reached, for what anybody may ask it. */
export const urlOf = ({ one }: Pick<Typed, 'one'>): string => {
  const { data, url: given } = commandLineAccess(one)
  const url = given ?? readAdminAccess(data)?.url
  if (url === undefined) throw nothingRuns(data)
  if (!URL.canParse(url)) throw new UsageError(`--server must be a URL, not ${JSON.stringify(url)}`)
  return withoutTrailingSlashes(url)
}

/** The server that is meant, and its token. */
export const serverOf = ({ one }: Pick<Typed, 'one'>): { url: string; token: string } => {
  const given = commandLineAccess(one)
  const local = given.url !== undefined && given.token !== undefined ? undefined : readAdminAccess(given.data)
  const url = given.url ?? local?.url
  const token = given.token ?? local?.token
  if (url === undefined) throw nothingRuns(given.data)
  if (!URL.canParse(url)) throw new UsageError(`--server must be a URL, not ${JSON.stringify(url)}`)
  if (token === undefined) throw new UsageError('--server needs --token or BELFRY_ADMIN_TOKEN')
  return { url: withoutTrailingSlashes(url), token }
}

export const createAsk = (typed: Pick<Typed, 'one'>): Ask => {
  const { url, token } = serverOf(typed)
  return async (answer, method, path, body) => {
    const { status, body: said } = await fetchJson({ clock: systemClock, fetch }, url + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body }),
    }).catch((cause: unknown) => {
      throw noAnswer(url, cause)
    })
    if (status !== 200) {
      throw new CommandFailure(failed.safeParse(said).data?.error ?? `The server answered ${status}`)
    }
    return answer.parse(said)
  }
}

/** All pages of a list. */
export const allPages = async <T>(
  page: (after: string | undefined) => Promise<{ items: T[]; next: string | null }>,
): Promise<T[]> => {
  const all: T[] = []
  for (let after: string | undefined; ; ) {
    const { items, next } = await page(after)
    all.push(...items)
    if (next === null) return all
    after = next
  }
}

export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
export const print = (...lines: string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)
