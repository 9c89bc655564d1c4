/** A store of another format is refused in one sentence, by a newer and by an older Belfry, on both engines. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { composeServer } from '../../src/server/compose.ts'
import { configWith } from '../../src/server/config/config.ts'
import { StartError } from '../../src/server/config/start-error.ts'
import { name } from '../../src/storage/bytes.ts'
import { ROWS } from '../../src/storage/lmdb/bytes.ts'
import { openEnv } from '../../src/storage/lmdb/env.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { STORE_FORMAT } from '../../src/storage/store-format.ts'
import { startRedis } from '../support/redis.ts'

const OTHERS = [
  [STORE_FORMAT + 1, 'a newer'],
  [STORE_FORMAT - 1, 'an older'],
] as const
const sentence = (format: number, age: string) =>
  `The store was written by ${age} Belfry (format ${format}, this one has ${STORE_FORMAT}): start that version on it, or put a backup into an empty store with belfry restore.`

it.each(OTHERS)('LMDB, format %i', async (format, age) => {
  const path = mkdtempSync(join(tmpdir(), 'belfry-format-'))
  await (await openLmdb({ path }))[Symbol.asyncDispose]()
  const env = openEnv(path)
  const table = env.openDB<number, Buffer>({ name: 'store', ...ROWS })
  await env.transaction(() => void table.put(name('format'), format))
  await env.close()
  await expect(openLmdb({ path })).rejects.toThrow(sentence(format, age))
  rmSync(path, { recursive: true })
})

it.each(OTHERS)(
  'Redis, format %i',
  async (format, age) => {
    await using redis = await startRedis()
    await redis.cli('set', 'belfry:format', `${format}`)
    const data = mkdtempSync(join(tmpdir(), 'belfry-format-'))
    const config = configWith({
      ...{ port: 0, host: '127.0.0.1', metrics: 'off', data, redisUrl: redis.url },
      ...{ secret: 'a secret that processes share', rooms: ['relay'] },
    })
    const failure = await composeServer(config).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(StartError)
    expect(failure).toMatchObject({ sentences: [sentence(format, age)] })
    expect(await redis.cli('get', 'belfry:format')).toContain(`${format}`)
    rmSync(data, { recursive: true })
  },
  30_000,
)
