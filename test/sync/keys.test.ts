import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/protocol/bytes.ts'
import { pathOfStore, storeKeys, syncMessage } from '../../src/sync/keys.ts'
import vectors from '../vectors/sync.json' with { type: 'json' }

describe('keys of synchronised stores', () => {
  it('follow from the signature as those of the published client do', () => {
    const keyOf = storeKeys(vectors.signature)
    for (const [name, { topic, symKey }] of Object.entries(vectors.stores)) {
      const store = keyOf(name)
      expect({ topic: store.topic, symKey: toHex(store.key) }).toEqual({ topic, symKey })
    }
  })

  it('are asked for with the published sentence', () => {
    expect(syncMessage(vectors.account)).toBe(vectors.text)
  })

  it('have the name of the store in their path, in pieces of four bytes', () => {
    expect(pathOfStore('my-user-profile')).toBe("m/77'/0'/0/1836658037/1936028205/1886547814/6909029")
  })

  it.each(['', 'ü', 'a'.repeat(129), 'line\nbreak'])('there are none for the name %j', (name) => {
    expect(() => pathOfStore(name)).toThrow('128 ASCII characters')
  })
})
