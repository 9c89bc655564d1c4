/** Marks messages as read: here at once, and at the server as soon as it can be reached. */
import { type ReadonlySignal, signal } from '@preact/signals'
import { ProtocolError, type Wallet } from '../../../sdk/wallet.ts'
import type { Database, Message } from './database.ts'

/** Of one request. */
const MAX_IDS = 500

export interface ReadMarks {
  /** How many of each app the server does not know of yet. */
  readonly waiting: ReadonlySignal<ReadonlyMap<string, number>>
  mark(messages: readonly Pick<Message, 'domain' | 'id'>[]): Promise<void>
  /** Everything of an app. */
  markAll(domain: string): Promise<void>
  /** Everything of an app was read on another device. */
  wereRead(domain: string): Promise<void>
  /** Sends what waits. Throws what the server answers, or `unavailable`. */
  send(): Promise<void>
  load(): Promise<void>
}

interface ReadMarksDeps {
  wallet: Pick<Wallet, 'markRead' | 'connected'>
  database: Pick<Database, 'message' | 'page' | 'put' | 'marks' | 'putMarks' | 'removeMarks'>
  /** These are read now; all of an app without ids. */
  read: (domain: string, ids?: ReadonlySet<string>) => void
}

const idsByDomain = (marks: readonly Pick<Message, 'domain' | 'id'>[]): Map<string, string[]> => {
  const byDomain = new Map<string, string[]>()
  for (const { domain, id } of marks) byDomain.set(domain, [...(byDomain.get(domain) ?? []), id])
  return byDomain
}

export const createReadMarks = ({ wallet, database, read }: ReadMarksDeps): ReadMarks => {
  const waiting = signal<ReadonlyMap<string, number>>(new Map())
  let sending: Promise<void> | undefined

  const load = async (): Promise<void> => {
    const byDomain = idsByDomain(await database.marks())
    waiting.value = new Map([...byDomain].map(([domain, ids]) => [domain, ids.length]))
  }
  const sendOf = async (domain: string, ids: readonly string[]): Promise<void> => {
    try {
      await wallet.markRead(domain, ids)
    } catch (error) {
      // Nobody counts what is unread in a subscription that has ended.
      if (!(error instanceof ProtocolError && error.code === 'not_subscribed')) throw error
    }
    await database.removeMarks(domain, ids)
    await load()
  }
  const sendAll = async (): Promise<void> => {
    for (const [domain, ids] of idsByDomain(await database.marks()))
      for (let at = 0; at < ids.length; at += MAX_IDS) await sendOf(domain, ids.slice(at, at + MAX_IDS))
  }
  const send = (): Promise<void> => {
    sending ??= sendAll().finally(() => {
      sending = undefined
    })
    return sending
  }
  const here = async (messages: readonly Message[]): Promise<void> => {
    await database.put(messages.map((one) => ({ ...one, isRead: true })))
    for (const [domain, ids] of idsByDomain(messages)) read(domain, new Set(ids))
  }

  const mark = async (messages: readonly Pick<Message, 'domain' | 'id'>[]): Promise<void> => {
    for (const [domain, ids] of idsByDomain(messages)) await database.putMarks(domain, ids)
    const stored = await Promise.all(messages.map(({ domain, id }) => database.message(domain, id)))
    await here(stored.filter((one) => one !== undefined))
    await load()
    if (wallet.connected) await send()
  }
  const unreadOf = (domain: string): Promise<Message[]> =>
    database.page({ domain, matches: (one) => !one.isRead, limit: Number.POSITIVE_INFINITY })
  return {
    ...{ waiting, mark, send, load },
    wereRead: async (domain) => here(await unreadOf(domain)),
    async markAll(domain) {
      const unread = await unreadOf(domain)
      // There may be unread ones at the server that this device never had; without it, it is those that are here.
      if (!wallet.connected) return mark(unread)
      await wallet.markRead(domain, 'all')
      await here(unread)
      read(domain)
    },
  }
}
