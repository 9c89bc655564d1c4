/** Ids, account keys and instants as they stand in packed rows. */
const NO_DIGIT = 255
const NIBBLES = new Uint8Array(256).fill(NO_DIGIT)
for (let value = 0; value < 16; value++) NIBBLES[value.toString(16).charCodeAt(0)] = value

export const UUID_BYTES = 16
const UUID_LENGTH = 36
const DASH = '-'.charCodeAt(0)

/** Writes the 16 bytes of a UUID in lower case; answers false for another text. */
const writeUuid = (id: string, into: Buffer, start: number): boolean => {
  let at = start
  for (let nth = 0; nth < UUID_LENGTH; nth += 2) {
    if (nth === 8 || nth === 13 || nth === 18 || nth === 23) {
      if (id.charCodeAt(nth) !== DASH) return false
      nth += 1
    }
    const high = NIBBLES[id.charCodeAt(nth) & 255] ?? NO_DIGIT
    const low = NIBBLES[id.charCodeAt(nth + 1) & 255] ?? NO_DIGIT
    if (high === NO_DIGIT || low === NO_DIGIT) return false
    into[at++] = (high << 4) | low
  }
  return true
}

/** A byte that says how long it is, and the text; of a UUID, of which most are, 0 and its 16 bytes. */
export const packId = (id: string): Buffer => {
  if (id.length === UUID_LENGTH) {
    const packed = Buffer.allocUnsafe(1 + UUID_BYTES)
    packed[0] = 0
    if (writeUuid(id, packed, 1)) return packed
  }
  const text = Buffer.from(id)
  if (text.length === 0 || text.length > 255) throw new Error(`Not a usable id: ${id.slice(0, 80)}`)
  return Buffer.concat([Buffer.from([text.length]), text])
}

/** Of what callers name as they please: undefined for what can be no id. */
export const packIdOrNone = (id: string): Buffer | undefined => {
  const length = Buffer.byteLength(id)
  return length === 0 || length > 255 ? undefined : packId(id)
}

/** Stands where there is no id. */
export const NO_ID = Buffer.from([1, 0])

/** How long the id is that begins there, with the byte before it. */
export const idLength = (bytes: Buffer, at: number): number => 1 + (bytes[at] || UUID_BYTES)

export const unpackId = (bytes: Buffer, at: number): string => {
  const length = bytes[at]
  if (length) return bytes.toString('utf8', at + 1, at + 1 + length)
  const hex = bytes.toString('hex', at + 1, at + 1 + UUID_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export const isSame = (bytes: Buffer, at: number, wanted: Buffer): boolean => {
  for (let nth = 0; nth < wanted.length; nth++) if (bytes[at + nth] !== wanted[nth]) return false
  return true
}

export const TIME_BYTES = 6
export const writeTime = (into: Buffer, ms: number, at: number): number =>
  into.writeUIntBE(Math.max(0, Math.floor(ms)), at, TIME_BYTES)
export const readTime = (bytes: Buffer, at: number): number => bytes.readUIntBE(at, TIME_BYTES)
