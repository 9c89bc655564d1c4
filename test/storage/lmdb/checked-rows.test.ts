/** Rows of all lengths, which pass through the engine's buffers, where each is overwritten by the next. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { number } from '../../../src/storage/bytes.ts'
import { openEnv } from '../../../src/storage/lmdb/env.ts'

/** Around what is computed here or by zlib, what is copied into one buffer, and what the engine reads into one. */
const LENGTHS = [0, 1, 7, 8, 9, 383, 384, 385, 4_100, 65_531, 65_532, 65_533, 200_000]

const sample = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 31 + length) & 0xff))

it('a row is read as it was put, alone and in a range, of two tables that are written in turn', async () => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-rows-'))
  const env = openEnv(path)
  const plain = env.bytes('plain')
  const objects = env.rows<{ text: string; at: number }>('objects')
  const objectOf = (at: number) => ({ text: 'é'.repeat(LENGTHS[at] ?? 0), at })
  await env.transaction(() => {
    for (const [at, length] of LENGTHS.entries()) {
      plain.put(number(at), sample(length))
      objects.put(number(at), objectOf(at))
    }
    // Within a transaction, too.
    expect(plain.get(number(3))).toEqual(sample(LENGTHS[3] ?? 0))
  })
  const first = plain.get(number(1))
  for (const [at, length] of LENGTHS.entries()) {
    expect(plain.get(number(at))?.equals(sample(length))).toBe(true)
    expect(objects.get(number(at))).toEqual(objectOf(at))
  }
  expect(first).toEqual(sample(1))
  expect([...plain.getRange({})].map(({ value }) => value.length)).toEqual(LENGTHS)
  expect([...objects.getRange({ reverse: true })].map(({ value }) => value.at)).toEqual(
    [...LENGTHS.keys()].reverse(),
  )
  expect([...plain.getKeys({ start: number(2), limit: 1 })]).toEqual([number(2)])
  expect(plain.getKeysCount({})).toBe(LENGTHS.length)
  await env.transaction(() => {
    // The first key that there can be is within a range without bounds.
    plain.put(Buffer.from([0]), sample(2))
    plain.put(Buffer.from([3]), sample(2))
  })
  expect(plain.getKeysCount({})).toBe(LENGTHS.length + 2)
  expect([...plain.getKeys({ reverse: true })].at(-1)).toEqual(number(0))
  await env.close()
  await rm(path, { recursive: true })
})
