/**
 * Tables as rooms use them: typed values over the bytes of `./kv.ts`, and checked reads.
 *
 *     const grants = defineTable({ name: 'contacts.grants', shape: 'cell', codec: json(schema), ends: true })
 *     const grant = grants.in(partition)
 *     const [{ value, isUnchanged }] = await read(kv, [grant.get()])
 *     await kv.commit([{ partition, checks: [isUnchanged], writes: [grant.put({ value: next, expiresAt })] }], now)
 *
 * A kept value begins with a version and a checksum over its place and its content, so a bit that turned on the disk, or a
 * row that stands in another's place, is found when it is read and never served: `DamagedRow` names the table.
 */
import { ProtocolError } from '../protocol/errors.ts'
import { checksum, textChecksum } from './checksum.ts'
import type { Codec } from './codec.ts'
import { DamagedRow } from './damaged-row.ts'
import type {
  Batch,
  Check,
  Kv,
  PlacedRow,
  Range,
  ReadAnswer,
  ReadRequest,
  RowSource,
  SetName,
  Shape,
  Table,
  Write,
} from './kv.ts'

const VERSION = 1
/** Version and checksum. */
const HEAD_BYTES = 5

const NO_KEY = Buffer.alloc(0)
const NO_VALUE = Buffer.alloc(0)

/** What the checksums of a set begin with. */
const setChecksum = ({ table, partition, subject }: SetName): number =>
  textChecksum(`${table.name}\0${partition}\0${subject}\0`)

/** A row that was read, and the check that nobody has changed it since. */
export interface Row<V> {
  readonly value: V
  readonly key: Buffer
  readonly isUnchanged: Check
}

/** What was found where a row may be, and the check that it is so still. */
export interface Found<V> {
  readonly value: V | undefined
  readonly isUnchanged: Check
}

/** What was asked for, and how its answer is read. */
export interface Read<T> {
  readonly request: ReadRequest
  decode(answer: ReadAnswer): T
}

/** What is asked for, as something else. */
export const mapped = <T, U>(asked: Read<T>, map: (found: T) => U): Read<U> => ({
  request: asked.request,
  decode: (answer) => map(asked.decode(answer)),
})

type Answers<R extends readonly Read<unknown>[]> = { [I in keyof R]: R[I] extends Read<infer T> ? T : never }

/** Reads together; the answers are in the order of the questions. */
export const read = async <const R extends readonly Read<unknown>[]>(
  kv: Pick<RowSource, 'read'>,
  reads: R,
): Promise<Answers<R>> => {
  const answers = await kv.read(reads.map(({ request }) => request))
  const decoded: unknown = reads.map(({ decode }, at) => {
    const answer = answers[at]
    if (!answer) throw new Error('The engine answered fewer questions than were asked')
    return decode(answer)
  })
  return decoded as Answers<R>
}

interface RangePage extends Range {
  limit: number
  /** From the end on. */
  isReverse?: boolean
}

/** A set of rows of one table, with its typed values: what can be asked of it and done to it. */
export interface TableSet<V> {
  readonly name: SetName
  get(key?: Buffer): Read<Found<V>>
  /** At most `limit` rows in the order of their keys, or backwards from the end. */
  range(page: RangePage): Read<Row<V>[]>
  /** The keys alone. */
  keys(page: RangePage): Read<Buffer[]>
  count(range?: Range): Read<number>
  isAbsent(key?: Buffer): Check
  isPresent(key?: Buffer): Check
  /** The row has this value. */
  is(key: Buffer, value: V): Check
  put(row: Placed<V>): Write
  create(row: Placed<V>): Write
  remove(key?: Buffer): Write
  clear(): Write
  enqueue(row: Placed<V> & { at: number }): Write
  delay(key: Buffer, at: number, value?: V): Write
}

/** `key`: of a cell it is left out. `expiresAt`: exactly for tables with `ends`. An index has no value. */
interface Placed<V> {
  key?: Buffer
  value: V
  expiresAt?: number
}

export interface TypedTable<V> {
  readonly table: Table
  in(partition: string, subject?: string): TableSet<V>
  /** A row that `Kv.rows` or `Kv.take` gave. Throws `DamagedRow`. */
  valueOf(row: Pick<PlacedRow, 'set' | 'key' | 'value'>): V
}

const answerOf = <K extends ReadAnswer['kind']>(
  answer: ReadAnswer,
  kind: K,
): Extract<ReadAnswer, { kind: K }> => {
  if (answer.kind !== kind) throw new Error(`The engine answered ${answer.kind} where ${kind} was asked`)
  return answer as Extract<ReadAnswer, { kind: K }>
}

const opened = <V>(
  { table, codec, ofSet }: { table: Table; codec: Codec<V>; ofSet: () => number },
  key: Buffer,
  value: Buffer,
): V => {
  if (table.shape === 'index') return codec.decode(NO_VALUE)
  if (value.length < HEAD_BYTES) throw new DamagedRow(table.name, 'it is too short')
  if (value[0] !== VERSION) throw new DamagedRow(table.name, `it has the version ${value[0]}`)
  const content = value.subarray(HEAD_BYTES)
  if (value.readUInt32BE(1) !== checksum(content, checksum(key, ofSet())))
    throw new DamagedRow(table.name, 'its checksum is another one')
  try {
    return codec.decode(content)
  } catch (error) {
    throw new DamagedRow(table.name, error instanceof Error ? error.message : String(error))
  }
}

/** A class, because one is made for every set that is touched: its methods are made once. */
class RowSet<V> implements TableSet<V> {
  readonly name: SetName
  readonly #codec: Codec<V>
  #checksum: number | undefined

  constructor(name: SetName, codec: Codec<V>) {
    this.name = name
    this.#codec = codec
  }

  #ofSet(): number {
    this.#checksum ??= setChecksum(this.name)
    return this.#checksum
  }

  #seal(key: Buffer, value: V): Buffer {
    if (this.name.table.shape === 'index') return NO_VALUE
    const bytes = this.#codec.encodeBehind(HEAD_BYTES, value)
    bytes[0] = VERSION
    bytes.writeUInt32BE(checksum(bytes, checksum(key, this.#ofSet()), HEAD_BYTES), 1)
    return bytes
  }

  #row(key: Buffer, value: Buffer): Row<V> {
    const isUnchanged: Check = { kind: 'is', set: this.name, key, value }
    const { table } = this.name
    const opening = { table, codec: this.#codec, ofSet: () => this.#ofSet() }
    return { key, value: opened(opening, key, value), isUnchanged }
  }

  #range({ from, to, limit, isReverse = false }: RangePage): ReadRequest {
    const range = { ...(from && { from }), ...(to && { to }) }
    return { kind: 'range', set: this.name, range, limit, isReverse }
  }

  get(key = NO_KEY): Read<Found<V>> {
    return {
      request: { kind: 'get', set: this.name, key },
      decode: (answer) => {
        const { value } = answerOf(answer, 'get')
        return value ? this.#row(key, value) : { value, isUnchanged: this.isAbsent(key) }
      },
    }
  }

  range(page: RangePage): Read<Row<V>[]> {
    return {
      request: this.#range(page),
      decode: (answer) => answerOf(answer, 'range').rows.map(({ key, value }) => this.#row(key, value)),
    }
  }

  keys(page: RangePage): Read<Buffer[]> {
    return {
      request: this.#range(page),
      decode: (answer) => answerOf(answer, 'range').rows.map(({ key }) => key),
    }
  }

  count(range: Range = {}): Read<number> {
    return {
      request: { kind: 'count', set: this.name, range },
      decode: (answer) => answerOf(answer, 'count').count,
    }
  }

  isAbsent(key = NO_KEY): Check {
    return { kind: 'absent', set: this.name, key }
  }

  isPresent(key = NO_KEY): Check {
    return { kind: 'present', set: this.name, key }
  }

  is(key: Buffer, value: V): Check {
    return { kind: 'is', set: this.name, key, value: this.#seal(key, value) }
  }

  put({ key = NO_KEY, value, expiresAt }: Placed<V>): Write {
    const row = { kind: 'put' as const, set: this.name, key, value: this.#seal(key, value) }
    return expiresAt === undefined ? row : { ...row, expiresAt }
  }

  create({ key = NO_KEY, value, expiresAt }: Placed<V>): Write {
    const row = { kind: 'create' as const, set: this.name, key, value: this.#seal(key, value) }
    return expiresAt === undefined ? row : { ...row, expiresAt }
  }

  remove(key = NO_KEY): Write {
    return { kind: 'remove', set: this.name, key }
  }

  clear(): Write {
    return { kind: 'clear', set: this.name }
  }

  enqueue({ at, key: id = NO_KEY, value, expiresAt }: Placed<V> & { at: number }): Write {
    const row = { kind: 'enqueue' as const, set: this.name, id, at, value: this.#seal(id, value) }
    return expiresAt === undefined ? row : { ...row, expiresAt }
  }

  delay(id: Buffer, at: number, value?: V): Write {
    const changed = value !== undefined && { value: this.#seal(id, value) }
    return { kind: 'delay', set: this.name, id, at, ...changed }
  }
}

/** Describes a table; what it holds is made with `in`. Options: see `Table` of `./kv.ts`. */
export const defineTable = <V>({
  codec,
  ...spec
}: {
  name: string
  shape: Shape
  codec: Codec<V>
  ends?: boolean
  isVolatile?: boolean
}): TypedTable<V> => {
  const table: Table = { ends: false, isVolatile: false, ...spec }
  return {
    table,
    in: (partition, subject = '') => new RowSet({ table, partition, subject }, codec),
    valueOf: ({ set, key, value }) => opened({ table, codec, ofSet: () => setChecksum(set) }, key, value),
  }
}

/** What one attempt found: the answer for the caller, and the batch that makes it true, where something changes. */
interface Attempt<T> {
  answer: T
  /** Sent again it is answered as the first time, unless it says otherwise (`isOnce`). */
  batch?: Batch
}

/** Attempts at one change. Of those that meet at one row one succeeds each time, so this many others were faster. */
const MAX_ATTEMPTS = 1_000

/**
 * Reads, decides and commits, again from the beginning when a check of the batch did not hold: somebody else was faster.
 * Whoever was too late goes on in turn with those of this process that were, so a crowd at one row tries about twice each.
 * The batch must check all that the decision depends on. Throws `unavailable` for a row that others change all the time.
 */
export const transact = async <T>(
  kv: Pick<Kv, 'commit' | 'inTurn'>,
  now: number,
  attempt: () => Promise<Attempt<T>>,
): Promise<T> => {
  /** Answers the partition in which somebody else was faster. */
  const tryOnce = async (): Promise<{ answer: T } | { metIn: string }> => {
    const { answer, batch } = await attempt()
    if (!batch) return { answer }
    const [outcome] = await kv.commit([{ isOnce: true, ...batch }], now)
    return outcome?.isDone ? { answer } : { metIn: batch.partition }
  }
  const first = await tryOnce()
  if ('answer' in first) return first.answer
  return kv.inTurn(first.metIn, async () => {
    for (let nth = 1; nth < MAX_ATTEMPTS; nth++) {
      const next = await tryOnce()
      if ('answer' in next) return next.answer
    }
    throw new ProtocolError('unavailable', 'too many changes at once')
  })
}
