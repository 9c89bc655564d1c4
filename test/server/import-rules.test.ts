import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'

const refused: [string, string][] = [
  ['src/protocol', 'node:fs'],
  ['src/protocol', '../relay/hub.ts'],
  ['src/protocol', '../platform/clock.ts'],
  ['src/protocol', 'ws'],
  ['src/platform', '../relay/hub.ts'],
  ['src/relay', '../notify/apps/apps.ts'],
  ['src/notify', '../relay/client/index.ts'],
  ['src/notify', '../storage/lmdb/open.ts'],
  ['src/keys', '../server/config/config.ts'],
  ['src/keys', 'lmdb'],
  ['src/mq', '../notify/apps/limits.ts'],
  ['src/sessions', '../relay/client/index.ts'],
  ['src/notify/client', '../../relay/hub.ts'],
  ['src/sessions/client', '../../relay/hub.ts'],
  ['src/sessions/client', 'node:fs'],
  ['src/relay/client', 'node:fs'],
  ['src/storage/lmdb', '../../relay/hub.ts'],
  ['src/storage/lmdb', '../../notify/apps/vault.ts'],
  ['src/storage/lmdb', '../../server/telemetry/log.ts'],
  ['src/server', '../cli/main.ts'],
  ['src/sdk', '../server/compose.ts'],
  ['src/archive', '../relay/hub.ts'],
  ['src/push', '../relay/hub.ts'],
  ['src/push/delivery', '../../relay/store.ts'],
  ['src/push/store', '../../storage/lmdb/open.ts'],
  ['src/verify', '../notify/apps/apps.ts'],
  ['src/chains', '../server/rooms/contract-wallets.ts'],
  ['src/sync', '../archive/service.ts'],
  ['src/sync', 'node:fs'],
  // However deep a file lies.
  ['src/protocol/a', '../../relay/hub.ts'],
  ['src/protocol/a/b', '../../../relay/hub.ts'],
  ['src/protocol/a/b', 'node:fs'],
  ['src/platform/a/b', '../../../relay/hub.ts'],
  ['src/relay/a', '../../notify/apps/apps.ts'],
  ['src/relay/a/b', '../../../notify/apps/apps.ts'],
  ['src/notify/a/b', 'ioredis'],
  ['src/notify/a/b', '../../../storage/lmdb/open.ts'],
  ['src/keys/a', '../../server/config/config.ts'],
  ['src/mq/a/b/c', '../../../../server/config/config.ts'],
  ['src/notify/client/a', '../../../relay/hub.ts'],
  ['src/notify/client/a', 'node:fs'],
  ['src/sync/a/b', '../../../archive/service.ts'],
  ['src/storage/lmdb/a', '../../../relay/hub.ts'],
  ['src/storage', '../relay/hub.ts'],
  ['src/storage/redis/lua/relay', '../../../../relay/hub.ts'],
  ['src/storage/redis/lua/relay/a', '../../../../../relay/hub.ts'],
  ['src/server/a/b', '../../../cli/main.ts'],
  ['src/sdk/a/b', '../../../server/compose.ts'],
  ['src/web/inbox', '../../server/pages.ts'],
  ['src/web/inbox', '../../notify/client/index.ts'],
  ['src/web/console/a', '../../../storage/kv.ts'],
]
const allowed: [string, string][] = [
  ['src/protocol', './bytes.ts'],
  ['src/protocol/a', '../errors.ts'],
  ['src/protocol', '#crypto'],
  ['src/protocol', '@noble/hashes/sha3.js'],
  ['src/platform', '../protocol/errors.ts'],
  ['src/relay', '../protocol/bytes.ts'],
  ['src/relay', '../platform/clock.ts'],
  ['src/relay', './client/topics.ts'],
  ['src/relay', 'ws'],
  ['src/notify/client', '../../relay/client/index.ts'],
  ['src/sessions/client', '../../relay/client/index.ts'],
  ['src/notify/client', '../store.ts'],
  ['src/storage/lmdb', '../../relay/store.ts'],
  ['src/storage/lmdb', '../../notify/store/receipts.ts'],
  ['src/storage/lmdb', '../../sessions/relay/store.ts'],
  ['src/mq', '../platform/public-fetch.ts'],
  ['src/storage/lmdb', 'lmdb'],
  ['src/server', '../relay/hub.ts'],
  ['src/cli', '../server/compose.ts'],
  ['src/archive', '../platform/clock.ts'],
  ['src/sync', '../archive/client.ts'],
  ['src/sync', '@scure/bip39/wordlists/english.js'],
  ['test/server', '../../src/relay/hub.ts'],
  ['src/relay/a', '../../platform/clock.ts'],
  ['src/relay/a', '../hub.ts'],
  ['src/relay/a/b', '../../../protocol/bytes.ts'],
  ['src/relay/a/b', '../../hub.ts'],
  ['src/platform/a', '../../protocol/errors.ts'],
  ['src/notify/client/a', '../../../relay/client/index.ts'],
  ['src/storage/lmdb/a', '../../../relay/store.ts'],
  ['src/storage/redis/lua/relay', '../../../script.ts'],
  ['src/storage', '../relay/store.ts'],
  ['src/server/rooms', '../../relay/hub.ts'],
]
const environment = ['src/server', 'src/cli', 'src/relay', 'src/notify', 'src/protocol']

const report = z.object({
  diagnostics: z.array(z.object({ category: z.string(), location: z.looseObject({ path: z.unknown() }) })),
})

let dir: string
/** What the linter said, as `rule file`. */
let said: string
const nameOf = (folder: string, at: number) => join(folder, `line-${at}.ts`)

// Our configuration, on a house where every file breaks at most one rule; the linter takes its time to start.
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'belfry-lint-'))
  const write = (file: string, text: string) => {
    mkdirSync(join(dir, dirname(file)), { recursive: true })
    writeFileSync(join(dir, file), text)
  }
  copyFileSync('biome.json', join(dir, 'biome.json'))
  for (const [at, [folder, path]] of [...refused, ...allowed].entries()) {
    write(nameOf(folder, at), `import { x } from '${path}'\n\nexport const y = x\n`)
  }
  for (const folder of environment) write(`${folder}/env.ts`, 'export const home = process.env.HOME\n')
  write('src/server/config/config.ts', 'export const home = process.env.HOME\n')
  const biome = join(process.cwd(), 'node_modules/@biomejs/biome/bin/biome')
  const { stdout } = spawnSync(
    process.execPath,
    [biome, 'lint', '--reporter=json', '--max-diagnostics=none', '.'],
    { cwd: dir, encoding: 'utf8' },
  )
  const { diagnostics } = report.parse(JSON.parse(stdout))
  said = diagnostics
    .map(({ category, location }) => `${category} ${JSON.stringify(location.path)}`)
    .join('\n')
})
afterAll(() => rmSync(dir, { recursive: true }))

const isRefused = (rule: string, file: string) =>
  said.split('\n').some((line) => line.includes(rule) && line.includes(file))

it.each(refused.map(([folder, path], at) => [folder, path, at] as const))(
  'a file of %s may not import %s',
  (folder, _, at) => expect(isRefused('noRestrictedImports', nameOf(folder, at))).toBe(true),
)

it.each(allowed.map(([folder, path], at) => [folder, path, at + refused.length] as const))(
  'a file of %s may import %s',
  (folder, _, at) => expect(isRefused('noRestrictedImports', nameOf(folder, at))).toBe(false),
)

it('only the configuration reads the environment', () => {
  for (const folder of environment) expect(isRefused('noProcessEnv', `${folder}/env.ts`)).toBe(true)
  expect(isRefused('noProcessEnv', 'src/server/config/config.ts')).toBe(false)
})
