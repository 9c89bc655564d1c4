/** Chunks of receipts that came from another store: each has one, and a name that follows from its account. */
import { createHash } from 'node:crypto'
import { CHUNK_NAME_BYTES } from '../../notify/store/packed/heads.ts'

/** Before all that are made here, so that a later one counts. */
const RESTORED = 0

export const restoredChunkName = (accountKey: string): Buffer => {
  const name = Buffer.from(createHash('sha256').update(accountKey).digest().subarray(0, CHUNK_NAME_BYTES))
  name[0] = RESTORED
  return name
}
