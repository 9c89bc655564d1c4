/** Where a wallet finds the keys of an app: its own domain, then the notify server where that is trusted. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defaultAppKeys } from '../../../src/notify/client/app-keys.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { createWallet } from '../../../src/sdk/wallet.ts'
import { newOwner } from '../../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

const HERE = 'http://localhost:8080'
const THERE = 'https://notify.test'

let world: ClientWorld
/** Documents of two apps: one stands for what the app's own domain publishes, the other for the server's copy. */
let [own, copied] = ['', '']
beforeAll(async () => {
  world = await startClientWorld()
  for (const domain of ['own.test', 'copied.test']) await world.app(domain)
  const documentOf = async (domain: string) => (await fetch(`${world.url}/apps/${domain}/did.json`)).text()
  ;[own, copied] = [await documentOf('own.test'), await documentOf('copied.test')]
})
afterAll(() => world[Symbol.asyncDispose]())

/** The network as a table of what each address answers: a document, a status, or silence. */
const resolver = (
  answers: Record<string, string | number>,
  options: Parameters<typeof defaultAppKeys>[1],
) => {
  const asked: string[] = []
  const network: typeof fetch = async (input) => {
    const url = String(input)
    asked.push(url)
    const answer = answers[url]
    if (answer === undefined) throw new TypeError('fetch failed')
    return typeof answer === 'number' ? new Response('{}', { status: answer }) : new Response(answer)
  }
  return { asked, resolve: defaultAppKeys({ clock: systemClock, fetch: network }, options) }
}
const OF_DOMAIN = 'https://app.test/.well-known/did.json'
const ofServer = (url: string) => `${url}/apps/app.test/did.json`
const keysIn = async (document: string) => {
  const { resolve } = resolver({ [OF_DOMAIN]: document }, { notifyUrl: THERE })
  return resolve('app.test')
}

describe('the keys of an app', () => {
  it('are those of its own domain, whatever the server says', async () => {
    const { resolve, asked } = resolver({ [OF_DOMAIN]: own, [ofServer(HERE)]: copied }, { notifyUrl: HERE })
    expect(await resolve('app.test')).toEqual(await keysIn(own))
    expect(asked).toEqual([OF_DOMAIN])
  })

  it.each([
    ['a server on this machine', { notifyUrl: HERE }],
    ['one at 127.0.0.1', { notifyUrl: 'http://127.0.0.1:1' }],
    ['one at [::1]', { notifyUrl: 'http://[::1]:1' }],
    ['a trusted one', { notifyUrl: THERE, trustServer: true }],
  ])('are taken from %s where the domain is silent or has none', async (_, options) => {
    for (const silence of [undefined, 404, 500, 'no json', '{}']) {
      const answers = {
        ...(silence !== undefined && { [OF_DOMAIN]: silence }),
        [ofServer(options.notifyUrl)]: copied,
      }
      expect(await resolver(answers, options).resolve('app.test')).toEqual(await keysIn(copied))
    }
  })

  it.each([
    ['a server elsewhere', { notifyUrl: THERE }],
    ['one whose name begins like this machine', { notifyUrl: 'https://localhost.test' }],
    ['one on this machine that is not trusted', { notifyUrl: HERE, trustServer: false }],
  ])('are never taken from %s, and the error says how else', async (_, options) => {
    const { resolve, asked } = resolver({ [ofServer(options.notifyUrl)]: copied }, options)
    await expect(resolve('app.test')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('trustServer: true'),
    })
    expect(asked).toEqual([OF_DOMAIN])
  })

  it('are nowhere for an app that nobody knows', async () => {
    const { resolve } = resolver({ [ofServer(HERE)]: 404 }, { notifyUrl: HERE })
    await expect(resolve('app.test')).rejects.toMatchObject({
      code: 'unknown_app',
      message: expect.stringContaining(`${HERE} knows no app app.test`),
    })
  })
})

it('a wallet of this machine subscribes to an app without a domain, without being told how', async () => {
  const owner = newOwner()
  await using wallet = createWallet({
    url: world.url,
    account: owner.account,
    sign: async (text) => owner.sign(text),
    domain: 'wallet.test',
    allApps: true,
  })
  expect(await wallet.subscribe('own.test')).toMatchObject({ domain: 'own.test', account: owner.account })
})
