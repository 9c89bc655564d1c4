import { expect, it } from 'vitest'
import {
  createWatermark,
  reserveOf,
  type Space,
  type StoreSpace,
} from '../../../src/platform/budgets/watermark.ts'
import type { Log } from '../../../src/platform/telemetry.ts'
import { unmeasured } from '../../../src/platform/telemetry.ts'
import { manualClock } from '../../support/clock.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** A store whose room the test decides. */
const watched = (space: Space, memoryRatio = 0.8) => {
  const clock = manualClock()
  const lines: string[] = []
  const line = (_: Record<string, unknown>, sentence: string) => void lines.push(sentence)
  const log: Log = { debug: line, info: line, warn: line, error: line }
  const store = { ...space, isWritable: true }
  let fail: (reason: string) => void = () => {}
  const own: StoreSpace = {
    measure: async () => ({ ...store }),
    async tryWrite() {
      if (store.isWritable) return
      fail('No space')
      throw new Error('no')
    },
    onFailedWrite(listener) {
      fail = listener
      return { [Symbol.dispose]: () => {} }
    },
  }
  const watermark = createWatermark(
    { space: own, clock, log, meter: unmeasured },
    { memoryRatio, diskBytes: undefined },
  )
  return { clock, lines, store, watermark, fail: (reason: string) => fail(reason) }
}

it('a disk keeps a tenth in reserve, a GiB at most, or what the operator says; Redis what is above its mark', () => {
  const byDefault = { memoryRatio: 0.8, diskBytes: undefined }
  expect(reserveOf({ kind: 'disk', totalBytes: 50 * MIB, freeBytes: 0 }, byDefault)).toBe(5 * MIB)
  expect(reserveOf({ kind: 'disk', totalBytes: 500 * GIB, freeBytes: 0 }, byDefault)).toBe(GIB)
  expect(reserveOf({ kind: 'disk', totalBytes: GIB, freeBytes: 0 }, { ...byDefault, diskBytes: MIB })).toBe(
    MIB,
  )
  expect(reserveOf({ kind: 'memory', totalBytes: GIB, freeBytes: 0 }, byDefault)).toBeCloseTo(0.2 * GIB)
})

it('the level rises with what is used, falls again, and does not swing at its mark', async () => {
  const { clock, lines, store, watermark } = watched({ kind: 'memory', totalBytes: 1_000, freeBytes: 900 })
  const at = async (freeBytes: number) => {
    store.freeBytes = freeBytes
    await clock.advance(1_000)
    return watermark.level()
  }
  expect([await at(900), await at(201), await at(199)]).toEqual(['ok', 'ok', 'high'])
  expect([await at(210), await at(221), await at(199)]).toEqual(['high', 'ok', 'high'])
  expect([await at(49), await at(54), await at(56)]).toEqual(['full', 'full', 'high'])
  expect([await at(0), await at(1_000)]).toEqual(['full', 'ok'])
  expect(lines).toContain('The store has room again')
  await watermark[Symbol.asyncDispose]()
})

it('after a failed write it is full, whatever is free, until a write of its own succeeds', async () => {
  const { clock, lines, store, watermark, fail } = watched({ kind: 'disk', totalBytes: GIB, freeBytes: GIB })
  await clock.advance(1_000)
  store.isWritable = false
  for (let at = 0; at < 100; at++) fail('No space')
  expect([watermark.level(), watermark.trouble()]).toEqual(['full', 'No space'])
  await clock.advance(60_000)
  expect(watermark.trouble()).toBe('No space')
  store.isWritable = true
  await clock.advance(1_000)
  expect([watermark.level(), watermark.trouble()]).toEqual(['ok', undefined])
  expect(lines).toEqual(['The store does not take writes', 'The store takes writes again'])
  await watermark[Symbol.asyncDispose]()
})

it('a store without room says by itself why it takes no write, although nothing of strangers is written', async () => {
  const { clock, lines, store, watermark } = watched({ kind: 'disk', totalBytes: GIB, freeBytes: GIB })
  await clock.advance(1_000)
  store.freeBytes = MIB
  await clock.advance(1_000)
  expect([watermark.level(), watermark.trouble()]).toEqual(['full', undefined])
  Object.assign(store, { freeBytes: 0, isWritable: false })
  await clock.advance(1_000)
  expect([watermark.level(), watermark.trouble()]).toEqual(['full', 'No space'])
  Object.assign(store, { freeBytes: GIB, isWritable: true })
  await clock.advance(1_000)
  expect([watermark.level(), watermark.trouble()]).toEqual(['ok', undefined])
  expect(lines.filter((one) => one === 'The store takes writes again')).toHaveLength(1)
  await watermark[Symbol.asyncDispose]()
})

it('a store that swings fills no log', async () => {
  const { clock, lines, store, watermark } = watched({ kind: 'memory', totalBytes: 1_000, freeBytes: 900 })
  for (let at = 0; at < 60; at++) {
    store.freeBytes = at % 2 === 0 ? 100 : 900
    await clock.advance(1_000)
  }
  expect(lines.length).toBeGreaterThan(2)
  expect(lines.length).toBeLessThan(15)
  await watermark[Symbol.asyncDispose]()
})
