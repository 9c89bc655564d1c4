/** Collapse keys: the newest copy with one takes the place of the last one that its subscriber does not have yet. */
import { createHash } from 'node:crypto'
import type { Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { STATES } from '../packed/chunks.ts'
import { FLAGS } from '../packed/heads.ts'
import { packId } from '../packed/ids.ts'
import { receiptPlaceOf } from '../packed/line-rows.ts'
import { REPLACED } from '../receipts.ts'
import type { Steps } from './deps.ts'
import { type OpenChunk, type OpenHistory, openChunks } from './open-rows.ts'
import { LAST_OF_KEY, type LastOfKey } from './tables.ts'

const DIGEST_BYTES = 16
/** Any text may be a key. */
export const collapseDigest = (collapseKey: string): Buffer =>
  createHash('sha256').update(collapseKey).digest().subarray(0, DIGEST_BYTES)

/** What is collapsed in one verb. */
export class Collapse {
  readonly #partition: string
  readonly #digest: Buffer
  readonly #last: Map<string, LastOfKey | undefined>
  readonly #chunks: Map<string, OpenChunk>
  readonly #next = new Map<string, LastOfKey>()

  constructor(
    partition: string,
    digest: Buffer,
    last: Map<string, LastOfKey | undefined>,
    chunks: Map<string, OpenChunk>,
  ) {
    this.#partition = partition
    this.#digest = digest
    this.#last = last
    this.#chunks = chunks
  }

  /** Withdraws the last copy with the key, where the wallet does not have it. */
  replace(subscriptionId: string, history: OpenHistory, at: number): void {
    const last = this.#next.get(subscriptionId) ?? this.#last.get(subscriptionId)
    if (!last) return
    const id = packId(last.copyId)
    const copy = history.find(id)
    if (!copy || copy.isRead || copy.isWithdrawn) return
    const chunk = this.#chunks.get(copy.receipt)
    const receipt = chunk?.find(id)
    if (!chunk || !receipt || (receipt.state !== STATES.queued && receipt.state !== STATES.published)) return
    chunk.fail(receipt.at, at, REPLACED)
    history.flag(id, FLAGS.withdrawn)
  }

  note(subscriptionId: string, copyId: string, reference: Buffer, chunk: Buffer): void {
    this.#next.set(subscriptionId, { copyId, receipt: receiptPlaceOf(reference, chunk) })
  }

  writes(expiresAt: number): Write[] {
    const writes: Write[] = []
    for (const [subscriptionId, value] of this.#next)
      writes.push(
        LAST_OF_KEY.in(this.#partition, subscriptionId).put({ key: this.#digest, value, expiresAt }),
      )
    for (const chunk of this.#chunks.values()) writes.push(...chunk.writes(this.#partition))
    return writes
  }
}

export function* lastOfKey(
  partition: string,
  digest: Buffer,
  subscriptionIds: readonly string[],
): Steps<Map<string, LastOfKey | undefined>> {
  const found = yield* ask(subscriptionIds.map((id) => LAST_OF_KEY.in(partition, id).get(digest)))
  return new Map(subscriptionIds.map((id, nth) => [id, found[nth]?.value]))
}

export function* openCollapse(
  partition: string,
  digest: Buffer,
  last: Map<string, LastOfKey | undefined>,
): Steps<Collapse> {
  const places = [...last.values()].flatMap((one) => (one ? [one.receipt] : []))
  return new Collapse(partition, digest, last, yield* openChunks(partition, places))
}
