/** What each kind of grant lets an identity key do, asked for in real requests (protocol.md §7.4, §7.5). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../../src/protocol/bytes.ts'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { encodeRecap, recapStatement } from '../../../src/protocol/recap.ts'
import { DOMAIN, PUBLIC_URL, startNotify, type TestNotify } from '../../support/world/notify.ts'
import { ALL_APPS, type Device, newOwner, type Sent, THIS_APP } from '../support/wallet.ts'

const OTHER = 'other.example'
const OFFICIAL = 'https://notify.walletconnect.com'
const IDENTITY = (scope: string) =>
  `I further authorize this app to send and receive messages on my behalf ${scope}using my WalletConnect identity. Read more at https://walletconnect.com/identity`

type Grant = Partial<Cacao['p']>
/** As wallets that show it write it, and as published ones do, who leave it out of the payload. */
const recap = (att: Record<string, string[]>, lead = ''): Grant[] => {
  const entries = Object.entries(att).map(([uri, abilities]) => [
    uri,
    Object.fromEntries(abilities.map((ability) => [ability, [{}]])),
  ])
  const granted = { att: Object.fromEntries(entries) }
  const resources = ['https://keys.example', encodeRecap(granted)]
  return [
    { statement: lead + recapStatement(granted), resources },
    { statement: lead.trim(), resources },
  ]
}
const forApp = `manage/${DOMAIN}-notifications`
const forAll = 'manage/all-apps-notifications'

let world: TestNotify
let other: TestNotify['app']
beforeAll(async () => {
  world = await startNotify()
  other = await world.enrol(OTHER)
})
afterAll(() => world[Symbol.asyncDispose]())

/** The account is subscribed to both apps by another device; this one has the grant. Answers what it may do. */
const powersOf = async (grant: Grant): Promise<string[]> => {
  const owner = newOwner()
  const full = world.newDevice({ owner })
  const keys = new Map<string, Uint8Array>()
  for (const app of [world.app, other]) {
    const { claims } = await world.ask(full.subscribe(app, ['news']))
    for (const { appDomain, symKey } of claims.sbs as { appDomain: string; symKey: string }[]) {
      keys.set(appDomain, fromHex(symKey))
    }
  }
  const device: Device = world.newDevice({ owner, payload: grant })
  const requests: [string, () => Sent][] = [
    ['watch all', () => device.watch(world.address)],
    ...[world.app, other].flatMap((app): [string, () => Sent][] => {
      const key = keys.get(app.domain) ?? new Uint8Array(32)
      const named = app === other ? 'other' : 'this'
      return [
        [`watch ${named}`, () => device.watch(world.address, app.domain)],
        [`subscribe ${named}`, () => device.subscribe(app, ['news'])],
        [`update ${named}`, () => device.ask(4008, app, key, { scp: 'news' })],
        [`history ${named}`, () => device.ask(4014, app, key, { lmt: 5, aft: null, urf: false })],
        [`mark ${named}`, () => device.ask(4016, app, key, { all: true, ids: null })],
        [`delete ${named}`, () => device.ask(4004, app, key)],
      ]
    }),
  ]
  const may: string[] = []
  for (const [name, request] of requests) {
    const { rpc } = await world.ask(request())
    if (rpc.kind === 'result') may.push(name)
    else expect(rpc).toMatchObject({ kind: 'failure', code: -1 })
  }
  return may
}

const METHODS = ['watch', 'subscribe', 'update', 'history', 'mark', 'delete']
const THIS = METHODS.map((method) => `${method} this`)
const ALL = ['watch all', ...THIS, ...METHODS.map((method) => `${method} other`)]

describe.each<[string, string[], Grant[]]>([
  [
    'everything',
    ALL,
    [
      { statement: ALL_APPS },
      { statement: ALL_APPS.replace('notifications-all-apps', 'notifications') },
      { statement: IDENTITY('for ALL domains ') },
      { statement: IDENTITY('') },
      ...recap({ [PUBLIC_URL]: [forAll] }),
      ...recap({ [`${PUBLIC_URL}/`]: [forAll] }, 'I accept. '),
      ...recap({ [OFFICIAL]: [forAll] }, 'I accept. '),
      // What it says of others is theirs.
      ...recap({ eip155: ['request/personal_sign'], [OFFICIAL]: [forAll] }),
    ],
  ],
  [
    'one app',
    THIS,
    [
      { statement: THIS_APP, domain: DOMAIN },
      { statement: IDENTITY('for THIS domain '), domain: DOMAIN },
      ...recap({ [PUBLIC_URL]: [forApp] }),
      ...recap({ [OFFICIAL]: [forApp] }, 'I accept. '),
      // The recap decides, whatever the statement before it says.
      ...recap({ [OFFICIAL]: [forApp] }, `${ALL_APPS} `),
    ],
  ],
  [
    'nothing',
    [],
    [
      { statement: THIS_APP, domain: 'wallet.example' },
      { statement: `${ALL_APPS} ` },
      { statement: 'I like it here.' },
      { statement: '' },
      ...recap({ 'https://other.example': [forAll] }, `${ALL_APPS} `),
      ...recap({ [`${PUBLIC_URL}.evil.example`]: [forAll] }),
      ...recap({ [PUBLIC_URL]: [forAll, forApp] }),
      ...recap({ [PUBLIC_URL]: [forAll], [OFFICIAL]: [forAll] }),
      ...recap({ [PUBLIC_URL]: ['manage/notifications'] }),
      ...recap({ [PUBLIC_URL]: ['push/all-apps-notifications'] }),
      ...recap({ [PUBLIC_URL]: ['manage/all-apps-notifications-not'] }),
      // The statement ends with another one.
      ...recap({ [PUBLIC_URL]: [forAll] }).map((grant) => ({
        ...grant,
        statement: `${recap({ [PUBLIC_URL]: [forApp] })[0]?.statement}`,
      })),
    ],
  ],
])('a grant of %s', (_, expected, grants) => {
  it.each(grants.map((grant) => [grant.statement, grant] as const))('%s', async (_statement, grant) => {
    expect((await powersOf(grant)).sort()).toEqual([...expected].sort())
  })
})
