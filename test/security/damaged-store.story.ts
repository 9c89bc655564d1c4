/** A store that was emptied, cut short or damaged is refused at the start in one sentence, and never ends a process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StartError } from '../../src/server/config/start-error.ts'
import { openEmbedded } from '../../src/server/stores/embedded.ts'
import { checkStoreFile } from '../../src/storage/lmdb/file-check/check.ts'
import { STORE_FORMAT } from '../../src/storage/store-format.ts'
import { become, handOne, record, subscription } from '../contract/notify-samples.ts'
import { client, message, T, topic } from '../contract/relay-samples.ts'

const PAGE_BYTES = 4_096
/** In a meta page. */
const TRANSACTION_AT = 152
const ATTEMPTS = 10
let home: string
/** A store that has been in use, with values that are longer than a page, and pages that have become free. */
let sound: string

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'belfry-damage-'))
  await using stores = await openEmbedded(home)
  const text = 'x'.repeat(9_000)
  for (let round = 0; round < 8; round++) {
    const of = Array.from({ length: 40 }, (_, at) => topic(`${round} ${at}`))
    await stores.relay.subscribe(client('a'), of, { now: T })
    await Promise.all(of.map((one, at) => stores.relay.publish([message(one, `${text} ${round} ${at}`)])))
    await become(stores.notify, `account ${round}`, record([subscription(`s ${round}`)]))
    await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        handOne(stores.notify, `account ${round}`, `s ${round}`, `${round} ${at}`),
      ),
    )
    await become(stores.notify, `account ${round}`, record())
  }
  sound = join(home, 'store', 'data.mdb')
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

const check = (file: string) => checkStoreFile(file, { timeoutMs: 60_000, now: () => performance.now() })

let copies = 0
const copyOf = (): { dir: string; file: string } => {
  const dir = join(home, `copy ${copies++}`)
  mkdirSync(join(dir, 'store'), { recursive: true })
  copyFileSync(join(home, 'store.json'), join(dir, 'store.json'))
  const file = join(dir, 'store', 'data.mdb')
  copyFileSync(sound, file)
  return { dir, file }
}

it('the store is for its owner only', () => {
  expect(statSync(sound).mode & 0o777).toBe(0o600)
  expect(statSync(join(home, 'store')).mode & 0o777).toBe(0o700)
  expect(statSync(join(home, 'store', 'lock.mdb')).mode & 0o777).toBe(0o600)
})

it('a sound store passes, every page of it looked at', async () => {
  const { pages, ...outcome } = await check(sound)
  expect(outcome).toMatchObject({ damage: undefined, isComplete: true, repairs: [] })
  expect(pages).toBeGreaterThan(500)
  await (await openEmbedded(copyOf().dir))[Symbol.asyncDispose]()
})

it('a bit that turned in the number of the newest transaction, or of the one before it, is seen', async () => {
  const { file } = copyOf()
  const handle = openSync(file, 'r+')
  const bytes = readFileSync(file)
  for (const page of [0, 1]) {
    for (let bit = 0; bit < 64; bit++) {
      const at = page * PAGE_BYTES + TRANSACTION_AT + (bit >> 3)
      const byte = bytes[at] ?? 0
      writeSync(handle, Uint8Array.of(byte ^ (1 << (bit & 7))), 0, 1, at)
      const { damage, isBehind } = await check(file)
      expect({ page, bit, isSeen: damage !== undefined || isBehind }).toEqual({ page, bit, isSeen: true })
      writeSync(handle, Uint8Array.of(byte), 0, 1, at)
    }
  }
  closeSync(handle)
})

it('a store that is too large for the time that there is passes as far as it was looked at', async () => {
  let clock = 0
  const outcome = await checkStoreFile(sound, { timeoutMs: -1, now: () => clock++ })
  expect(outcome.damage).toBeUndefined()
})

describe('one sentence says what is wrong and what to do', () => {
  const refused = async (dir: string, what: string | RegExp) => {
    const failure = await openEmbedded(dir).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(StartError)
    if (!(failure instanceof StartError)) return
    expect(failure.sentences).toHaveLength(1)
    expect(failure.sentences[0]).toMatch(what)
    expect(failure.sentences[0]).toContain('belfry restore')
  }

  it.each([
    ['nothing', 0, /damaged \(it is empty\)/],
    ['half of the first page', 2_048, /cut short, at 2048 bytes|cut short/],
    ['the first page', PAGE_BYTES, /cut short, at 4096 bytes/],
    ['both meta pages', 2 * PAGE_BYTES, /cut short/],
  ])('%s of it is left', async (_, bytes, sentence) => {
    const { dir, file } = copyOf()
    truncateSync(file, bytes)
    await refused(dir, sentence)
    // It is left as it was found.
    expect(statSync(file).size).toBe(bytes)
  })

  it('half of it is left', async () => {
    const { dir, file } = copyOf()
    truncateSync(file, Math.floor(statSync(file).size / 2))
    await refused(dir, /cut short/)
  })

  it('it is gone', async () => {
    const { dir } = copyOf()
    rmSync(join(dir, 'store'), { recursive: true })
    await refused(dir, /is gone, and there has been one/)
    // A restore may fill the place.
    await (await openEmbedded(dir, { isNew: true }))[Symbol.asyncDispose]()
  })

  it('another format', async () => {
    const { dir, file } = copyOf()
    const bytes = readFileSync(file)
    // The number stands once in the file: after its key.
    const at = bytes.lastIndexOf('format')
    const handle = openSync(file, 'r+')
    writeSync(handle, Uint8Array.of(7), 0, 1, at + 'format'.length)
    await refused(dir, new RegExp(`written by a newer Belfry \\(format 7, this one has ${STORE_FORMAT}\\)`))
  })
})

/** Reads everything of these stores and writes to them, in a process of its own; answers how that ended. */
const useAll = async (dirs: readonly string[]): Promise<{ code: number | null; signal: string | null }> => {
  const source = (file: string) => new URL(`../../src/${file}`, import.meta.url).href
  const program = `
    const { openEmbedded } = await import('${source('server/stores/embedded.ts')}')
    for (const dir of process.argv.slice(1)) {
      try {
        const stores = await openEmbedded(dir)
        for (const table of Object.values(stores.transfer.read)) {
          try { for await (const _ of table.read({ now: 0 })); } catch {}
        }
        for (let at = 0; at < 30; at++) {
          const [topic, id] = [at, at + 1000].map((number) => number.toString(16).padStart(64, '0'))
          const times = { publishedAt: 1, expiresAt: 2e13 }
          try {
            await stores.relay.subscribe('client ' + at, [topic])
            await stores.relay.publish([{ topic, id, message: 'm', tag: 1, prompt: false, publisher: 'p', ...times }])
          } catch {}
        }
        await stores[Symbol.asyncDispose]()
      } catch {}
    }`
  const args = ['--import', 'tsx', '--conditions=source', '--input-type=module', '-e', program, ...dirs]
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  const [code, signal] = await once(child, 'close')
  return { code, signal }
}

/** The same damage in every run. */
const createRandom = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

describe('of twenty places that were overwritten, what is not refused ends no process', () => {
  it.each([
    ['whole pages of noise', PAGE_BYTES, true],
    ['whole pages of zeros', PAGE_BYTES, false],
    ['sixteen bytes of noise', 16, true],
    ['two bytes of noise', 2, true],
  ])('%s', { timeout: 120_000 }, async (_, length, isNoise) => {
    const size = statSync(sound).size
    const random = createRandom(7)
    const passed: string[] = []
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { dir, file } = copyOf()
      const handle = openSync(file, 'r+')
      for (let place = 0; place < 20; place++) {
        const bytes = Buffer.from(Array.from({ length }, () => (isNoise ? Math.floor(random() * 256) : 0)))
        const at = Math.floor(random() * (size / length)) * length
        writeSync(handle, bytes, 0, length, at)
      }
      closeSync(handle)
      if ((await check(file)).damage === undefined) passed.push(dir)
      else rmSync(dir, { recursive: true })
    }
    if (length === PAGE_BYTES) expect(passed.length).toBeLessThan(ATTEMPTS / 5)
    expect(await useAll(passed)).toEqual({ code: 0, signal: null })
  })
})
