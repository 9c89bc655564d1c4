import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.ts'
import { formatSessionLink, parseSessionLink } from '../../src/sessions/link.ts'
import vectors from '../vectors/edges.json' with { type: 'json' }

const { symKeyHex, symKeyBase64 } = vectors.carmentis_relay_aead
const key = fromHex(symKeyHex)
const link = (query: Record<string, string>, kind = 'carmentis-relay') =>
  `cmts://connect/${kind}?${new URLSearchParams(query)}`
const good = { relay: 'https://relay.example.com', sessionId: 'abc123', symKey: symKeyBase64 }
const parsed = { kind: 'carmentis-relay', relay: good.relay, sessionId: 'abc123', key }

describe('a link', () => {
  it.each([
    [
      'of the document, raw',
      `cmts://connect/carmentis-relay?relay=https://relay.example.com&sessionId=abc123&symKey=${symKeyBase64}`,
    ],
    ['encoded', link(good)],
    ['with a hex key', link({ ...good, symKey: symKeyHex })],
    ['with more than is known', link({ ...good, theme: 'dark' })],
    ['with a slash at the end of its path', link(good).replace('relay?', 'relay/?')],
  ])('%s is understood', (_, text) => expect(parseSessionLink(text)).toEqual(parsed))

  it('whose key has a bare +, which a query reads as a space, is understood', () => {
    const plus = Buffer.alloc(32, 0xfb).toString('base64')
    expect(plus).toContain('+')
    const text = `cmts://connect/carmentis-relay?relay=https://relay.example.com&sessionId=abc123&symKey=${plus}`
    expect(parseSessionLink(text).key).toEqual(new Uint8Array(32).fill(0xfb))
  })

  it.each([
    ['', 'not a URL'],
    ['not a link', 'not a URL'],
    ['https://connect/carmentis-relay?relay=x', 'does not begin with cmts://connect/'],
    ['cmts://other/carmentis-relay', 'does not begin with cmts://connect/'],
    [link(good, 'other-relay'), 'kind of relay is not known'],
    [link({ ...good, relay: '' }), 'has no relay'],
    [link({ relay: good.relay, symKey: good.symKey }), 'has no sessionId'],
    [link({ relay: good.relay, sessionId: 'abc123' }), 'has no symKey'],
    [`${link(good)}&relay=https://evil.example`, 'more than one relay'],
    [`${link(good)}&symKey=${symKeyHex}`, 'more than one symKey'],
    [link({ ...good, relay: 'relay.example.com' }), 'relay is not a URL'],
    [link({ ...good, relay: 'http://relay.example.com' }), 'neither https or wss nor on this machine'],
    [link({ ...good, relay: 'ws://10.0.0.1' }), 'neither https or wss nor on this machine'],
    [link({ ...good, relay: 'http://localhost.example.com' }), 'neither https or wss nor on this machine'],
    [link({ ...good, relay: 'javascript:alert(1)' }), 'relay is not https or wss'],
    [link({ ...good, relay: 'https://me:secret@relay.example.com' }), 'more than an address'],
    [link({ ...good, relay: 'https://relay.example.com?a=b' }), 'more than an address'],
    [link({ ...good, sessionId: '../x' }), 'session id is not one'],
    [link({ ...good, symKey: 'junk' }), 'key is not 32 bytes'],
    [link({ ...good, symKey: '0'.repeat(62) }), 'key is not 32 bytes'],
    [link({ ...good, sessionId: 'x'.repeat(5_000) }), 'too long'],
  ])('%s is refused: %s', (text, reason) => {
    expect(() => parseSessionLink(text)).toThrow(reason)
    expect(() => parseSessionLink(text)).toThrow(expect.objectContaining({ code: 'bad_params' }))
  })

  it.each([
    'wss://r.example',
    'https://r.example/base/',
    'http://localhost:8080',
    'ws://127.0.0.1:1',
    'http://[::1]:8080',
  ])('may have its relay at %s', (relay) =>
    expect(parseSessionLink(link({ ...good, relay })).relay).toBe(relay),
  )

  it('that is written is read as what it was', () => {
    const relays = fc.constantFrom(
      'https://relay.example.com',
      'wss://a.example/base path/é',
      'http://127.0.0.1:9',
    )
    const keys = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const ids = fc.stringMatching(/^[\w-]{1,128}$/)
    fc.assert(
      fc.property(relays, keys, ids, fc.boolean(), (relay, fresh, sessionId, isNative) => {
        const one = isNative
          ? ({ kind: 'belfry-relay', relay, key: fresh } as const)
          : ({ kind: 'carmentis-relay', relay, key: fresh, sessionId } as const)
        const text = formatSessionLink(one)
        expect(text).toMatch(/^[\x21-\x7e]+$/)
        // Nothing that a query would read as something else.
        expect(text).not.toContain('+')
        expect(parseSessionLink(text)).toEqual(one)
      }),
    )
  })

  it('that nobody could use is not written', () => {
    expect(() => formatSessionLink({ kind: 'belfry-relay', relay: 'http://relay.example', key })).toThrow(
      'neither https',
    )
    expect(() =>
      formatSessionLink({ kind: 'belfry-relay', relay: good.relay, key: key.subarray(1) }),
    ).toThrow('32 bytes')
    const odd = { kind: 'carmentis-relay', relay: good.relay, key, sessionId: 'a b' } as const
    expect(() => formatSessionLink(odd)).toThrow('session id')
  })
})
