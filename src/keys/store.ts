/**
 * What the key registry asks of storage. One entry is one unit of atomicity. Promises resolve when durable.
 */

/** An identity key: who it belongs to, and the CACAO exactly as it was registered (clients verify it again). */
export interface IdentityEntry {
  /** did:key of the Ed25519 identity key, `did:key:z6Mk…`. */
  identityKey: string
  /** CAIP-10 account as written in the CACAO. Empty when the account was erased; the key is revoked then. */
  account: string
  /** The CACAO's JSON text, byte for byte as stored and served. Empty when the key was revoked. */
  cacao: string
  /**
   * Set when the key was revoked, unix ms. Anyone can have read the CACAO before, so one that was signed earlier must
   * not bring the key back; the owner can, by signing anew.
   */
  revokedAt?: number
}

/** The invite key of an account: did:key of an X25519 key, and the identity key that registered it. */
export interface InviteEntry {
  inviteKey: string
  /** CAIP-10 as the registering client wrote it. */
  account: string
  identityKey: string
}

export interface KeysStore {
  /** Registers or replaces; idempotent. */
  registerIdentity(entry: IdentityEntry): Promise<void>
  identity(identityKey: string): Promise<IdentityEntry | undefined>
  /** Removes; answers whether there was one. Invite keys that it registered go with it, in the same step. */
  unregisterIdentity(identityKey: string): Promise<boolean>
  /** Registers or replaces the invite key of `accountKey` (see `protocol/caip`: chain-agnostic). */
  registerInvite(accountKey: string, entry: InviteEntry): Promise<void>
  invite(accountKey: string): Promise<InviteEntry | undefined>
  /** Removes; answers whether there was one. */
  unregisterInvite(accountKey: string): Promise<boolean>
  /** A page of identity entries in key order, for operators. */
  identities(page: { after?: string; limit: number }): Promise<IdentityEntry[]>
}
