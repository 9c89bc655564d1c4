/** Receipts of a notification, in all of its chunks of one partition. */
import type { Kv } from '../../../storage/kv.ts'
import { read } from '../../../storage/table.ts'
import { type ReceiptFacts, receiptsIn, sentAtOf } from '../packed/chunks.ts'
import { NO_ID } from '../packed/ids.ts'
import { chunksOf } from './tables.ts'

/** More than a notification has in one partition. */
export const MAX_CHUNKS = 1_000_000
/** Chunks that are read together: others want to run, too. */
const CHUNK_PAGE = 500

/** Whether there is a copy: an account that was refused has none. */
export const hasCopy = ({ copyId }: Pick<ReceiptFacts, 'copyId'>): boolean => !copyId.equals(NO_ID)

/** Chunks of the notification that was sent then, not of another one that had its id. */
export async function* chunkPages(
  kv: Pick<Kv, 'read'>,
  partition: string,
  reference: Buffer,
  sentAt: number,
): AsyncGenerator<{ key: Buffer; value: Buffer }[]> {
  const set = chunksOf(partition, reference)
  for (let from: Buffer | undefined; ; ) {
    const [rows] = await read(kv, [set.range({ ...(from && { from }), limit: CHUNK_PAGE })])
    yield rows.filter(({ value }) => sentAtOf(value) === sentAt)
    const last = rows.at(-1)
    if (!last || rows.length < CHUNK_PAGE) return
    from = Buffer.concat([last.key, Buffer.from([0])])
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Adds the receipts of a chunk that is later than those before: of each account the last one counts, and one with a copy first. */
export const addReceipts = (into: Map<string, ReceiptFacts>, chunk: Buffer): void => {
  for (const receipt of receiptsIn(chunk)) {
    const former = into.get(receipt.accountKey)
    if (!former || hasCopy(receipt) || !hasCopy(former)) into.set(receipt.accountKey, receipt)
  }
}

/** The receipts of each account that count. */
export const receiptsOf = async (
  kv: Pick<Kv, 'read'>,
  partition: string,
  reference: Buffer,
  sentAt: number,
): Promise<Map<string, ReceiptFacts>> => {
  const found = new Map<string, ReceiptFacts>()
  for await (const rows of chunkPages(kv, partition, reference, sentAt))
    for (const { value } of rows) addReceipts(found, value)
  return found
}
