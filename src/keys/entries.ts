/** Entries of the registry that count now: registered, and not revoked. */
import { invariant } from '../platform/invariant.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { ERASED, type IdentityEntry, type InviteEntry, type KeysStore } from './store.ts'

/** Each takes the `accountKey` of an account, and throws `identity_unknown` for a key that does not count. */
export interface Entries {
  /** Of the account; without one, the key's default. */
  present(identityKey: string, key?: string): Promise<IdentityEntry>
  /** Of exactly this account, revoked or not; `account_mismatch` when the key is registered, but not for it. */
  entryFor(identityKey: string, key: string): Promise<IdentityEntry>
  /** The same, not revoked. */
  presentFor(identityKey: string, key: string): Promise<IdentityEntry>
  /** Throws `not_found`. */
  invite(key: string): Promise<InviteEntry>
}

export const createEntries = (store: Pick<KeysStore, 'identity' | 'invite'>): Entries => {
  const unrevoked = (entry: IdentityEntry | undefined): IdentityEntry => {
    if (!entry || entry.revokedAt !== undefined) throw new ProtocolError('identity_unknown')
    invariant(entry.cacao !== '', 'an identity key that is not revoked has its CACAO')
    return entry
  }

  const entryFor = async (identityKey: string, key: string): Promise<IdentityEntry> => {
    const entry = await store.identity(identityKey, key)
    if (entry) return entry
    const other = await store.identity(identityKey)
    throw new ProtocolError(other && other.accountKey !== ERASED ? 'account_mismatch' : 'identity_unknown')
  }

  return {
    present: async (identityKey, key) => unrevoked(await store.identity(identityKey, key)),
    entryFor,
    presentFor: async (identityKey, key) => unrevoked(await entryFor(identityKey, key)),
    async invite(key) {
      const entry = await store.invite(key)
      if (!entry) throw new ProtocolError('not_found')
      return entry
    },
  }
}
