/**
 * Texts that Redis keeps, behind a checksum over their table and themselves: a file of appended commands has none, so a bit of it
 * that turned would be served as it was read. What stands in keys, members and scores has no checksum.
 */
import { textChecksum } from '../checksum.ts'
import { DamagedRow } from '../damaged-row.ts'

/** Of a checksum in hex. */
const CHECKSUM_LENGTH = 8

/** `place`: whatever else the text belongs to, which whoever reads it knows. */
export const checkedText = (table: string, text: string, place = ''): string =>
  textChecksum(text, textChecksum(`${table}\0${place}\0`))
    .toString(16)
    .padStart(CHECKSUM_LENGTH, '0') + text

/** Of a text that is cut off, which cannot be checked. */
export const textOfUnchecked = (checked: string): string => checked.slice(CHECKSUM_LENGTH)

/** Throws `DamagedRow`. */
export const textOfChecked = (table: string, checked: string, place = ''): string => {
  const text = textOfUnchecked(checked)
  if (checkedText(table, text, place) !== checked) throw new DamagedRow(table, 'its checksum is another one')
  return text
}
