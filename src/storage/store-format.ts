/** The number of what is kept and how, in both engines. A change that this code could not read again makes it one more. */
export const STORE_FORMAT = 4

/** The store is not one that may be served from: the message is one sentence for the operator. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
}

/** Throws `StoreRefused` when the store's number is not ours. `stored` as it was read: nothing else reads it. */
export const checkStoreFormat = (stored: unknown): void => {
  const format = Number(stored)
  if (format === STORE_FORMAT) return
  const age = format > STORE_FORMAT ? 'newer' : 'older'
  throw new StoreRefused(
    `The store was written by ${age === 'newer' ? 'a newer' : 'an older'} Belfry (format ${String(stored)}, this one has ${STORE_FORMAT}): start that version on it, or put a backup into an empty store with belfry restore.`,
  )
}
