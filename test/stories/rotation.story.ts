/** Keys are replaced by the command line under wallets that are at work, on two processes. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { fetchKeys } from '../../src/notify/client/app-keys.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { startRedis } from '../support/redis.ts'
import { enrol, newDevice, postNotification } from '../support/story.ts'

const DOMAIN = 'rotation.example.com'

const belfry = async (...words: string[]): Promise<Record<string, unknown>> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...words, '--json'])
  return JSON.parse(stdout)
}

it('wallets with the old keys and with the new ones are served, and none misses a notification', {
  timeout: 240_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url)
  const [first, second] = fleet.notifies
  const [relay] = fleet.relays
  if (!first || !second || !relay) throw new Error('There are two of each')
  const app = await enrol(first.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const owner = newOwner()
  const at = { url: first.url, wsUrl: relay.wsUrl }
  const deps = { clock: systemClock, fetch }
  const keysAt = (url: string) => fetchKeys(deps, `${url}/apps/${DOMAIN}/did.json`)
  const serverKeysAt = (url: string) => fetchKeys(deps, `${url}/.well-known/did.json`)

  // Reads did.json anew only where it must.
  await using veteran = newDevice(at, owner)
  const bodies: string[] = []
  veteran.on('message', ({ notification }) => void bodies.push(notification.body))
  await veteran.watch()
  await veteran.subscribe(DOMAIN, [news, alerts])
  const [old, oldServer] = [await keysAt(first.url), await serverKeysAt(first.url)]
  const notified = async (body: string) => {
    for (const [which, server] of [first, second].entries()) {
      const id = `${body} ${which}`
      await postNotification(server, app, { id, body: id, accounts: [owner.account] })
    }
    await eventually(() => expect(bodies).toEqual(expect.arrayContaining([`${body} 0`, `${body} 1`])), 60_000)
  }
  await notified('before')

  const answer = await belfry('rotate', 'app', DOMAIN, '--data', first.dataDir)
  expect(Date.parse(String(answer.until)) - Date.now()).toBeGreaterThan(29 * 86_400_000)
  await belfry('rotate', 'server', '--overlap', '12h', '--data', second.dataDir)
  for (const { url } of [first, second]) {
    await eventually(async () => {
      const [present, server] = [await keysAt(url), await serverKeysAt(url)]
      expect([present.authentication, server.authentication]).not.toContain(old.authentication)
      expect(server.authentication).not.toBe(oldServer.authentication)
      expect([present.former, server.former]).toEqual([[old.authentication], [oldServer.authentication]])
    })
  }
  // Its view of the account names the old key of the app, and its watch was addressed to the old server key.
  await notified('with the new key')
  {
    await using newcomer = newDevice(at, owner)
    await newcomer.watch()
    await newcomer.update(DOMAIN, [news])
    await eventually(() => expect(veteran.subscriptions()[0]?.scope).toEqual([news]), 60_000)
    // An application that fetched the app's keys long ago.
    await using stranger = newDevice(at, newOwner(), { resolveAppKeys: async () => old })
    expect((await stranger.subscribe(DOMAIN, [news])).scope).toEqual([news])
  }
  expect((await veteran.update(DOMAIN, [news, alerts])).scope.sort()).toEqual([news, alerts].sort())
  await veteran.watch()

  // Somebody has got hold of the keys.
  await belfry('rotate', 'app', DOMAIN, '--overlap', '0', '--data', second.dataDir)
  await belfry('rotate', 'server', '--overlap', '0', '--data', first.dataDir)
  await notified('after a theft')
  await using late = newDevice(at, owner)
  await late.watch()
  expect((await late.update(DOMAIN, [news])).scope).toEqual([news])
  // The veteran knows the stolen key only: what the server signs now makes it look, and it is up to date again.
  await eventually(() => expect(veteran.subscriptions()[0]?.scope).toEqual([news]), 60_000)
})
