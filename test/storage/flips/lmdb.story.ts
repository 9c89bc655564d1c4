/**
 * A bit of the embedded store's file turns: it is in a place that nobody reads, or a sentence names the table. No answer
 * changes, and no process ends. The seed in a failure names the bit (`bitOf`).
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openEmbedded } from '../../../src/server/stores/embedded.ts'
import { furnish } from '../../contract/transfer-samples.ts'
import { crowd } from '../../support/runs.ts'
import { temporaryHome } from '../../support/story.ts'
import { bitOf, bytesOf, flip } from './bits.ts'
import { createReaders } from './readers.ts'
import { type Outcome, outcomeOf } from './report.ts'

const FLIPS = crowd(1_000, 100)
const FIRST_SEED = 1
/** What is in the file follows from it. */
const NOW = Date.UTC(2100, 0, 1)

it('a bit that turned is harmless, or found', { timeout: 60_000 + FLIPS * 2_000 }, async () => {
  await using home = await temporaryHome()
  const sound = join(home.path, 'sound')
  {
    await using stores = await openEmbedded(sound)
    await furnish(stores, NOW)
    await stores.notify.sweep(NOW, 10_000)
  }
  using readers = createReaders(NOW)
  const copy = join(home.path, 'copy')
  const file = join(copy, 'store', 'data.mdb')
  const copySound = () => {
    rmSync(copy, { recursive: true, force: true })
    mkdirSync(join(copy, 'store'), { recursive: true })
    copyFileSync(join(sound, 'store.json'), join(copy, 'store.json'))
    copyFileSync(join(sound, 'store', 'data.mdb'), file)
  }
  copySound()
  const expected = await readers.lookAt(copy)
  if (typeof expected === 'string') throw new Error(`The sound store ${expected}`)
  const counts: Partial<Record<Outcome, number>> = {}
  for (let seed = FIRST_SEED; seed < FIRST_SEED + FLIPS; seed++) {
    copySound()
    const bit = bitOf(seed, bytesOf(file))
    flip(file, bit)
    const report = await readers.lookAt(copy)
    const { outcome, why } =
      typeof report === 'string' ? { outcome: report, why: '' } : outcomeOf(expected, report)
    counts[outcome] = (counts[outcome] ?? 0) + 1
    expect(
      ['harmless', 'repaired', 'refused', 'found'],
      `seed ${seed}: ${JSON.stringify(bit)} ${why}`,
    ).toContain(outcome)
  }
  console.log(`Of ${FLIPS} bits: ${JSON.stringify(counts)}`)
})
