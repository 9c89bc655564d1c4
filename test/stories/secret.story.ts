/** BELFRY_SECRET is changed under live subscriptions, and whoever does it is killed on the way. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { createVault } from '../../src/notify/apps/vault.ts'
import type { NotifyStore } from '../../src/notify/store/store.ts'
import { readAdminAccess } from '../../src/server/config/data-dir.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { freePort, type ServerProcess, startServerProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { type EnrolledApp, enrol, newDevice, postNotification, temporaryHome } from '../support/story.ts'
import { strikesAtSeal } from '../support/strike.ts'
import { signatureOf, startReceiver } from '../support/webhook-receiver.ts'

const PEOPLE = crowd(4_000, 1_000)
const DOMAIN = 'secret.example.com'

/** Subscriptions of people who are away: there must be something to be killed in the middle of. */
const fill = async (store: NotifyStore, secret: string): Promise<void> => {
  const vault = createVault(Buffer.from(secret))
  const expiresAt = Date.now() + 86_400_000
  for (let from = 0; from < PEOPLE; from += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, at) => {
        const address = `0x${(from + at + 1).toString(16).padStart(40, '0')}`
        const accountKey = `eip155:${address}`
        const subscription = {
          ...{ id: `s${from + at}`, domain: DOMAIN, scope: [], key: vault.seal(randomBytes(32)) },
          ...{ topic: randomBytes(32).toString('hex'), createdAt: Date.now(), expiresAt },
          account: `eip155:1:${address}`,
        }
        const record = { subscriptions: [subscription], watchers: [] }
        return store.commit({ accountKey, expectedVersion: 0, record, outbox: [] })
      }),
    )
  }
}

/** Every sealed thing of the store: how many open with this secret, and how many do not. */
const openWith = async (
  { notify, transfer }: Stores,
  secret: string,
): Promise<{ open: number; other: number }> => {
  const vault = createVault(Buffer.from(secret))
  const found = { open: 0, other: 0 }
  const look = (sealed: readonly string[]) => {
    for (const one of sealed) {
      try {
        vault.open(one)
        found.open += 1
      } catch {
        found.other += 1
      }
    }
  }
  const from = { now: Date.now() }
  for await (const { records } of transfer.read.serverKeys.read(from)) {
    for (const { keys } of records) look(Object.values(keys))
  }
  for await (const { records } of transfer.read.project.read(from)) {
    for (const { id } of records) {
      const { webhooks } = await notify.webhooks(id)
      look(webhooks.flatMap(({ secret, previous }) => (previous ? [secret, previous.secret] : [secret])))
    }
  }
  for await (const { records } of transfer.read.app.read(from)) {
    for (const app of records) look([app.authenticationSeed, app.subscribePrivateKey])
  }
  for await (const { records } of transfer.read.account.read(from)) {
    for (const { record } of records) {
      look([...record.subscriptions, ...record.watchers].map(({ key }) => key))
    }
  }
  return found
}

/** A webhook whose secret was just rotated: both of its secrets as they were shown, the present one first. */
const hookOf = async (server: ServerProcess, app: EnrolledApp, url: string): Promise<string[]> => {
  const ask = async (method: string, path: string, body: object) => {
    const headers = { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' }
    const of = `${server.url}/${app.projectId}/${path}`
    const answer = await fetch(of, { method, headers, body: JSON.stringify(body) })
    return z.object({ id: z.string().optional(), secret: z.string() }).parse(await answer.json())
  }
  const { id, secret } = await ask('POST', 'register-webhook', { url, events: ['updated'] })
  return [(await ask('PUT', `webhooks/${id}`, { rotate_secret: true })).secret, secret]
}

const belfry = (...words: string[]) => promisify(execFile)(process.execPath, ['dist/cli/main.js', ...words])

/** What kills a server in the middle of sealing anew. */
const HALF_WAY = strikesAtSeal(PEOPLE / 2)
/** Begins to seal anew, at a server that dies half-way, and resolves when it has. */
const halfWay = async (dataDir: string, server: ServerProcess): Promise<void> => {
  const access = readAdminAccess(dataDir)
  const headers = { authorization: `Bearer ${access?.token}` }
  // It may die before it answers.
  await fetch(`${access?.url}/admin/reseal`, { method: 'POST', headers }).catch(() => {})
  expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' })
}

/** A wallet that was there before, another one that comes new, a dapp with the secret that it has always had. */
const everythingWorks = async (
  server: ServerProcess,
  app: EnrolledApp,
  {
    owner,
    state,
    name,
  }: { owner: Owner; state: ReturnType<ReturnType<typeof newDevice>['export']>; name: string },
) => {
  await using veteran = newDevice(server, owner, { state })
  await using newcomer = newDevice(server, owner)
  const received = [veteran, newcomer].map((device) => {
    const bodies: string[] = []
    device.on('message', ({ notification }) => void bodies.push(notification.body))
    return bodies
  })
  await newcomer.watch()
  expect(newcomer.subscriptions().map(({ domain }) => domain)).toEqual([DOMAIN])
  const scope = [app.types[0]?.id ?? '']
  expect((await veteran.update(DOMAIN, scope)).scope).toEqual(scope)
  const sent = await postNotification(server, app, { id: name, body: name, accounts: [owner.account] })
  expect(sent.sent).toEqual([owner.account])
  await eventually(() => {
    for (const bodies of received) expect(bodies).toContain(name)
  })
  return veteran.export()
}

// They wait for starts, commands and connections by turns: all three at the same time.
it.concurrent('a new secret for the embedded store is made, used and finished, over a kill', {
  timeout: 240_000,
}, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  const env = { BELFRY_ALLOW_PRIVATE_ADDRESSES: 'webhooks=127.0.0.1' }
  const start = (more: NodeJS.ProcessEnv = {}) =>
    startServerProcess(home.path, { port, env: { ...env, ...more } })
  const secretNow = () => readFileSync(join(home.path, 'secret'), 'utf8')
  const stored = async <T>(look: (stores: Stores) => Promise<T>): Promise<T> => {
    await using stores = await openLmdb({ path: join(home.path, 'store') })
    return await look(stores)
  }

  let server = await start()
  const app = await enrol(home.path, DOMAIN)
  await using receiver = await startReceiver()
  const hook = await hookOf(server, app, receiver.url)
  const owner = newOwner()
  await using first = newDevice(server, owner)
  await first.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
  let state = first.export()
  await first[Symbol.asyncDispose]()
  const publicKey = await (await fetch(`${server.url}/public-key`)).text()
  expect(await server.end('SIGTERM')).toBe(0)
  const former = secretNow()
  await stored(({ notify }) => fill(notify, former))

  expect((await belfry('reseal', '--new', '--data', home.path)).stdout).toContain('belfry reseal')
  expect(secretNow()).not.toBe(former)
  await expect(belfry('reseal', '--new', '--data', home.path)).rejects.toMatchObject({
    stderr: expect.stringContaining('not finished'),
  })
  server = await start(HALF_WAY)
  state = await everythingWorks(server, app, { owner, state, name: 'with both' })
  await halfWay(home.path, server)
  const middle = await stored((stores) => openWith(stores, secretNow()))
  expect(middle.open).toBeGreaterThan(0)
  expect(middle.other).toBeGreaterThan(0)

  server = await start()
  const { stdout } = await belfry('reseal', '--data', home.path)
  expect(stdout).toContain('none needs the former secret')
  expect(existsSync(join(home.path, 'secret.previous'))).toBe(false)
  // Nobody needs it, and it is not gone.
  const [away = ''] = readdirSync(home.path).filter((name) => /^secret\.previous\.\d+$/.test(name))
  expect(readFileSync(join(home.path, away), 'utf8')).toBe(former)
  await server.end('SIGTERM')
  expect(await stored((stores) => openWith(stores, secretNow()))).toMatchObject({ other: 0 })

  server = await start()
  const before = receiver.calls.length
  await everythingWorks(server, app, { owner, state, name: 'with the new one' })
  // Both secrets of the webhook, as they were shown before all this, sign under the new secret alone.
  await eventually(() => {
    const [call] = receiver.calls.slice(before)
    if (!call) throw new Error('The webhook was not called')
    expect(call.signatures).toEqual(hook.map((shown) => signatureOf(shown, call)))
  })
  // What was derived from the first secret is what it was.
  expect(await enrol(home.path, DOMAIN)).toEqual(app)
  expect(await (await fetch(`${server.url}/public-key`)).text()).toBe(publicKey)
  await server.end('SIGTERM')
})

const ORDERS = [
  ['new', 'start', 'reseal'],
  ['new', 'reseal', 'start'],
  ['reseal', 'new', 'start'],
] as const

it.concurrent('the three commands, in the order of docs/operate.md and others, beside a server that runs with the former secret, lose nothing', {
  timeout: 240_000,
}, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  const start = () => startServerProcess(home.path, { port })
  const secrets = () =>
    ['secret', 'secret.previous'].flatMap((name) => {
      const file = join(home.path, name)
      return existsSync(file) ? [readFileSync(file, 'utf8')] : []
    })
  /** How many sealed things none of the secrets opens that the next start would know. */
  const lost = async (): Promise<number> => {
    await using stores = await openLmdb({ path: join(home.path, 'store') })
    const counts = await Promise.all(secrets().map((secret) => openWith(stores, secret)))
    return counts.reduce((all, { open }) => all - open, (counts[0]?.open ?? 0) + (counts[0]?.other ?? 0))
  }
  let server = await start()
  const app = await enrol(home.path, DOMAIN)
  const owner = newOwner()
  await using first = newDevice(server, owner)
  await first.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
  const state = first.export()
  await first[Symbol.asyncDispose]()

  for (const order of ORDERS) {
    const said: Record<string, string> = {}
    for (const command of order) {
      const run = {
        new: () => belfry('reseal', '--new', '--data', home.path),
        // It ends by itself: the first server is still there.
        start: () => belfry('serve', '--port', '0', '--metrics', 'off', '--data', home.path),
        reseal: () => belfry('reseal', '--data', home.path),
      }[command]
      said[command] = await run().then(
        ({ stdout }) => stdout,
        (error: { stderr: string }) => error.stderr,
      )
    }
    const isTooEarly = order.indexOf('new') < order.indexOf('reseal')
    expect(said.start).toContain(`is used by another running process (${server.pid})`)
    expect(said.reseal).toContain(isTooEarly ? 'still runs with the former secret' : 'none needs the former')
    expect(secrets()).toHaveLength(2)
    expect(await server.end('SIGTERM')).toBe(0)
    expect(await lost()).toBe(0)
    server = await start()
    expect((await belfry('reseal', '--data', home.path)).stdout).toContain('none needs the former secret')
    expect(secrets()).toHaveLength(1)
  }
  await everythingWorks(server, app, { owner, state, name: 'after three changes' })
  await server.end('SIGTERM')
})

it.concurrent('processes on one Redis change their secret one after the other, and no wallet notices', {
  timeout: 240_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using homes = await temporaryHome()
  const [old, next] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
  const ports = [await freePort(), await freePort()]
  const home = (at: number) => join(homes.path, `${at}`)
  const start = (at: number, secret: string, previous?: string, more: NodeJS.ProcessEnv = {}) =>
    startServerProcess(home(at), {
      port: ports[at] ?? 0,
      env: {
        ...more,
        REDIS_URL: redis.url,
        BELFRY_SECRET: secret,
        ...(previous !== undefined && { BELFRY_SECRET_PREVIOUS: previous }),
        BELFRY_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
        BELFRY_ALIASES: `http://127.0.0.1:${ports[1]}`,
      },
    })
  await using stores = await openRedis({ url: redis.url })

  const servers = [await start(0, old), await start(1, old)]
  const server = (at: number): ServerProcess => {
    const found = servers[at]
    if (!found) throw new Error('There is no such server')
    return found
  }
  const again = async (at: number, secret: string, previous?: string, more: NodeJS.ProcessEnv = {}) => {
    await server(at).end('SIGTERM')
    servers[at] = await start(at, secret, previous, more)
  }
  try {
    const app = await enrol(home(0), DOMAIN)
    const owner = newOwner()
    await using first = newDevice(server(0), owner)
    await first.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
    let state = first.export()
    await first[Symbol.asyncDispose]()
    await fill(stores.notify, old)
    const works = async (at: number, name: string) => {
      state = await everythingWorks(server(at), app, { owner, state, name })
    }

    // All learn the next one; then all use it. Between any two of these steps both processes serve the same wallets.
    await again(0, old, next)
    await works(0, 'one knows it')
    await works(1, 'the other does not')
    await again(1, old, next)
    await again(0, next, old)
    await works(0, 'one uses it')
    await works(1, 'the other only knows it')
    await again(1, next, old, HALF_WAY)

    await halfWay(home(1), server(1))
    await again(1, next, old)
    expect((await openWith(stores, old)).open).toBeGreaterThan(0)
    await belfry('reseal', '--data', home(1))
    expect(await openWith(stores, next)).toMatchObject({ other: 0 })

    await again(0, next)
    await again(1, next)
    await works(0, 'done here')
    await works(1, 'done there')
    expect(await enrol(home(0), DOMAIN)).toEqual(app)
    await server(1).end('SIGTERM')
    await expect(start(1, old)).rejects.toThrow('first used with another secret')
  } finally {
    for (const one of servers) await one[Symbol.asyncDispose]()
  }
})
