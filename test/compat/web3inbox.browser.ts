/**
 * The published clients of the hosted service in Chromium, unmodified: @web3inbox/core 1.4.0 and 1.1.0, and notify-client 1.4.1.
 * They find the server by `redirectWalletConnect`, or by the names of the fixed hosts alone.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FIXED_HOSTS } from '../../src/platform/net/fixed-hosts.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { startChain } from '../support/chain.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { newOwner } from '../support/owner.ts'
import { type Hosts, startHosts } from './hosts.ts'
import { call, DOMAIN, SCRIPTS, type Server, startServer, useAll } from './notify-pages.ts'

const CLIENTS = Object.keys(SCRIPTS).map((name): [string, number] => [
  name,
  Object.keys(SCRIPTS).indexOf(name),
])

const bundles = async (): Promise<Record<string, string>> => {
  const made = await Promise.all(Object.values(SCRIPTS).map((text) => bundleForBrowser(text)))
  return Object.fromEntries(made.map(({ text }, at) => [`/${at}.js`, text]))
}

const owned = createReleaseStack()
let scripts: Record<string, string>
beforeAll(async () => {
  scripts = await bundles()
}, 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

describe('with redirectWalletConnect, against a server without a public URL', () => {
  let server: Server
  let hosts: Hosts
  beforeAll(async () => {
    server = owned.use(await startServer())
    hosts = owned.use(await startHosts({ url: server.world.url, scripts }))
  }, INSTALL_TIMEOUT + 60_000)

  it.each(CLIENTS)(
    '%s registers, subscribes, receives, reads its history and unsubscribes',
    async (_, at) => {
      const page = await hosts.open(DOMAIN, String(at))
      await call(page, 'redirect', server.world.url)
      await useAll(page, server)
      expect(hosts.fixedAsked()).toEqual([])
    },
    60_000,
  )
})

/** What `docs/wallets.md` says of each fixed host: the alias that it needs, or none. */
const documented = async (): Promise<Map<string, string | undefined>> => {
  const rows = (await readFile('docs/wallets.md', 'utf8')).matchAll(
    /^\| (`[a-z-]+\.walletconnect\.[^|]*) \|[^|]*\| ([^|]*) \|$/gm,
  )
  return new Map(
    [...rows].flatMap(([, names = '', alias = '']) =>
      names.split(', ').map((name): [string, string | undefined] => {
        const host = name.replaceAll('`', '')
        return [host, alias === 'none' ? undefined : `https://${host}`]
      }),
    ),
  )
}

describe('by names alone, against a server with a public URL and the documented aliases', () => {
  let server: Server
  let hosts: Hosts
  beforeAll(async () => {
    const aliases = [...(await documented()).values()].filter((alias) => alias !== undefined)
    server = owned.use(await startServer({ publicUrl: 'https://belfry.example.com', aliases }))
    hosts = owned.use(await startHosts({ url: server.world.url, leads: FIXED_HOSTS, scripts }))
  }, INSTALL_TIMEOUT + 60_000)

  it('the document names the hosts that the package moves', async () => {
    expect([...(await documented()).keys()].sort()).toEqual([...FIXED_HOSTS].sort())
  })

  it.each(CLIENTS)(
    '%s registers, subscribes, receives, reads its history and unsubscribes',
    async (_, at) => {
      hosts.asked.clear()
      await useAll(await hosts.open(DOMAIN, String(at)), server)
      const said = ['relay', 'notify', 'keys', 'explorer-api'].map((name) => `${name}.walletconnect.com`)
      expect([...hosts.asked]).toEqual(expect.arrayContaining(said))
    },
    60_000,
  )
})

describe('an account that is a contract', () => {
  const start = async (rpcProxy: 'on' | 'off') => {
    const chain = owned.use(await startChain())
    const server = owned.use(await startServer({ rpcProxy, rpcUrls: { 'eip155:1': chain.url } }))
    const hosts = owned.use(await startHosts({ url: server.world.url, scripts }))
    const page = await hosts.open(DOMAIN, '0')
    await call(page, 'redirect', server.world.url)
    const owner = newOwner()
    const contract = chain.counterfactual(owner.address)
    await contract.deploy()
    return { server, page, account: `eip155:1:${contract.address}`, sign: owner.sign }
  }

  it('does all of it where the server passes calls on to the node of its chain', async () => {
    const { server, page, account, sign } = await start('on')
    await useAll(page, server, { account, sign })
  }, 60_000)

  it('is taken for one of a key where the server passes nothing on, and is refused', async () => {
    const { page, account, sign } = await start('off')
    await call(page, 'begin')
    const signature = sign(String(await call(page, 'prepare', account)))
    await expect(call(page, 'register', signature, account)).rejects.toThrow('Failed to register')
    expect(await call(page, 'isRegistered', account)).toBe(false)
  }, 60_000)
})
