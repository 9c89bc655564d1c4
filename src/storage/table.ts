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
import { crc32 } from 'node:zlib'
import type { z } from 'zod'
import { ProtocolError } from '../protocol/errors.ts'
import type {
  Batch,
  Check,
  Kv,
  PlacedRow,
  Range,
  ReadAnswer,
  ReadRequest,
  SetName,
  Shape,
  Table,
  Write,
} from './kv.ts'

/** A row that cannot be what was written. */
export class DamagedRow extends Error {
  constructor(table: Table, reason: string) {
    super(`A row of the table ${table.name} is damaged: ${reason}`)
    this.name = 'DamagedRow'
  }
}

export interface Codec<V> {
  encode(value: V): Buffer
  /** Throws for bytes that are no such value. */
  decode(bytes: Buffer): V
}

/** What the schema takes, as JSON. Rows of an older shape are read by a schema that transforms them. */
export const json = <S extends z.ZodType>(schema: S): Codec<z.output<S>> => ({
  encode: (value) => Buffer.from(JSON.stringify(value)),
  decode: (bytes) => schema.parse(JSON.parse(bytes.toString())),
})

/** Bytes as they are. */
export const raw: Codec<Buffer> = { encode: (value) => value, decode: (bytes) => bytes }

export const text: Codec<string> = {
  encode: (value) => Buffer.from(value),
  decode: (bytes) => bytes.toString(),
}

/** An instant, or another number that is not negative. */
export const float: Codec<number> = {
  encode(value) {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeDoubleBE(value)
    return bytes
  },
  decode(bytes) {
    if (bytes.length !== 8) throw new Error('not 8 bytes')
    return bytes.readDoubleBE()
  },
}

const VERSION = 1
/** Version and checksum. */
export const HEAD_BYTES = 5

const NO_KEY = Buffer.alloc(0)
const NO_VALUE = Buffer.alloc(0)

const checksumOf = ({ table, partition, subject }: SetName, key: Buffer, content: Buffer): number =>
  crc32(content, crc32(key, crc32(`${table.name}\0${partition}\0${subject}\0`)))

const sealed = (set: SetName, key: Buffer, content: Buffer): Buffer => {
  const value = Buffer.allocUnsafe(HEAD_BYTES + content.length)
  value[0] = VERSION
  value.writeUInt32BE(checksumOf(set, key, content), 1)
  content.copy(value, HEAD_BYTES)
  return value
}

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
  kv: Pick<Kv, 'read'>,
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

/** A set of rows of one table, with its typed values: what can be asked of it and done to it. */
export interface TableSet<V> {
  readonly name: SetName
  get(key?: Buffer): Read<Found<V>>
  /** At most `limit` rows in the order of their keys, or backwards from the end. */
  range(page: Range & { limit: number; isReverse?: boolean }): Read<Row<V>[]>
  /** The keys alone. */
  keys(page: Range & { limit: number; isReverse?: boolean }): Read<Buffer[]>
  count(range?: Range): Read<number>
  isAbsent(key?: Buffer): Check
  isPresent(key?: Buffer): Check
  hasFewerThan(count: number): Check
  /** Of a queue: nobody has the row at that time. */
  isDue(key: Buffer, at: number): Check
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

const opened = <V>(codec: Codec<V>, set: SetName, key: Buffer, value: Buffer): V => {
  if (set.table.shape === 'index') return codec.decode(NO_VALUE)
  if (value.length < HEAD_BYTES) throw new DamagedRow(set.table, 'it is too short')
  if (value[0] !== VERSION) throw new DamagedRow(set.table, `it has the version ${value[0]}`)
  const content = value.subarray(HEAD_BYTES)
  if (value.readUInt32BE(1) !== checksumOf(set, key, content))
    throw new DamagedRow(set.table, 'its checksum is another one')
  try {
    return codec.decode(content)
  } catch (error) {
    throw new DamagedRow(set.table, error instanceof Error ? error.message : String(error))
  }
}

const setOf = <V>(name: SetName, codec: Codec<V>): TableSet<V> => {
  const seal = (key: Buffer, value: V) =>
    name.table.shape === 'index' ? NO_VALUE : sealed(name, key, codec.encode(value))
  const rowOf = (key: Buffer, value: Buffer): Row<V> => ({
    key,
    value: opened(codec, name, key, value),
    isUnchanged: { kind: 'is', set: name, key, value },
  })
  const placed = ({ key = NO_KEY, value, expiresAt }: Placed<V>) => ({
    set: name,
    key,
    value: seal(key, value),
    ...(expiresAt !== undefined && { expiresAt }),
  })
  const rangeOf = ({ from, to, limit, isReverse = false }: Range & { limit: number; isReverse?: boolean }) =>
    ({
      kind: 'range',
      set: name,
      range: { ...(from && { from }), ...(to && { to }) },
      limit,
      isReverse,
    }) as const
  return {
    name,
    get: (key = NO_KEY) => ({
      request: { kind: 'get', set: name, key },
      decode(answer) {
        const { value } = answerOf(answer, 'get')
        return value ? rowOf(key, value) : { value, isUnchanged: { kind: 'absent', set: name, key } }
      },
    }),
    range: (page) => ({
      request: rangeOf(page),
      decode: (answer) => answerOf(answer, 'range').rows.map(({ key, value }) => rowOf(key, value)),
    }),
    keys: (page) => ({
      request: rangeOf(page),
      decode: (answer) => answerOf(answer, 'range').rows.map(({ key }) => key),
    }),
    count: (range = {}) => ({
      request: { kind: 'count', set: name, range },
      decode: (answer) => answerOf(answer, 'count').count,
    }),
    isAbsent: (key = NO_KEY) => ({ kind: 'absent', set: name, key }),
    isPresent: (key = NO_KEY) => ({ kind: 'present', set: name, key }),
    hasFewerThan: (count) => ({ kind: 'below', set: name, count }),
    isDue: (key, at) => ({ kind: 'due', set: name, key, at }),
    put: (row) => ({ kind: 'put', ...placed(row) }),
    create: (row) => ({ kind: 'create', ...placed(row) }),
    remove: (key = NO_KEY) => ({ kind: 'remove', set: name, key }),
    clear: () => ({ kind: 'clear', set: name }),
    enqueue({ at, ...row }) {
      const { key: id, ...rest } = placed(row)
      return { kind: 'enqueue', id, at, ...rest }
    },
    delay: (id, at, value) => ({
      ...{ kind: 'delay', set: name, id, at },
      ...(value !== undefined && { value: seal(id, value) }),
    }),
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
    in: (partition, subject = '') => setOf({ table, partition, subject }, codec),
    valueOf: ({ set, key, value }) => opened(codec, set, key, value),
  }
}

/** An index has keys alone. */
export const NOTHING: Codec<undefined> = { encode: () => NO_VALUE, decode: () => undefined }

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
 * The batch must check all that the decision depends on. Throws `unavailable` for a row that others change all the time.
 */
export const transact = async <T>(
  kv: Pick<Kv, 'commit'>,
  now: number,
  attempt: () => Promise<Attempt<T>>,
): Promise<T> => {
  for (let nth = 0; nth < MAX_ATTEMPTS; nth++) {
    const { answer, batch } = await attempt()
    if (!batch) return answer
    const [outcome] = await kv.commit([{ isOnce: true, ...batch }], now)
    if (outcome?.isDone) return answer
  }
  throw new ProtocolError('unavailable', 'too many changes at once')
}
