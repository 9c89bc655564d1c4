/** The registry of installations as records, and back. */
import type { Readers, Writers } from '../../transfer/transfer.ts'
import { name } from '../bytes.ts'
import type { Env } from '../env.ts'
import { contactsTables, contactsWriter } from '../rooms/contacts.ts'
import { type ReadView, walk } from './walk.ts'

type ContactsTable = 'contactNonce' | 'contactToken' | 'installations'

export const createContactsTransfer = (env: Env) => {
  const tables = contactsTables(env)
  const put = contactsWriter(tables)

  const read = (view: ReadView): Pick<Readers, ContactsTable> => ({
    contactNonce: walk(tables.nonces, view, (at, [nonce, until], now) =>
      until > now ? { accountKey: at.toString(), nonce, until } : undefined,
    ),
    contactToken: walk(tables.tokens, view, (at, until, now) => {
      const separator = at.indexOf(0)
      const accountKey = at.toString('utf8', 0, separator)
      return until > now ? { accountKey, id: at.toString('utf8', separator + 1), until } : undefined
    }),
    installations: walk(tables.installations, view, (at, all, now) => {
      const live = all.filter(({ expiresAt }) => expiresAt > now)
      return live.length > 0 ? { accountKey: at.toString(), installations: live } : undefined
    }),
  })

  /** All of a page in one transaction; what throws, throws before it. */
  const each =
    <R extends { accountKey: string }>(write: (record: R) => void) =>
    async (records: readonly R[]): Promise<R[]> => {
      for (const { accountKey } of records) name(accountKey)
      await env.transaction(() => records.forEach(write))
      return []
    }
  const write: Pick<Writers, ContactsTable> = {
    contactNonce: {
      write: each(({ accountKey, nonce, until }) => put.nonce(accountKey, nonce, until)),
    },
    contactToken: { write: each(({ accountKey, id, until }) => put.token(accountKey, id, until)) },
    installations: {
      write: each(({ accountKey, installations }) => put.installations(accountKey, installations)),
    },
  }
  return { read, write }
}
