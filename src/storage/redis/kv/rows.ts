/** Where rows of the port lie in Redis: keys (the table of them is in `./engine.ts`). */
import { name, number } from '../../bytes.ts'
import type { SetName, Table } from '../../kv.ts'

const MAX_KEY_BYTES = 1_900
/** A text of so many characters has no more bytes than a name may have. */
const SHORT_NAME = 340

export const NONE = Buffer.alloc(0)
/** Stands before the value of a row of a queue that has no end. */
export const NO_END = number(0)

/** Throws for what is no name. */
const checked = (text: string): string => {
  if (text.length > SHORT_NAME || text.includes('\0')) name(text)
  return text
}

/** Braces would end the hash tag early. */
export const tagOf = (partition: string): string =>
  /[%{}]/.test(partition) ? partition.replace(/[%{}]/g, (sign) => `%${sign.charCodeAt(0)}`) : partition
export const partitionOf = (tag: string): string =>
  tag.replace(/%(\d+)/g, (_, code) => String.fromCharCode(Number(code)))

/** What the keys of a partition begin with. */
export const homeOf = (prefix: string, partition: string): string => `${prefix}{${tagOf(partition)}}`

const keyIn = (home: string, { table, subject }: SetName, infix = ''): string =>
  `${home}${table.name}${infix}:${checked(subject)}`

export const keyOf = (prefix: string, set: SetName): string => keyIn(homeOf(prefix, set.partition), set)

/** Keys of a set, as scripts take them; `home`: of its partition. */
export const keysIn = (home: string, set: SetName): string[] =>
  set.table.shape === 'queue' ? [keyIn(home, set), keyIn(home, set, '.o')] : [keyIn(home, set)]

export const keysOf = (prefix: string, set: SetName): string[] => keysIn(homeOf(prefix, set.partition), set)

/**
 * A key in the members of an ordered set: what stands behind it must not change the order, so a zero byte becomes two, and
 * the end of the key is less than both. `<key> 0 1 <value>` is a member.
 */
export const ZERO_MARK = 0xff
export const KEY_END = Buffer.from([0, 1])
export const escapedLength = (key: Buffer): number => {
  let length = key.length
  for (let at = 0; at < key.length; at++) if (key[at] === 0) length += 1
  return length
}
export const escapedKey = (key: Buffer): Buffer => {
  const length = escapedLength(key)
  if (length === key.length) return key
  const escaped = Buffer.allocUnsafe(length)
  let end = 0
  for (let at = 0; at < key.length; at++) {
    const byte = key[at] ?? 0
    escaped[end++] = byte
    if (byte === 0) escaped[end++] = ZERO_MARK
  }
  return escaped
}

/** The row of a member of an ordered set. One without the end of its key has no value, which no codec takes. */
export const rowOfMember = (member: Buffer): { key: Buffer; value: Buffer } => {
  let zeros = 0
  let end = member.indexOf(0)
  for (; end >= 0 && member[end + 1] !== KEY_END[1]; end = member.indexOf(0, end + 2)) zeros += 1
  if (end < 0) return { key: member, value: NONE }
  const value = member.subarray(end + KEY_END.length)
  if (zeros === 0) return { key: member.subarray(0, end), value }
  const key = Buffer.allocUnsafe(end - zeros)
  for (let at = 0, from = 0; at < key.length; at++, from++) {
    const byte = member[from] ?? 0
    key[at] = byte
    if (byte === 0) from += 1
  }
  return { key, value }
}

/** Throws where no engine could keep the row. */
export const checkKey = ({ table, partition, subject }: SetName, key: Buffer) => {
  if (partition.length + subject.length + key.length > MAX_KEY_BYTES)
    throw new Error(`A key of the table ${table.name} is too long`)
}

export const valueIn = ({ shape }: Table, value: Buffer | null): Buffer | undefined => {
  if (value === null) return undefined
  return shape === 'queue' ? value.subarray(NO_END.length) : value
}
