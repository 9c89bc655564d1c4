/**
 * What the key registry asks of storage. One entry is one unit of atomicity. Promises resolve when durable.
 */

/**
 * That an account lets an identity key speak for it, and the CACAO exactly as it was registered (clients verify it
 * again). A key is public, and everybody can sign for an account of theirs that it speaks for them: so an entry is named
 * by key and account, and one account's word changes nothing for another one.
 */
export interface IdentityEntry {
  /** did:key of the Ed25519 identity key, `did:key:z6Mk…`. */
  identityKey: string
  /** Names the account over all chains (see `protocol/caip`); a word of its own when the account was erased. */
  accountKey: string
  /** CAIP-10 account as written in the CACAO. Empty when the account was erased; the key is revoked then. */
  account: string
  /** The CACAO's JSON text, byte for byte as stored and served. Empty when the key was revoked. */
  cacao: string
  /**
   * Set when the key was revoked, unix ms. Anyone can have read the CACAO before, so one that was signed earlier must
   * not bring the key back; the owner can, by signing anew.
   */
  revokedAt?: number
  /** The identity key itself signed the registration. */
  isProven?: boolean
  /** It speaks for the key where nobody says for which account. Of one key, one does. */
  isDefault?: boolean
}

/** In place of an account that was erased. */
export const ERASED = '-'

/** Where a page of identity entries goes on. */
export const identityCursor = ({ identityKey, accountKey }: IdentityEntry): string =>
  `${identityKey} ${accountKey}`

/** The invite key of an account: did:key of an X25519 key, and the identity key that registered it. */
export interface InviteEntry {
  inviteKey: string
  /** CAIP-10 as the registering client wrote it. */
  account: string
  identityKey: string
}

export interface KeysStore {
  /**
   * Registers or replaces the entry of (identity key, account); idempotent. It becomes the key's default when it says so,
   * and where there is none: of several who find none at once, one does.
   */
  registerIdentity(entry: IdentityEntry): Promise<void>
  /** The entry for this account; without one, the key's default. */
  identity(identityKey: string, accountKey?: string): Promise<IdentityEntry | undefined>
  /** Removes; answers whether there was one. The invite key that it registered for the account goes with it, in the same step. */
  unregisterIdentity(identityKey: string, accountKey: string): Promise<boolean>
  /** Registers or replaces the invite key of `accountKey` (see `protocol/caip`: chain-agnostic). */
  registerInvite(accountKey: string, entry: InviteEntry): Promise<void>
  invite(accountKey: string): Promise<InviteEntry | undefined>
  /** Removes; answers whether there was one. */
  unregisterInvite(accountKey: string): Promise<boolean>
  /** A page of identity entries in the order of keys and accounts, after `identityCursor` of one, for operators. */
  identities(page: { after?: string; limit: number }): Promise<IdentityEntry[]>
}
