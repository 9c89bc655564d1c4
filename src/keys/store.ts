/**
 * What the key registry asks of storage. Promises resolve when durable.
 * The identity key is one unit of atomicity: its entries, its default, and which accounts' invite keys it registered.
 */

/** An identity key that nobody has used for so long is forgotten, and with it the invite keys that it registered. */
export const IDENTITY_LIFE_MS = 365 * 86_400_000
/**
 * A revoked one must be remembered for as long as its CACAO could still be registered: that is refused when it is older
 * than `IDENTITY_LIFE_MS`, or of a day ahead.
 */
export const REVOKED_LIFE_MS = IDENTITY_LIFE_MS + 2 * 86_400_000

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
export const identityCursor = ({
  identityKey,
  accountKey,
}: Pick<IdentityEntry, 'identityKey' | 'accountKey'>): string => `${identityKey} ${accountKey}`

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
  /**
   * The identity key, revoked or not, stays until then (unix ms), if it does not already stay longer. Without a first word
   * about it, it stays for ever; it need not be registered yet.
   */
  prolong(identityKey: string, until: number): Promise<void>
  /** Removes up to `limit` identity keys whose time is over, with all that accounts say of them; answers how many. */
  sweep(now: number, limit: number): Promise<number>
  /** A page of identity entries in the order of keys and accounts, after `identityCursor` of one, for operators. */
  identities(page: { after?: string; limit: number }): Promise<IdentityEntry[]>
}
