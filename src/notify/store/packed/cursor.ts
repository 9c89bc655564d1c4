import { fromBase64url, toBase64url } from '../../../protocol/bytes.ts'
import { ProtocolError } from '../../../protocol/errors.ts'

/** Where the next page of a list begins, as an opaque text. */
export const toCursor = (place: Uint8Array): string => toBase64url(place)

/** Throws `bad_params` for what no page ended with. */
export const fromCursor = (cursor: string, length: number): Uint8Array => {
  let place: Uint8Array | undefined
  try {
    place = fromBase64url(cursor)
  } catch {
    // The error is thrown below, with the field.
  }
  if (place?.length !== length) throw new ProtocolError('bad_params', 'not a cursor', { field: 'after' })
  return place
}
