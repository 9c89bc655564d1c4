/** A browser that was registered and subscribed at another service, and comes over with what it keeps. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { type HostsOptions, startHosts } from './hosts.ts'
import { call, DOMAIN, SCRIPTS, startServer, useAll } from './notify-pages.ts'

const owned = createReleaseStack()
const scripts: Record<string, string> = {}
beforeAll(async () => {
  scripts['/page.js'] = (await bundleForBrowser(SCRIPTS['@web3inbox/core 1.4.0'])).text
}, INSTALL_TIMEOUT)
afterAll(() => owned[Symbol.asyncDispose]())

it('takes its key back, registers anew, and has none of its former subscriptions', async () => {
  const former = owned.use(await startServer())
  const aliases = ['https://keys.walletconnect.com', 'https://relay.walletconnect.com']
  const server = owned.use(await startServer({ publicUrl: 'https://belfry.example.com', aliases }))
  /** The app's domain publishes the keys of the server that it is on. */
  const options: HostsOptions = { url: former.world.url, scripts }
  const hosts = owned.use(await startHosts(options))
  const page = await hosts.open(DOMAIN)
  const owner = newOwner()
  const { account, sign } = owner
  await call(page, 'redirect', former.world.url)
  await call(page, 'begin')
  await call(page, 'register', sign(String(await call(page, 'prepare', account))), account)
  await call(page, 'subscribe')
  await eventually(async () => expect(await call(page, 'subscriptions')).toHaveLength(1))

  options.url = server.world.url
  await page.reload()
  await call(page, 'redirect', server.world.url)
  await call(page, 'begin')
  await call(page, 'setAccount', account)
  // What the client keeps says so; the server knows neither.
  expect(await call(page, 'isRegistered', account)).toBe(true)
  expect(await call(page, 'subscriptions')).toHaveLength(1)

  await call(page, 'unregister', account)
  await useAll(page, server, owner)
}, 60_000)
