/** Webhooks of one project that never answer: another project's is called, and a wallet's messages go on. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createWallet, fromNotifyServer } from '../../src/sdk/wallet.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startReceiver } from '../support/webhook-receiver.ts'
import { startWorld, type World } from '../support/world.ts'
import { startPulse } from './pulse.ts'

const DOMAIN = 'bystander.example'
const EVENTS = ['subscribed', 'updated', 'delivered', 'read']

/** Agrees to be told, and keeps every event after that. */
const startHanging = async (how: 'never answer' | 'switch protocols') => {
  let events = 0
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    if (z.object({ type: z.string() }).parse(JSON.parse(text)).type === 'challenge') {
      response.writeHead(204).end()
      return
    }
    events++
    if (how === 'never answer') return
    request.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    events: () => events,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const register = async (world: World, project: { id: string; secret: string }, url: string) => {
  const answer = await world.http('POST', `/${project.id}/register-webhook`, {
    token: project.secret,
    body: { url, events: EVENTS },
  })
  expect(answer.status).toBeLessThan(300)
}

describe.each(['socket', 'webhook'] as const)('with messages by %s', (notifyIngress) => {
  it.each(['never answer', 'switch protocols'] as const)(
    'twenty webhooks of one project that %s hold up nobody else',
    async (how) => {
      await using world = await startWorld({
        config: {
          notifyIngress,
          allowPrivateAddresses: { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] },
        },
      })
      await using hanging = await startHanging(how)
      await using receiver = await startReceiver()
      for (let at = 0; at < 20; at++) await register(world, world.project, `${hanging.url}/${at}`)
      const app = await world.addApp(DOMAIN, { project: 'bystander', types: [{ name: 'News' }] })
      await register(world, { id: app.projectId, secret: app.secret ?? '' }, receiver.url)
      await eventually(() => expect(receiver.challenges).toHaveLength(1))

      await using pulse = await startPulse(world)
      await eventually(() => expect(hanging.events()).toBeGreaterThanOrEqual(16))
      await pulse.next()
      const owner = newOwner()
      await using wallet = createWallet({
        url: world.url,
        account: owner.account,
        sign: async (text) => owner.sign(text),
        domain: 'wallet.example',
        allApps: true,
        resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, world.url),
      })
      await wallet.watch()
      await wallet.subscribe(DOMAIN)
      await eventually(
        () => expect(receiver.calls.map(({ event }) => event.type)).toContain('subscribed'),
        8_000,
      )
      await pulse.next()
      expect((await world.http('GET', '/health')).status).toBe(200)
      await pulse.stop()
    },
  )
})
