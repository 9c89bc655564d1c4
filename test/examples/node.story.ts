/** Examples for Node, each as a process that its own script starts, before a real server and with somebody at the other end. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile, stat, symlink } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { eventually } from '../support/eventually.ts'
import { COMMAND, freePort } from '../support/process.ts'
import { temporaryHome } from '../support/story.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'
import { start } from './example.ts'

const owned = createReleaseStack()
let world: ClientWorld
let home: string
beforeAll(async () => {
  const allowed = { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] }
  world = owned.use(await startClientWorld({ allowPrivateAddresses: allowed }))
  home = owned.use(await temporaryHome()).path
})
afterAll(() => owned[Symbol.asyncDispose]())

const project = () => ({
  BELFRY_URL: world.url,
  PROJECT_ID: world.project.id,
  PROJECT_SECRET: world.project.secret,
})

const asked = async (url: string, method: string, body?: unknown) => {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${world.project.secret}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) }
}

describe('dapp-express', () => {
  it('declares its app, sends once for an id, and tells what became of it', async () => {
    const port = await freePort()
    const env = { ...project(), APP_DOMAIN: 'shop.test', PORT: String(port) }
    await using server = start('dapp-express', 'start', { env })
    await server.says('shop.test listens')
    const { wallet, titles } = world.device(world.newOwner())
    await wallet.subscribe('shop.test')
    const url = `http://127.0.0.1:${port}`
    const order = { id: 'order-1', title: 'Your order', body: 'It is on its way' }
    const sent = { id: 'order-1', sent: [wallet.account], failed: [], notFound: [] }
    expect(await asked(`${url}/notify`, 'POST', order)).toEqual({ status: 202, body: sent })
    expect(await asked(`${url}/notify`, 'POST', order)).toMatchObject({ status: 202 })
    await eventually(() => expect(titles()).toEqual(['Your order']))
    await wallet.markRead('shop.test', 'all')
    await eventually(async () =>
      expect(await asked(`${url}/sent/order-1`, 'GET')).toMatchObject({
        status: 200,
        body: { status: 'done', counts: { read: 1 }, accounts: [{ account: wallet.account, state: 'read' }] },
      }),
    )
    expect(titles()).toEqual(['Your order'])
    expect(await asked(`${url}/sent/never`, 'GET')).toMatchObject({ status: 404 })
    const refused = await asked(`${url}/notify`, 'POST', { ...order, id: 'order-2', title: '' })
    expect(refused.status).toBe(422)
    expect(refused.body.error).toContain('title')
    expect(server.output()).not.toContain(world.project.secret)
  })
})

describe('wallet-node', () => {
  it('prints and marks as read, closes on Ctrl-C, and is subscribed still the next time', async () => {
    const [News = ''] = await world.app('news.test')
    const dapp = world.dapp('news.test')
    const [PRIVATE_KEY, SEAL_KEY] = [0, 0].map(() => `0x${randomBytes(32).toString('hex')}`)
    knownSecret('private key of an account', PRIVATE_KEY)
    knownSecret('key of a store', SEAL_KEY)
    const STATE_FILE = join(home, 'wallet.state')
    const env = { BELFRY_URL: world.url, APP_DOMAIN: 'news.test', STATE_FILE, PRIVATE_KEY, SEAL_KEY }
    const send = async (id: string) =>
      dapp.notify({ type: News, title: id, body: 'from the tower' }, await dapp.subscribers(), { id })
    const isRead = (id: string) =>
      eventually(async () => expect((await dapp.notification(id)).counts).toMatchObject({ read: 1 }))

    await using first = start('wallet-node', 'start', { env })
    await first.says(/^eip155:1:0x[\da-fA-F]{40} is subscribed to news.test$/m)
    await send('one')
    await first.says('news.test: one: from the tower\n')
    await isRead('one')
    expect(await first.end('SIGINT')).toBe(0)
    expect(first.output()).toMatch(/Closed\n$/)
    expect((await stat(STATE_FILE)).mode & 0o777).toBe(0o600)
    expect(await readFile(STATE_FILE, 'utf8')).not.toContain('news.test')

    await send('two')
    await using second = start('wallet-node', 'start', { env })
    await second.says('news.test: two: from the tower\n')
    await isRead('two')
    await second.says('is subscribed to news.test\n')
    expect(await second.end('SIGTERM')).toBe(0)
    expect((await dapp.subscribers()).length).toBe(1)

    await using wrong = start('wallet-node', 'start', { env: { ...env, SEAL_KEY: PRIVATE_KEY } })
    expect(await wrong.end()).toBe(1)
    expect(wrong.output()).toContain('state_unreadable')
  })
})

describe('webhook-receiver', () => {
  it('agrees to be told, prints events, and refuses what is not signed', async () => {
    await world.app('hooks.test')
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/`
    const webhook = { url, events: ['subscribed', 'unsubscribed', 'read'] }
    const { id } = world.project
    // Its secret is told now. Nobody answers the first challenge; it comes again before the first event.
    const { status, body } = await asked(`${world.url}/${id}/register-webhook`, 'POST', webhook)
    expect(status).toBe(201)
    const env = { WEBHOOK_SECRET: String(body.secret), PORT: String(port) }
    knownSecret('webhook secret', env.WEBHOOK_SECRET)
    await using receiver = start('webhook-receiver', 'start', { env })
    await receiver.says('Listens on')
    const forged = await fetch(url, { method: 'POST', body: '{"type":"challenge"}' })
    expect(forged.status).toBe(401)
    const large = await fetch(url, { method: 'POST', body: 'x'.repeat(1_100_000) }).catch(() => undefined)
    // It hears no answer where its connection ends before it has sent everything.
    expect(large?.status ?? 413).toBe(413)
    const { wallet } = world.device(world.newOwner())
    await wallet.subscribe('hooks.test')
    await receiver.says('Belfry asks whether we want events')
    await receiver.says(`${wallet.account} wants `)
    await wallet.delete('hooks.test')
    await receiver.says(`${wallet.account} left: deleted`)
    expect(receiver.output().match(/ left: /g)).toHaveLength(1)
    expect(receiver.output()).not.toContain(env.WEBHOOK_SECRET)
  })
})

describe('mcp-agent', () => {
  it('asks a person, waits, and prints the answer that was signed', async () => {
    await world.app('agent.test', ['Questions'])
    const { wallet, received } = world.device(world.newOwner())
    await wallet.subscribe('agent.test')
    // Where npm links the command of the `belfry` that the example depends on.
    await symlink(resolve(COMMAND), join(home, 'belfry'))
    await chmod(COMMAND, 0o755)
    const { PROJECT_ID: BELFRY_PROJECT_ID, PROJECT_SECRET: BELFRY_PROJECT_SECRET } = project()
    const env = {
      ...{ BELFRY_SERVER: world.url, BELFRY_PROJECT_ID, BELFRY_PROJECT_SECRET },
      ...{ APP_DOMAIN: 'agent.test', TYPE: 'Questions' },
      PATH: `${home}${delimiter}${process.env.PATH}`,
    }
    await using agent = start('mcp-agent', 'start', { env, args: [wallet.account, 'deploy-7'] })
    const question = await eventually(() => {
      const [one] = received
      if (!one) throw new Error(`Nothing was asked:\n${agent.output()}`)
      return one
    })
    expect(question.title).toBe('Deploy to production?')
    await wallet.answer('agent.test', question.id, 'yes')
    expect(await agent.end()).toBe(0)
    expect(agent.output()).toMatch(/^eip155:1:0x\S+ says yes, 20\S+Z$/m)
    // Another one with the same id asks nobody again, and is told the same.
    await using again = start('mcp-agent', 'start', { env, args: [wallet.account, 'deploy-7'] })
    expect(await again.end()).toBe(0)
    expect(again.output()).toBe(agent.output())
    expect(received).toHaveLength(1)
  })
})
