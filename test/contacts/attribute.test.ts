import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readAttribute, readName, writeValue } from '../../src/contacts/attribute.ts'
import { toBase64url } from '../../src/protocol/bytes.ts'

const names = ['xmtp/installation/hex', 'xmtp/installation/base64', 'xmtp/installation/base58'] as const

it('a value is read as it is written, and padding is no part of a name', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.uint8Array({ minLength: 1, maxLength: 256 }),
      fc.constantFrom('\0', ' '),
      (name, value, fill) => {
        const padded = name.padEnd(32, fill)
        expect(readAttribute(padded, writeValue(name, value))).toEqual({ name, value })
        expect(readAttribute(name, value)).toEqual({ name, value })
      },
    ),
  )
})

it('hex is read in either case and with 0x, base64 in either alphabet', () => {
  const value = Uint8Array.of(0xfb, 0xff, 0xbf)
  for (const text of ['fbffbf', 'FBFFBF', '0xfbffbf', '0XFbFfBf']) {
    expect(readAttribute('xmtp/installation/hex', text).value).toEqual(value)
  }
  for (const text of ['+/+/', '-_-_', toBase64url(value)]) {
    expect(readAttribute('xmtp/installation/base64', text).value).toEqual(value)
  }
})

it.each([
  ...['', 'xmtp/installation/', 'xmtp/installation/utf8', 'xmtp/installation/hex/', 'xmtp/Installation/hex'],
  ...[' xmtp/installation/hex', `${'xmtp/installation/hex'.padEnd(33)}`, 'xmtp/installation/toString', 'hex'],
])('%j is no name of an installation', (name) => {
  expect(() => readName(name)).toThrow(expect.objectContaining({ code: 'bad_params' }))
})
