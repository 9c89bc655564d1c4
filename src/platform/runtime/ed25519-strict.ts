/**
 * Which Ed25519 point encodings are refused before any library sees them: those that are not canonical (y ≥ p) and the
 * eight points of small order. RFC 8032 leaves room here and libsodium, OpenSSL and @noble/curves use it differently;
 * with this check in front all of them answer alike. No honest key or signature contains such a point.
 */
export const isRefusedPoint = (encoded: Uint8Array): boolean => {
  const last = (encoded[31] ?? 0) & 0x7f
  const first = encoded[0] ?? 0
  // The common case in two comparisons: every refused y starts and ends with one of these bytes.
  if (last !== 0x7f && last !== 0x00 && last !== 0x7a && last !== 0x05) return false
  if (last === 0x7f) {
    // p = 2^255 - 19 is ed ff … ff 7f. Refuse p - 1 (order 2) and everything from p on.
    for (let at = 1; at < 31; at++) if (encoded[at] !== 0xff) return false
    return first >= 0xec
  }
  const shape = last === 0x7a ? ORDER_8_A : last === 0x05 ? ORDER_8_B : undefined
  if (!shape) {
    // y = 0 (order 4) and y = 1 (the neutral element).
    for (let at = 1; at < 31; at++) if (encoded[at] !== 0) return false
    return first <= 1
  }
  for (let at = 0; at < 31; at++) if (encoded[at] !== shape[at]) return false
  return true
}

// The y coordinates of the four points of order 8, without their last byte.
const ORDER_8_A = Uint8Array.of(
  ...[0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f],
  ...[0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03],
)
const ORDER_8_B = Uint8Array.of(
  ...[0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0],
  ...[0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc],
)
