/**
 * Accounts that were subscribed elsewhere. Nobody can be subscribed without the account's own signature, so what is made of them
 * is a list of whom to invite, and the link to send them.
 */
import * as z from 'zod'
import { accountKey, parseAccount } from '../../../../protocol/caip.ts'
import { type Ask, allPages } from '../../../admin-client.ts'
import { CommandFailure } from '../../../command-failure.ts'
import { sourceText } from './sources.ts'

const MAX_BYTES = 16 * 1024 * 1024
const MAX_ACCOUNTS = 100_000
const PAGE_SIZE = 1000

export interface Invitations {
  /** Where a person subscribes. */
  link: string
  /** Different accounts in the list, whatever their chains. */
  accounts: number
  subscribed: number
  invite: string[]
}

const listed = (text: string, file: string): unknown[] => {
  if (text.trimStart().startsWith('[')) {
    try {
      return z.array(z.unknown()).parse(JSON.parse(text))
    } catch (cause) {
      throw new CommandFailure(`${file} is no JSON array of accounts.`, { cause })
    }
  }
  return text
    .split(/\r?\n/)
    .map((line) => (line.split('#', 1)[0] ?? '').trim())
    .filter((line) => line !== '')
}

/** By who it is: each account once, as it was written first. Throws `CommandFailure`. */
export const readAccounts = async (file: string): Promise<Map<string, string>> => {
  const items = listed(await sourceText(file, MAX_BYTES), file)
  if (items.length > MAX_ACCOUNTS) {
    throw new CommandFailure(
      `${file} has ${items.length} accounts; at most ${MAX_ACCOUNTS} are taken at once.`,
    )
  }
  const accounts = new Map<string, string>()
  for (const [at, item] of items.entries()) {
    try {
      const text = z.string().parse(item)
      const key = accountKey(parseAccount(text))
      if (!accounts.has(key)) accounts.set(key, text)
    } catch (cause) {
      throw new CommandFailure(
        `Entry ${at + 1} of ${file} is no CAIP-10 account: ${JSON.stringify(item)?.slice(0, 80)}.`,
        { cause },
      )
    }
  }
  return accounts
}

const subscribersPage = z.object({
  subscribers: z.array(z.object({ account: z.string() })),
  next: z.string().nullable(),
})
const description = z.object({ servers: z.array(z.object({ url: z.string() })).min(1) })

/** `isKnown`: whether the server has the app already; else nobody is subscribed to it. */
export const invitationsTo = async (
  ask: Ask,
  domain: string,
  accounts: ReadonlyMap<string, string>,
  { isKnown }: { isKnown: boolean },
): Promise<Invitations> => {
  const subscribers = isKnown
    ? await allPages(async (after) => {
        const query = new URLSearchParams({ limit: `${PAGE_SIZE}`, ...(after !== undefined && { after }) })
        const path = `/admin/apps/${encodeURIComponent(domain)}/subscribers?${query}`
        const { subscribers: items, next } = await ask(subscribersPage, 'GET', path)
        return { items, next }
      })
    : []
  const subscribed = new Set(subscribers.map(({ account }) => accountKey(parseAccount(account))))
  const invite = [...accounts].filter(([key]) => !subscribed.has(key)).map(([, account]) => account)
  const { servers } = await ask(description, 'GET', '/openapi.json')
  const link = `${servers[0]?.url}/#/discover/${encodeURIComponent(domain)}`
  return { link, accounts: accounts.size, subscribed: accounts.size - invite.length, invite }
}
