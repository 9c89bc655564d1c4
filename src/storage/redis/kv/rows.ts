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

const hasOrder = ({ shape }: Table): boolean => shape === 'ordered' || shape === 'queue'

/** Keys of a set, as scripts take them. */
export const keysOf = (prefix: string, set: SetName): string[] =>
  hasOrder(set.table) ? [keyOf(prefix, set), keyOf(prefix, set, '.o')] : [keyOf(prefix, set)]

/** Throws where no engine could keep the row. */
export const checkKey = ({ table, partition, subject }: SetName, key: Buffer) => {
  if (partition.length + subject.length + key.length > MAX_KEY_BYTES)
    throw new Error(`A key of the table ${table.name} is too long`)
}

export const valueIn = ({ shape }: Table, value: Buffer | null): Buffer | undefined => {
  if (value === null) return undefined
  return shape === 'queue' ? value.subarray(NO_END.length) : value
}
