/**
 * Brings the database up to what the server has of an app, and reads older messages when they are wanted. The stored messages of an
 * app are always a piece without a gap: where a gap cannot be filled soon, what is older is given up and read again later.
 */
import { ProtocolError, type Wallet } from '../../../sdk/wallet.ts'
import type { Database, Message } from './database.ts'

const PAGE_SIZE = 50
/** After a long absence as much is read at once; older ones come as they are scrolled to. */
const MAX_PAGES_TO_CATCH_UP = 4
/** Of an app, on this device. */
export const MAX_MESSAGES_OF_APP = 5_000

interface HistoryDeps {
  wallet: Pick<Wallet, 'history'>
  database: Pick<Database, 'message' | 'put' | 'oldest' | 'keepNewest' | 'removeOlder' | 'marks'>
  /** These are in the database now. */
  added: (messages: readonly Message[]) => void
}

export interface History {
  /** Reads what is new, and what was read elsewhere. */
  catchUp(domain: string): Promise<void>
  /** Reads a page of older messages. Resolves with whether there were any. */
  readOlder(domain: string): Promise<boolean>
  forget(domain: string): void
}

export const createHistory = ({ wallet, database, added }: HistoryDeps): History => {
  /** Apps of which nothing older is at the server. */
  const whole = new Set<string>()

  /** Resolves with whether one of them was known, and the last of them. */
  const read = async (domain: string, after: string | undefined) => {
    const page = await wallet.history(domain, { limit: PAGE_SIZE, ...(after !== undefined && { after }) })
    const marked = new Set((await database.marks()).map((mark) => `${mark.domain} ${mark.id}`))
    const before = await Promise.all(page.notifications.map(({ id }) => database.message(domain, id)))
    const messages = page.notifications.map((one) => ({
      ...{ ...one, domain },
      // The server may not know yet that it was read here.
      isRead: one.isRead || marked.has(`${domain} ${one.id}`),
    }))
    added(await database.put(messages))
    return { last: messages.at(-1), hasMore: page.hasMore, isKnown: before.some((one) => one !== undefined) }
  }

  const readOlder = async (domain: string): Promise<boolean> => {
    if (whole.has(domain)) return false
    const { message, count } = await database.oldest(domain)
    if (count >= MAX_MESSAGES_OF_APP) return false
    try {
      const { last, hasMore } = await read(domain, message?.id)
      if (!hasMore) whole.add(domain)
      return last !== undefined
    } catch (error) {
      // The oldest one here is none of the server's any more, and neither is anything older.
      if (!(error instanceof ProtocolError && error.code === 'unknown_notification')) throw error
      whole.add(domain)
      return false
    }
  }

  return {
    async catchUp(domain) {
      const { count } = await database.oldest(domain)
      let after: Message | undefined
      for (let pages = 0; pages < MAX_PAGES_TO_CATCH_UP; pages++) {
        const { last, hasMore, isKnown } = await read(domain, after?.id)
        if (!hasMore) whole.add(domain)
        if (!hasMore || isKnown || count === 0) return database.keepNewest(domain, MAX_MESSAGES_OF_APP)
        after = last
      }
      if (after) await database.removeOlder(domain, after)
    },
    readOlder,
    forget: (domain) => void whole.delete(domain),
  }
}
