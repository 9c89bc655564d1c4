import { describe, expect, it } from 'vitest'
import { createBoundedMap } from '../../../src/platform/concurrency/bounded-map.ts'

const ENTRIES = 10

describe('a bounded map', () => {
  it('has what was put last, and nothing of long ago', () => {
    const map = createBoundedMap<number>(ENTRIES)
    for (let last = 0; last < 5 * ENTRIES; last++) {
      map.put(`key ${last}`, last)
      for (let at = Math.max(0, last - ENTRIES + 1); at <= last; at++) expect(map.get(`key ${at}`)).toBe(at)
      expect(map.get(`key ${last - 2 * ENTRIES}`)).toBeUndefined()
    }
  })

  it('answers with the value that was put last, and not with one that was removed', () => {
    const map = createBoundedMap<number>(ENTRIES)
    for (let at = 0; at < ENTRIES; at++) map.put(`key ${at}`, 0)
    map.put('key 3', 1)
    expect(map.get('key 3')).toBe(1)
    expect(map.remove('key 3')).toBe(true)
    expect(map.get('key 3')).toBeUndefined()
    expect(map.remove('key 3')).toBe(false)
  })
})
