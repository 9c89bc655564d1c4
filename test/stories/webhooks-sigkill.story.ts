import { expect, it } from 'vitest'
import { z } from 'zod'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { sharedRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice, temporaryHome } from '../support/story.ts'
import { startReceiver } from '../support/webhook-receiver.ts'

const DOMAIN = 'story.example.com'
const KILLS = crowd(3, 2)
const WALLETS_A_ROUND = 6

// Both wait for leases of processes that were killed.
it.concurrent.each([
  ['LMDB', async () => ({})],
  [
    'Redis',
    async () => ({
      REDIS_URL: (await sharedRedis()).url,
      BELFRY_SECRET: 'a secret of 32 bytes, or so it is',
    }),
  ],
])(
  'on %s a process that is killed again and again tells of every subscription, and greets it once',
  {
    timeout: 240_000,
  },
  async (_, environment) => {
    await using home = await temporaryHome()
    const port = await freePort()
    const env = { ...(await environment()), BELFRY_ALLOW_PRIVATE_ADDRESSES: 'webhooks=127.0.0.1' }
    const start = () => startServerProcess(home.path, { port, env })
    let server = await start()
    const app = await enrol(home.path, DOMAIN)
    const type = app.types[0]?.id ?? ''
    await using receiver = await startReceiver()
    const post = async (path: string, body: unknown) => {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      expect(response.status).toBeLessThan(300)
    }
    await post(`/v0/${app.projectId}/welcome-notification`, {
      ...{ enabled: true, type, title: 'Welcome', body: 'Good to see you', url: null },
    })
    await post(`/${app.projectId}/register-webhook`, { url: receiver.url, events: ['subscribed'] })

    const wallets = Array.from({ length: KILLS * WALLETS_A_ROUND }, () => newDevice(server))
    for (let kill = 0; kill < KILLS; kill++) {
      const round = wallets.slice(kill * WALLETS_A_ROUND, (kill + 1) * WALLETS_A_ROUND)
      const subscribing = Promise.all(
        round.map(async (wallet, at) => {
          // Some are on their way when it happens, some have just been answered.
          await new Promise((resolve) => setTimeout(resolve, at * 20))
          // A kill may fail it; whoever asked asks again, as real ones do.
          return eventually(() => wallet.subscribe(DOMAIN, [type]), 60_000)
        }),
      )
      await Promise.race([subscribing, new Promise((resolve) => setTimeout(resolve, 100 + 60 * kill))])
      await server.end('SIGKILL')
      server = await start()
      await subscribing
    }
    const accounts = wallets.map(({ account }) => account).sort()
    const told = () => receiver.calls.filter(({ event }) => event.type === 'subscribed')
    await eventually(() => {
      expect([...new Set(told().map(({ event }) => event.data.account))].sort()).toEqual(accounts)
      // A killed process had it in its outbox, or under way: each is free after half a minute.
    }, 90_000)
    // One event each: what came twice has the same id.
    expect(new Set(told().map(({ id }) => id)).size).toBe(accounts.length)
    const page = z.object({ notifications: z.array(z.object({ title: z.string() })) })
    for (const wallet of wallets) {
      // What a killed process had taken of the outbox is free after half a minute.
      await eventually(async () => {
        const { notifications } = page.parse(await wallet.history(DOMAIN))
        expect(notifications.map(({ title }) => title)).toEqual(['Welcome'])
      }, 60_000)
      await wallet[Symbol.asyncDispose]()
    }
    await server[Symbol.asyncDispose]()
  },
)
