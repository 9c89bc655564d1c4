/** Who is told what: requesters with and without a watcher, of the old and the new protocol version, and how many watch. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Owner } from '../../support/owner.ts'
import {
  type App,
  type DevicesWorld,
  NEWS,
  OFFERS,
  startDevices,
  viewIn,
} from '../../support/world/notify-devices.ts'
import type { Online } from '../support/online.ts'
import type { Sent } from '../support/wallet.ts'

let town: DevicesWorld
let app: App
let other: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
  other = await town.app('other.example')
})
afterAll(() => town?.[Symbol.asyncDispose]())

/** Everything that changes what an account has at `app`, by the device; in this order. */
const changesBy = async function* (device: Online, owner: Owner): AsyncGenerator<[string, Sent]> {
  yield ['subscribe', device.device.subscribe(app, [NEWS])]
  const { key } = await town.subscribe(await town.device(owner), app, [NEWS])
  yield ['update', device.device.ask(4008, app, key, { scp: OFFERS })]
  yield ['delete', device.device.ask(4004, app, key)]
}

describe('an answer shows', () => {
  it.each<[string, string | null | undefined, string[]]>([
    ['a device that does not watch: the app alone', undefined, ['app.example']],
    ['a device that watches this app: the app alone', 'app.example', ['app.example']],
    ['a device that watches another app: the app alone', 'other.example', ['app.example']],
    // Not on a notify topic, which every device of the account can open, whatever it may see.
    ['a device that watches all: everything, after a subscribe', null, ['app.example', 'other.example']],
  ])('%s', async (_, watched, afterSubscribe) => {
    const owner = town.newOwner()
    const device = await town.device(owner)
    await town.subscribe(device, other)
    if (watched !== undefined) await town.watch(device, watched)
    for await (const [name, sent] of changesBy(device, owner)) {
      const domains = viewIn(await device.ask(sent)).map(({ appDomain }) => appDomain)
      const expected = { subscribe: afterSubscribe, update: ['app.example'], delete: [] }[name]
      expect([name, domains.sort()]).toEqual([name, expected])
    }
  })
})

describe('a change is heard by other devices of the account, and by the one that asked', () => {
  it.each<[string, { mjv?: string | undefined }, number]>([
    ['not after a subscribe, with mjv 1', { mjv: '1' }, 0],
    ['too, with mjv 0', { mjv: '0' }, 1],
    ['too, without mjv', { mjv: undefined }, 1],
  ])('%s', async (_, version, own) => {
    const owner = town.newOwner()
    const device = await town.device(owner, version)
    const watching = await town.watch(device)
    const bystander = await town.watch(await town.device(owner))
    const limited = await town.watch(await town.device(owner), other.domain)
    const stranger = await town.watch(await town.device(town.newOwner()))
    for await (const [name, sent] of changesBy(device, owner)) {
      const before = [await watching.changes(), await bystander.changes()].map(({ length }) => length)
      const answer = viewIn(await device.ask(sent))
      const after = [await watching.changes(), await bystander.changes()]
      const heard = after.map(({ length }, at) => length - (before[at] ?? 0))
      // The full view follows an answer on a notify topic, which lists its app alone.
      expect([name, ...heard]).toEqual([name, name === 'subscribe' ? own : 1, 1])
      // A whole view, the same as in the answer.
      const last = after[1]?.at(-1)
      expect(last && viewIn(last)).toEqual(answer)
    }
    expect(await limited.changes()).toEqual([])
    expect(await stranger.changes()).toEqual([])
  })
})

it('25 devices of an address may watch an app; who watches already may again, and who stopped does not count', {
  timeout: 60_000,
}, async () => {
  const owner = town.newOwner()
  // The chain makes no difference.
  const devices: Online[] = []
  for (let at = 0; at < 25; at++) devices.push(await town.device(owner, { account: owner.on(1 + (at % 3)) }))
  for (const device of devices) expect((await town.watch(device, app.domain)).first).toEqual([])

  const late = await town.device(owner)
  const tooMany = { code: -1, message: 'Too many watchers for this account and app' }
  expect(await town.refusal(late, late.device.watch(town.address, app.domain))).toEqual(tooMany)
  for (const again of devices.slice(0, 2)) expect((await town.watch(again, app.domain)).first).toEqual([])
  expect(await town.refusal(late, late.device.watch(town.address, app.domain))).toEqual(tooMany)
  // The limit is one of this app, and of this address.
  expect((await town.watch(late, other.domain)).first).toEqual([])
  expect((await town.watch(await town.device(owner))).first).toEqual([])
  expect((await town.watch(await town.device(town.newOwner()), app.domain)).first).toEqual([])

  town.hands.leap(86_400_000 + 1000)
  const { changes } = await town.watch(late, app.domain)
  const actor = await town.device(owner)
  await actor.ask(actor.device.subscribe(app, []))
  expect(await changes()).toHaveLength(1)
})
