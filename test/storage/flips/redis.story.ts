/**
 * A bit of Redis' files turns. On an RDB Redis does not start. Of appended commands it takes what it can read: there a value is
 * found by its own checksum, while keys, members and scores have none (`docs/operate.md`).
 */
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { furnish } from '../../contract/transfer-samples.ts'
import { crowd } from '../../support/runs.ts'
import { temporaryHome } from '../../support/story.ts'
import { createRandom } from '../sigkill/random.ts'
import { bytesOf, flip } from './bits.ts'
import { type StartedRedis, tryRedis } from './redis.ts'
import { type Outcome, outcomeOf, type Report, reportOf } from './report.ts'

const FLIPS = crowd(100, 20)
/** What is in the files follows from it. */
const NOW = Date.UTC(2100, 0, 1)
const RDB = 'dump.rdb'
const COMMANDS = join('appendonlydir', 'appendonly.aof.1.incr.aof')

const started = async (dir: string, appendonly: boolean): Promise<StartedRedis> => {
  const redis = await tryRedis(dir, appendonly)
  if (typeof redis === 'string') throw new Error(redis)
  return redis
}

/** A directory with the files of a Redis that has had everything in it, and a place for copies of it. */
const furnished = async (home: string, appendonly: boolean) => {
  const sound = join(home, 'sound')
  mkdirSync(sound)
  await using redis = await started(sound, appendonly)
  {
    await using stores = await openRedis({ url: redis.url })
    await furnish(stores, NOW)
  }
  await redis.stop()
  const copy = join(home, 'copy')
  const copySound = () => {
    rmSync(copy, { recursive: true, force: true })
    cpSync(sound, copy, { recursive: true })
  }
  copySound()
  return { copy, copySound }
}

const lookAt = async (dir: string): Promise<Report> => {
  await using redis = await started(dir, true)
  await using stores = await openRedis({ url: redis.url })
  return await reportOf(stores, NOW, [])
}

it('Redis refuses an RDB of which a bit turned', { timeout: 60_000 + FLIPS * 2_000 }, async () => {
  await using home = await temporaryHome()
  const { copy, copySound } = await furnished(home.path, false)
  const file = join(copy, RDB)
  for (let seed = 1; seed <= FLIPS; seed++) {
    copySound()
    const random = createRandom(seed)
    flip(file, { at: random(bytesOf(file)), bit: random(8) })
    const refusal = await tryRedis(copy, false)
    if (typeof refusal !== 'string') await refusal[Symbol.asyncDispose]()
    expect(refusal, `seed ${seed}`).toMatch(/RDB|\bDB\b|database|format/i)
  }
})

/** What stands in a value of each table that has its own checksum, where the last one of its kind is. */
const VALUES = {
  'notify.notifications': '"id":"waits"',
  'notify.outbox': '"kind":"welcome"',
  'notify.accounts': '[[["#',
  'relay.messages': 'to the owner',
}

it('a bit that turned in a value of the appended commands is found', { timeout: 120_000 }, async () => {
  await using home = await temporaryHome()
  const { copy, copySound } = await furnished(home.path, true)
  const file = join(copy, COMMANDS)
  const sound = await lookAt(copy)
  for (const [table, text] of Object.entries(VALUES)) {
    copySound()
    const at = readFileSync(file).lastIndexOf(text)
    expect(at, table).toBeGreaterThan(0)
    flip(file, { at: at + text.length - 1, bit: 1 })
    const { outcome, why } = outcomeOf(sound, await lookAt(copy))
    expect({ table, outcome }, why).toEqual({ table, outcome: 'found' satisfies Outcome })
    expect(why).toContain(`the table ${table} is damaged`)
  }
})
