/** What a kept value begins with: a version, and a checksum over its place and content. */
import { checksum, textChecksum } from './checksum.ts'
import type { Codec } from './codec.ts'
import type { SetName, Table } from './kv.ts'

/** A row that cannot be what was written. */
export class DamagedRow extends Error {
  constructor(table: Table, reason: string) {
    super(`A row of the table ${table.name} is damaged: ${reason}`)
    this.name = 'DamagedRow'
  }
}

export const VERSION = 1
/** Version and checksum. */
export const HEAD_BYTES = 5

export const NO_VALUE = Buffer.alloc(0)

/** What the checksums of a set begin with. */
export const setChecksum = ({ table, partition, subject }: SetName): number =>
  textChecksum(`${table.name}\0${partition}\0${subject}\0`)

export const opened = <V>(
  { table, codec, ofSet }: { table: Table; codec: Codec<V>; ofSet: () => number },
  key: Buffer,
  value: Buffer,
): V => {
  if (table.shape === 'index') return codec.decode(NO_VALUE)
  if (value.length < HEAD_BYTES) throw new DamagedRow(table, 'it is too short')
  if (value[0] !== VERSION) throw new DamagedRow(table, `it has the version ${value[0]}`)
  const content = value.subarray(HEAD_BYTES)
  if (value.readUInt32BE(1) !== checksum(content, checksum(key, ofSet())))
    throw new DamagedRow(table, 'its checksum is another one')
  try {
    return codec.decode(content)
  } catch (error) {
    throw new DamagedRow(table, error instanceof Error ? error.message : String(error))
  }
}
