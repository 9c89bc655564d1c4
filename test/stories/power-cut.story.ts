/** The power ends at any moment of a server's first time; what was answered before is there at the next start. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { mqClient } from '../../src/mq/client.ts'
import { hashDid } from '../../src/mq/dids.ts'
import { loadServerKeys } from '../../src/notify/apps/server-keys.ts'
import { createVault } from '../../src/notify/apps/vault.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createContentSeal } from '../../src/platform/runtime/content-seal.ts'
import { readAdminAccess } from '../../src/server/config/data-dir.ts'
import { loadSecrets } from '../../src/server/config/secret-files.ts'
import { hasStore, openEmbedded } from '../../src/server/stores/embedded.ts'
import { newAgent } from '../mq/agents.ts'
import { findOrInstall, INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { cutAt, recorded, strace } from '../support/power-cut.ts'
import { crowd } from '../support/runs.ts'
import { temporaryHome } from '../support/story.ts'

const bytes = (length: number) => randomBytes(length)

const CUTS = crowd(100, 30)
const ROUNDS = 25

/** The same cuts in every run, of a record that is another one each time. */
const createRandom = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

it('power cuts at any moment lose nothing that was answered, and each time the server starts', {
  timeout: INSTALL_TIMEOUT + 240_000,
}, async () => {
  const program = await findOrInstall({ variable: 'BELFRY_STRACE', names: ['strace'], package: 'strace' })
  await using home = await temporaryHome()
  const [data, trace] = [join(home.path, 'data'), join(home.path, 'trace')]
  const [command = '', ...words] = [
    ...strace(program, trace),
    ...[process.execPath, 'dist/cli/main.js', 'serve', '--port', '0', '--metrics', 'off', '--data', data],
  ]
  const env = { ...process.env, BELFRY_LIMITS: 'off', BELFRY_LOG_LEVEL: 'warn' }
  const child = spawn(command, words, { stdio: 'ignore', env })
  const ended = once(child, 'close')
  const access = await eventually(() => {
    const found = readAdminAccess(data)
    if (!found) throw new Error('The server is not ready')
    return found
  }, 60_000)

  /** Domains of apps and texts of messages, with when their answer had come. */
  const answered: { app?: string; text?: string; at: number }[] = []
  /** In whole milliseconds, rounded up: what was written in the same one may have been written after the cut. */
  const afterNow = () => Date.now() + 1
  const [ann, ben] = [newAgent(), newAgent()]
  const queue = { domain: 'default', hashDID: hashDid(ben.did) }
  const sender = mqClient({ url: access.url, ...ann })
  for (let round = 0; round < ROUNDS; round++) {
    const app = `app-${round}.example.com`
    await eventually(async () => {
      const response = await fetch(`${access.url}/admin/apps`, {
        method: 'POST',
        headers: { authorization: `Bearer ${access.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ domain: app, name: 'App' }),
      })
      expect(response.status).toBe(200)
    }, 20_000)
    answered.push({ app, at: afterNow() })
    const text = `message ${round}`
    await sender.put(ben.did, text)
    answered.push({ text, at: afterNow() })
  }
  const { pid } = z.object({ pid: z.number() }).parse(JSON.parse(readFileSync(join(data, 'lock'), 'utf8')))
  process.kill(pid, 'SIGKILL')
  await ended

  const calls = recorded(trace)
  // Before that the process is being loaded, and nothing is kept.
  const first = calls.find(({ name }) => name === 'mkdir')?.begun ?? 0
  const last = calls.at(-1)?.ended ?? 0
  const keeping = calls.filter(({ begun }) => begun >= first)
  const random = createRandom(11)
  let [lost, withStore, promised] = [0, 0, 0]
  for (let cut = 0; cut < CUTS; cut++) {
    // Half of them by time, half where much is written.
    const moment =
      cut % 2 === 0
        ? first + random() * (last - first)
        : (keeping[Math.floor(random() * keeping.length)]?.begun ?? first) + random()
    const target = join(home.path, `cut-${cut}`)
    cutAt(calls, { moment, root: data, target, random })
    if (hasStore(target)) withStore += 1
    const { secret } = loadSecrets(target, {}, { randomBytes: bytes, hasStore: hasStore(target) })
    {
      await using stores = await openEmbedded(target)
      const vault = createVault(secret)
      const keys = await loadServerKeys({ store: stores.notify, vault, clock: systemClock, secret })
      const content = createContentSeal(keys.root, bytes)
      const texts: string[] = []
      for await (const { records } of stores.transfer.read.mqMessage.read({ now: Date.now() })) {
        for (const { id, message } of records) {
          texts.push(content.open(['mq', queue.domain, queue.hashDID, id, 'message'], message))
        }
      }
      for (const { app, text, at } of answered) {
        if (at > moment) continue
        promised += 1
        const kept = app === undefined ? undefined : await stores.notify.app(app)
        if (kept) vault.open(kept.authenticationSeed)
        if (!kept && !(text !== undefined && texts.includes(text))) lost += 1
      }
    }
    await rm(target, { recursive: true })
  }
  expect(lost).toBe(0)
  // The cuts were where something could be lost.
  expect(withStore).toBeGreaterThan(CUTS / 2)
  expect(promised).toBeGreaterThan(CUTS)
})
