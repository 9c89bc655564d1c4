/** Where rows of the port lie in Redis: keys (the table of them is in `./engine.ts`). */
import { name, number } from '../../bytes.ts'
import type { SetName, Table } from '../../kv.ts'

export type Arg = string | number | Buffer

const MAX_KEY_BYTES = 1_900

export const NONE = Buffer.alloc(0)
/** Stands before the value of a row of a queue that has no end. */
export const NO_END = number(0)

/** Throws for what is no name. */
const checked = (text: string): string => {
  name(text)
  return text
}

/** Braces would end the hash tag early. */
export const tagOf = (partition: string): string =>
  partition.replace(/[%{}]/g, (sign) => `%${sign.charCodeAt(0)}`)
export const partitionOf = (tag: string): string =>
  tag.replace(/%(\d+)/g, (_, code) => String.fromCharCode(Number(code)))

export const keyOf = (prefix: string, { table, partition, subject }: SetName, infix = ''): string =>
  `${prefix}{${tagOf(partition)}}${table.name}${infix}:${subject === '' ? '' : checked(subject)}`

/**
 * A key in the members of an ordered set: what stands behind it must not change the order, so a zero byte becomes two, and
 * the end of the key is less than both. `<key> 0 1 <value>` is a member.
 */
const ESCAPED_ZERO = Buffer.from([0, 0xff])
export const KEY_END = Buffer.from([0, 1])
export const escapedKey = (key: Buffer): Buffer => {
  if (!key.includes(0)) return key
  const parts: Buffer[] = []
  let from = 0
  for (let at = key.indexOf(0); at !== -1; at = key.indexOf(0, at + 1)) {
    parts.push(key.subarray(from, at), ESCAPED_ZERO)
    from = at + 1
  }
  return Buffer.concat([...parts, key.subarray(from)])
}

/** The row of a member of an ordered set. */
export const rowOfMember = (member: Buffer): { key: Buffer; value: Buffer } => {
  const parts: Buffer[] = []
  let from = 0
  for (let at = member.indexOf(0); ; at = member.indexOf(0, at + 2)) {
    parts.push(member.subarray(from, at))
    if (member[at + 1] === KEY_END[1]) return { key: Buffer.concat(parts), value: member.subarray(at + 2) }
    parts.push(ESCAPED_ZERO.subarray(0, 1))
    from = at + 2
  }
}

/** Keys of a set, as scripts take them. */
export const keysOf = (prefix: string, set: SetName): string[] =>
  set.table.shape === 'queue' ? [keyOf(prefix, set), keyOf(prefix, set, '.o')] : [keyOf(prefix, set)]

/** Throws where no engine could keep the row. */
export const checkKey = ({ table, partition, subject }: SetName, key: Buffer) => {
  if (partition.length + subject.length + key.length > MAX_KEY_BYTES)
    throw new Error(`A key of the table ${table.name} is too long`)
}

export const valueIn = ({ shape }: Table, value: Buffer | null): Buffer | undefined => {
  if (value === null) return undefined
  return shape === 'queue' ? value.subarray(NO_END.length) : value
}
