/**
 * The port under the rooms' stores: ordered rows of bytes, on LMDB and on Redis. A room writes its store once, over this.
 *
 * **Where a row is.** A *table* is a kind of rows (`./table.ts`). A *partition* is a name; rows of one partition change
 * together. A *subject* divides a table within its partition into sets, so that a set stays small (one subscription, not
 * all of a partition). A row has a *key* in its set. On LMDB a table is a database and the rest is the key; on Redis the
 * partition is the hash tag and a set is one key, or two.
 *
 * **What is atomic.** One batch: all its checks hold at one moment and all its writes are done then, or nothing is.
 * Batches of one call are independent of each other, and so are rows of different partitions.
 *
 * **When.** A promise resolves when the engine has what it promises: LMDB has it on the disk, Redis has answered. `read`
 * sees every commit that has resolved in this process before it was called. A range is as of one moment; two reads of one
 * call need not be.
 *
 * **What may be lost.** Wake-ups (`publish`). A commit that was refused with `unavailable` may still have been done on
 * Redis, or be done later: whoever commits again must bear it.
 *
 * **Ends.** A row of a table with `ends` may go at any time after its `expiresAt`, not before, and perhaps much later:
 * readers look at the time themselves. Times are unix ms and come from the caller.
 *
 * **No counters.** A number that the engine adds up by itself has no checksum, so it could go wrong unseen. What is counted is
 * a set that is counted, or a row that is read, and written with the check that it is the same still.
 *
 * **Sizes.** Names of partitions and subjects: 1 to 1,024 bytes without a zero byte, a subject may be empty; partition,
 * subject and key together at most 1,900 bytes. Keys and values are bytes; keys are compared as bytes. A value is at most
 * 16 MiB, a batch about as much.
 *
 * **Costs.** A check or write is one look-up of the engine; on Redis all batches that are asked for in one turn leave as
 * one script call for each partition, or for all where one call may touch several slots. `count` is cheap on Redis and
 * costs what it counts on LMDB.
 *
 * **Errors.** `ProtocolError` `unavailable`: the engine cannot serve now. `Error`: a defect of the caller; nothing of its
 * call was done, and no other call is concerned.
 */

import type { KeyedLock } from '../platform/concurrency/keyed-lock.ts'

/**
 * What the rows of a table are, which decides what Redis keeps for them.
 *
 * - `cell`: a set is one row, whose key is empty.
 * - `map`: rows are found by their key alone; no ranges.
 * - `ordered`: rows are in the order of their keys.
 * - `index`: as `ordered`, without values.
 * - `queue`: leased work (`take`); a row has an instant when it is due.
 * - `line`: as `queue`, but a row is found by its place alone, which is a row less: the room knows where it is. Its key is 8
 *   bytes, of which the last one says how many things the row stands for. It is one set in each partition, without an end.
 */
export type Shape = 'cell' | 'map' | 'ordered' | 'index' | 'queue' | 'line'

export interface Table {
  /** `room.rows`: unique, and never changed, because it says where the rows are. */
  readonly name: string
  readonly shape: Shape
  /** Every row has an end; without this none has one. */
  readonly ends: boolean
  /** Rows end with the last process: an engine with one process keeps them in its memory. */
  readonly isVolatile: boolean
}

/** Names a set of rows. */
export interface SetName {
  readonly table: Table
  readonly partition: string
  readonly subject: string
}

/** From a key on, and up to another one, which is not in it. */
export interface Range {
  readonly from?: Buffer
  readonly to?: Buffer
}

/** A row of a line: when it was due at first, and its key, say where it is; the value belongs to its name on Redis. */
export interface LineRow {
  readonly at: number
  readonly key: Buffer
  readonly value: Buffer
}

/** Until when a row of a line is taken by nobody else: because somebody has it, or because it was returned until then. */
export interface Lease {
  readonly until: number
  readonly isReturned: boolean
}

export type ReadRequest =
  /** Of a queue the key is the id, and it does not matter who has the row. */
  | { readonly kind: 'get'; readonly set: SetName; readonly key: Buffer }
  | {
      readonly kind: 'range'
      readonly set: SetName
      readonly range: Range
      readonly limit: number
      readonly isReverse: boolean
    }
  | { readonly kind: 'count'; readonly set: SetName; readonly range: Range }
  /** Of a line: whether the row is there, and nobody has it at `now`. */
  | { readonly kind: 'lease'; readonly set: SetName; readonly row: LineRow; readonly now: number }

/** A row as it is kept. `index`: the value is empty. */
export interface RawRow {
  readonly key: Buffer
  readonly value: Buffer
}

/** One kind of request has one kind of answer. */
export type ReadAnswer =
  | { readonly kind: 'get'; readonly value: Buffer | undefined }
  | { readonly kind: 'range'; readonly rows: RawRow[] }
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'lease'; readonly isFree: boolean }

/** What must hold for a batch to be done. */
export type Check =
  | { readonly kind: 'absent' | 'present'; readonly set: SetName; readonly key: Buffer }
  /** The row has exactly this value. */
  | { readonly kind: 'is'; readonly set: SetName; readonly key: Buffer; readonly value: Buffer }
  /** Of a line: the row is there, and nobody has it at `now`. Of verbs alone. */
  | { readonly kind: 'free'; readonly set: SetName; readonly row: LineRow; readonly now: number }

/** What a batch does. Each has a result in the outcome: a number, stated here. */
export type Write =
  /** 1. */
  | {
      readonly kind: 'put'
      readonly set: SetName
      readonly key: Buffer
      readonly value: Buffer
      readonly expiresAt?: number
      /** It is there, with this end: then nothing is looked up. */
      readonly keepsEnd?: boolean
    }
  /** 1 if the row was not there, 0 if it was, and stays. */
  | {
      readonly kind: 'create'
      readonly set: SetName
      readonly key: Buffer
      readonly value: Buffer
      readonly expiresAt?: number
    }
  /** 1 if the row was there. Of a queue: the key is the id. */
  | { readonly kind: 'remove'; readonly set: SetName; readonly key: Buffer }
  /** 1 if the set had rows. */
  | { readonly kind: 'clear'; readonly set: SetName }
  /** 1 if there is none with this id; one that is there stays as it is. */
  | {
      readonly kind: 'enqueue'
      readonly set: SetName
      readonly id: Buffer
      readonly at: number
      readonly value: Buffer
      readonly expiresAt?: number
    }
  /** When it is due, whoever has it; with another value. 1 if it was there. */
  | {
      readonly kind: 'delay'
      readonly set: SetName
      readonly id: Buffer
      readonly at: number
      readonly value?: Buffer
    }
  /** What follows is of lines, and of verbs alone. 1. */
  | LineWrite

export type LineWrite =
  /** A new row; with a lease it is as if it had been taken, or returned. */
  | { readonly kind: 'append'; readonly set: SetName; readonly row: LineRow; readonly lease?: Lease }
  | { readonly kind: 'drop'; readonly set: SetName; readonly row: LineRow }
  /** Another row in its place, with its lease; nothing where it is not there. */
  | { readonly kind: 'replace'; readonly set: SetName; readonly row: LineRow; readonly next: LineRow }

export interface Batch {
  readonly partition: string
  readonly checks?: readonly Check[]
  readonly writes: readonly Write[]
  /**
   * A connection that breaks off before the answer sends its calls again; this one is answered then as it was the first
   * time. For batches whose second try would find their own effect.
   */
  readonly isOnce?: boolean
  /** Frees more than it adds, so a Redis that is full does it all the same. A batch that only removes or delays is one. */
  readonly isRelief?: boolean
}

export type Outcome =
  | { readonly isDone: true; readonly results: readonly number[] }
  /** The check that did not hold, by its place, and the value that was found in place of `is` and `absent`. */
  | { readonly isDone: false; readonly failed: number; readonly found: Buffer | undefined }

export interface Taken {
  readonly partition: string
  readonly id: Buffer
  readonly value: Buffer
}

/** A row of a line; `at` is known to the engine that needs it. */
export interface TakenPlace extends LineRow {
  readonly partition: string
}

/** A row of a line that somebody has. */
export interface HeldPlace {
  readonly set: SetName
  readonly row: LineRow
  readonly heldUntil: number
}

/**
 * What a verb does in one partition: it yields what it wants to know, which it may do several times, and returns what it
 * writes. It may run again from the beginning, so it keeps nothing outside itself. All that it read by `get` in its partition
 * holds at the moment of its writes; of a range its rows hold, others may have come.
 */
export type Verb<T> = Generator<readonly ReadRequest[], VerbResult<T>, readonly ReadAnswer[]>
export interface VerbResult<T> {
  readonly answer: T
  readonly writes: readonly Write[]
  /**
   * Rows of any partitions that are written before. They may be there although the writes are not: each is a hint that
   * whoever reads it compares with what the writes say.
   */
  readonly hints?: readonly Write[]
  /** As of a batch. */
  readonly isRelief?: boolean
}
export interface PlacedVerb<T> {
  readonly partition: string
  readonly verb: () => Verb<T>
}

/** A row with its place, for backups and migrations. */
export interface PlacedRow extends RawRow {
  readonly set: SetName
  /** Of a queue: when it is due. */
  readonly at?: number
}

/** `cursor`: where `after` goes on behind this page; undefined where one begins anew. */
export interface RowPage {
  readonly rows: readonly PlacedRow[]
  readonly cursor: string | undefined
}

export interface RowSource {
  /** Of a snapshot: as of its moment. */
  read(requests: readonly ReadRequest[]): Promise<ReadAnswer[]>
  /**
   * All rows of a table, expired ones too; on Redis in no order, and one may come twice. A row that is there all the time and
   * does not change comes; one of an ordered set that is written anew meanwhile may be missed on Redis. `partitions`: all that
   * the table has rows in, where they are known, so that Redis need not look for them.
   */
  rows(table: Table, after?: string, partitions?: readonly string[]): AsyncIterable<RowPage>
  /** About how many there are; undefined where the engine would have to count. */
  size(table: Table): Promise<number | undefined>
}

export interface Kv extends RowSource {
  /** `now`: from it follows how long the rows are kept. */
  commit(batches: readonly Batch[], now: number): Promise<Outcome[]>
  /**
   * Runs verbs, each of them whole or not at all, independent of each other; the answers are in their order. LMDB runs all of
   * a call in one transaction. Redis reads for all of them together, and commits them together with checks that follow from
   * what they read; one that somebody else was faster than runs again.
   */
  run<T>(verbs: readonly PlacedVerb<T>[], now: number): Promise<T[]>
  /**
   * As `take`, of a line. What comes back is taken first. `limit` is of things: a row that stands for more than is left is not
   * taken, unless it is the first one of its partition.
   */
  takePlaces(
    line: { table: Table; partitions: readonly string[] },
    lease: { limit: number; now: number; until: number },
  ): Promise<TakenPlace[]>
  /** Ends leases that last until `heldUntil`: the rows are free from `at` on. Nothing becomes of a row with another lease. */
  releasePlaces(rows: readonly HeldPlace[], at: number): Promise<void>
  /** How many things the rows of a line stand for, taken ones included. */
  weigh(line: { table: Table; partitions: readonly string[] }): Promise<number>
  /**
   * Leases rows of a queue that are due at `now`, the longest due first, in any of the partitions; they are due again at
   * `until`. Of several that take at once each gets others.
   */
  take(
    queue: { table: Table; partitions: readonly string[]; subject?: string },
    lease: { limit: number; now: number; until: number },
  ): Promise<Taken[]>
  /**
   * Runs what changes a partition one after the other in this process: for callers that met there, who would chase each
   * other.
   */
  readonly inTurn: KeyedLock
  /** Removes about `limit` rows that have expired, where the engine does not do it by itself; answers how many. */
  sweep(now: number, limit: number): Promise<number>
  /** Wakes listeners of the channel, in this process at once, in others soon. */
  publish(channel: string, texts: readonly string[]): void
  listen(channels: readonly string[], listener: (text: string, channel: string) => void): Disposable
}
