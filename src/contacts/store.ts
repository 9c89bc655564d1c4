/**
 * What the registry of installations asks of storage. `accountKey`: see `account-key`, as it is kept. One account is one unit
 * of atomicity. Promises resolve when durable.
 */

/** A device's key package under an account. An account has one of each name and value. */
export interface Installation {
  /** `xmtp/installation/…`, without padding. */
  name: string
  /** The bytes in base64url. */
  value: string
  /** Unix ms; at that instant it is no longer there. */
  expiresAt: number
}

/** What a change is allowed by, once: the account's next nonce, or a token by its own name. */
export type Ticket =
  /**
   * `first`: what is next for an account of which none is kept. `until`: unix ms, until when the next one is kept; later
   * than that `first` is above all that was ever used.
   */
  | { kind: 'nonce'; nonce: number; first: number; until: number }
  /** `until`: unix ms, until when it is remembered that the token was used. */
  | { kind: 'token'; id: string; until: number }

/** `used`: the ticket was spent, or another nonce is next. `full`: too many live ones; the ticket is still good. */
export type Granted = 'done' | 'used' | 'full'

/** An account's nonce is kept for so long after its last change. */
export const NONCE_LIFE_MS = 366 * 86_400_000

export interface ContactsStore {
  /** The live ones, in the order in which they were granted. */
  installations(accountKey: string, now: number): Promise<Installation[]>
  /** The next nonce; undefined where none is kept. */
  nonce(accountKey: string): Promise<number | undefined>
  /**
   * Spends the ticket and adds the installation, both or neither. One that is live already keeps its place and gets the
   * new expiry. `most`: live ones that an account may have.
   */
  grant(
    accountKey: string,
    ticket: Ticket,
    installation: Installation,
    bounds: { now: number; most: number },
  ): Promise<Granted>
  /** Spends the ticket and removes the installation, both or neither; there need be none. */
  revoke(
    accountKey: string,
    ticket: Ticket,
    installation: Pick<Installation, 'name' | 'value'>,
    now: number,
  ): Promise<Exclude<Granted, 'full'>>
  /** Removes all installations of an account, and nothing else: what was spent stays spent. Answers how many there were. */
  clear(accountKey: string): Promise<number>
  /** Removes up to `limit` things that have expired; answers how many. An engine may do it by itself, and answer 0. */
  sweep(now: number, limit: number): Promise<number>
}
