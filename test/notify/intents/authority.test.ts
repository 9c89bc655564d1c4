/** What an owner allows a device, by statement or by recap, from the registration of the key to the request. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { encodeRecap, recapStatement } from '../../../src/protocol/recap.ts'
import { type App, type DevicesWorld, NEWS, startDevices } from '../../support/world/notify-devices.ts'
import { ALL_APPS, type Sent, THIS_APP } from '../support/wallet.ts'

let town: DevicesWorld
let app: App
let other: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
  other = await town.app('other.example')
})
afterAll(() => town?.[Symbol.asyncDispose]())

const byRecap = (ability: string): Partial<Cacao['p']> => {
  const recap = { att: { 'https://notify.walletconnect.com': { [`manage/${ability}-notifications`]: [{}] } } }
  return { statement: recapStatement(recap), resources: [encodeRecap(recap)] }
}

it.each<[string, () => Partial<Cacao['p']>, string[]]>([
  ['all apps, by statement', () => ({ statement: ALL_APPS }), ['all', 'app', 'other', 'to app', 'to other']],
  ['all apps, by recap', () => byRecap('all-apps'), ['all', 'app', 'other', 'to app', 'to other']],
  ['this app, by statement', () => ({ statement: THIS_APP, domain: 'app.example' }), ['app', 'to app']],
  ['this app, by recap', () => byRecap('app.example'), ['app', 'to app']],
])('%s', async (_, grant, expected) => {
  const device = await town.device(town.newOwner(), { grant: grant() })
  const requests: Record<string, Sent> = {
    all: device.device.watch(town.address),
    app: device.device.watch(town.address, app.domain),
    other: device.device.watch(town.address, other.domain),
    'to app': device.device.subscribe(app, [NEWS]),
    'to other': device.device.subscribe(other, [NEWS]),
  }
  const may: string[] = []
  for (const [name, sent] of Object.entries(requests)) {
    const rpc = await device.call(sent)
    if (rpc.kind === 'result') may.push(name)
    else expect(rpc).toMatchObject({ code: -1, message: expect.stringContaining('not authorised') })
  }
  expect(may).toEqual(expected)
})
