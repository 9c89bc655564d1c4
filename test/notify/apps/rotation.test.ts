/** Keys are replaced under wallets that know the old ones and wallets that know the new ones, looked at on the wire. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { didDocument } from '../../../src/notify/apps/did-document.ts'
import { createVault } from '../../../src/notify/apps/vault.ts'
import { createMessageWriter } from '../../../src/notify/outbox/signed-messages.ts'
import { loadServerKeys } from '../../../src/notify/server.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { verifyJwt } from '../../../src/protocol/jwt.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import { claimsIn, type Device, newOwner, opened, type Sent } from '../support/wallet.ts'

const DAY = 86_400_000
const [NEWS = ''] = TYPES.map(({ id }) => id)

let world: TestNotify
beforeEach(async () => {
  world = await startNotify()
})
afterEach(() => world[Symbol.asyncDispose]())

/** What the answer says, and that whoever it names has signed it. */
const answered = async (sent: Sent) => {
  const { claims, rpc } = await world.ask(sent)
  const token = rpc.kind === 'result' ? Object.values(Object(rpc.result))[0] : undefined
  return verifyJwt(String(token), { now: world.clock.now(), issuer: String(claims.iss) })
}
const faultOf = async (sent: Sent) => {
  const { rpc } = await world.ask(sent)
  return rpc.kind === 'failure' ? rpc.message : undefined
}
/** Nothing comes back: nobody here has the key. */
const isIgnored = async (sent: Sent) => {
  const before = world.loop.published.length
  await world.loop.deliver(sent)
  return world.loop.published.length === before
}
const subscribed = async (device: Device, app: Parameters<Device['subscribe']>[0]) => {
  const claims = await answered(device.subscribe(app, [NEWS]))
  const [item] = claims.sbs as View[]
  if (!item) throw new Error('It is not subscribed')
  return { item, iss: claims.iss, key: fromHex(item.symKey) }
}
const rotatedApp = async (overlap: number) => {
  await world.rotation.app(world.app.domain, overlap)
  const app = await world.apps.byDomain(world.app.domain)
  if (!app) throw new Error('It is gone')
  return { domain: world.app.domain, did: app.authentication.did, publicKey: app.subscribe.publicKey }
}

describe("the server's keys", () => {
  it('answer whoever addresses the old ones and whoever addresses the new ones, each with what was addressed', async () => {
    const old = world.address
    await world.rotation.server(30 * DAY)
    const present = world.address
    expect(present.did).not.toBe(old.did)
    expect(await answered(world.newDevice().watch(old))).toMatchObject({ iss: old.did })
    expect(await answered(world.newDevice().watch(present))).toMatchObject({ iss: present.did })
    // Which key is meant is said twice; any that counts will do.
    const mixed = { did: old.did, publicKey: present.publicKey }
    expect(await answered(world.newDevice().watch(mixed))).toMatchObject({ iss: old.did })
  })

  it('sign news for a watcher with the key that its watch was addressed to', async () => {
    const owner = newOwner()
    const old = world.address
    const veteran = world.newDevice({ owner }).watch(old)
    await world.ask(veteran)
    await world.rotation.server(30 * DAY)
    const newcomer = world.newDevice({ owner }).watch(world.address)
    await world.ask(newcomer)
    await subscribed(world.newDevice({ owner }), world.app)
    await world.settled()
    const signers = [veteran, newcomer].map(({ answerTopic, key }) =>
      world.publishedOn(answerTopic, 4012, key).map(({ rpc }) => claimsIn(rpc).iss),
    )
    expect(signers).toEqual([[old.did], [world.address.did]])
  })

  it('are listed in did.json, the new ones first and under the ids that clients look for', async () => {
    const old = world.serverKeys.subscribe.publicKey
    await world.rotation.server(30 * DAY)
    const document = didDocument('notify.example', world.serverKeys)
    const keyOf = (name: string | undefined) =>
      document.verificationMethod.find(({ id }) => id === name)?.publicKeyJwk.x
    const text = (key: Uint8Array) => Buffer.from(key).toString('base64url')
    const base = 'did:web:notify.example#wc-notify-'
    expect(document.keyAgreement).toEqual([`${base}subscribe-key`, `${base}subscribe-key-2`])
    expect(document.authentication).toEqual([`${base}authentication-key`, `${base}authentication-key-2`])
    expect(document.keyAgreement.map(keyOf)).toEqual([text(world.serverKeys.subscribe.publicKey), text(old)])
  })

  it('stop to count when the overlap ends; their topic is left and they are dropped', async () => {
    const old = world.address
    await world.rotation.server(DAY)
    expect([...world.loop.topics]).toEqual(
      expect.arrayContaining([topicOf(old.publicKey), topicOf(world.address.publicKey)]),
    )
    await world.hands.advance(DAY)
    expect(await isIgnored(world.newDevice().watch(old))).toBe(true)
    expect(await faultOf(world.newDevice().watch({ ...world.address, did: old.did }))).toContain('audience')
    await world.rotation.sweep()
    expect(world.loop.topics).not.toContain(topicOf(old.publicKey))
    expect(world.loop.topics).toContain(topicOf(world.address.publicKey))
    const kept = await world.store.storedServerKeys()
    expect(Object.keys(kept ?? {}).sort()).toEqual(['authentication', 'relay', 'root', 'subscribe'])
  })

  it('are dropped at once without an overlap', async () => {
    const old = world.address
    const veteran = world.newDevice()
    await world.ask(veteran.watch(old))
    await world.rotation.server(0)
    expect(await isIgnored(world.newDevice().watch(old))).toBe(true)
    expect(world.loop.left).toContain(topicOf(old.publicKey))
    expect(Object.keys((await world.store.storedServerKeys()) ?? {})).toHaveLength(4)
    // Who finds the new one is served; the id on the relay stays.
    const relay = world.serverKeys.relay.did
    expect(await answered(veteran.watch(world.address))).toMatchObject({ iss: world.address.did })
    await world.restart()
    expect(world.serverKeys.relay.did).toBe(relay)
  })

  it('do not count for longer than those that came after them', async () => {
    const first = world.address
    await world.rotation.server(30 * DAY)
    const second = world.address
    await world.rotation.server(0)
    for (const address of [first, second]) {
      expect(await isIgnored(world.newDevice().watch(address))).toBe(true)
      expect(world.loop.left).toContain(topicOf(address.publicKey))
    }
    expect(Object.keys((await world.store.storedServerKeys()) ?? {})).toHaveLength(4)
  })

  it('are joined and served again after a restart, the old ones, too', async () => {
    const [first] = [world.address]
    await world.rotation.server(30 * DAY)
    const second = world.address
    await world.rotation.server(10 * DAY)
    await world.restart()
    for (const address of [first, second, world.address]) {
      expect(world.loop.topics).toContain(topicOf(address.publicKey))
      expect(await answered(world.newDevice().watch(address))).toMatchObject({ iss: address.did })
    }
  })

  it('that another process has replaced are there with the first request, or within seconds', async () => {
    const vault = createVault(Uint8Array.from({ length: 32 }, (_, at) => at))
    const { store, clock } = world
    const other = await loadServerKeys({ store, vault, clock, secret: Uint8Array.from({ length: 32 }) })
    // As if the other one had done it: this one is not told.
    const fresh = createVault(Uint8Array.from({ length: 32 }, (_, at) => at))
    const kept = await store.storedServerKeys()
    const [from] = [await startNotify()]
    try {
      const pair = {
        authentication: from.serverKeys.authentication.seed,
        subscribe: from.serverKeys.subscribe.privateKey,
      }
      await store.swapServerKeys(kept ?? {}, {
        ...kept,
        authentication: fresh.seal(pair.authentication),
        subscribe: fresh.seal(pair.subscribe),
      })
      const address = from.address
      expect(world.address.did).not.toBe(address.did)
      expect(await answered(world.newDevice().watch(address))).toMatchObject({ iss: address.did })
      await other.refresh()
      expect(other.authentication.did).toBe(address.did)
    } finally {
      await from[Symbol.asyncDispose]()
    }
  })

  it('sign the answers to what another process carried out with them, by whomever they are written', async () => {
    const { store, clock, vault, apps } = world
    const secret = Uint8Array.from({ length: 32 })
    const behind = await loadServerKeys({ store, vault, clock, secret })
    const device = world.newDevice()
    await world.rotation.server(0)
    const signerKey = world.address.did
    expect(behind.authentication.did).not.toBe(signerKey)
    const key = new Uint8Array(32).fill(7)
    const answer = {
      kind: 'response',
      topic: topicOf(key),
      key: vault.seal(key),
      tag: 4011,
      rpcId: '1',
    } as const
    const view = { accountKey: accountKey(device.account), account: device.account, domain: null }
    const letters = createMessageWriter({
      store,
      vault,
      apps,
      serverKeys: behind,
      publicUrl: 'http://x.example',
      clock,
    })
    const letter = await letters.write({
      id: 'answer',
      task: { ...answer, signer: null, signerKey, claims: {}, view },
      createdAt: clock.now(),
      expiresAt: clock.now() + 300_000,
    })
    expect(claimsIn(opened(letter?.message ?? '', key)).iss).toBe(signerKey)
  })

  it('are looked at every other second', async () => {
    const { store } = world
    const vault = createVault(Uint8Array.from({ length: 32 }, (_, at) => at))
    const kept = (await store.storedServerKeys()) ?? {}
    const authentication = vault.seal(new Uint8Array(32).fill(9))
    await store.swapServerKeys(kept, { ...kept, authentication })
    const before = world.address.did
    await world.hands.advance(2_000)
    await eventually(() => expect(world.address.did).not.toBe(before))
  })
})

describe("an app's keys", () => {
  it('answer each request with what it addressed, and sign notifications with the new one', async () => {
    const veteran = world.newDevice()
    const { key, iss, item } = await subscribed(veteran, world.app)
    expect([iss, item.appAuthenticationKey]).toEqual([world.app.did, world.app.did])
    const present = await rotatedApp(30 * DAY)
    // By a wallet that has the old keys for life: a new subscription and an update.
    expect(await subscribed(world.newDevice(), world.app)).toMatchObject({
      iss: world.app.did,
      item: { appAuthenticationKey: present.did },
    })
    expect(await answered(veteran.ask(4008, world.app, key, { scp: NEWS }))).toMatchObject({
      iss: world.app.did,
    })
    expect(await answered(veteran.ask(4014, world.app, key, { lmt: 5 }))).toMatchObject({
      iss: world.app.did,
    })
    // By one that has learnt the new ones.
    expect(await subscribed(world.newDevice(), present)).toMatchObject({ iss: present.did })
    expect(await answered(veteran.ask(4008, present, key, { scp: NEWS }))).toMatchObject({ iss: present.did })

    const notification = { type: NEWS, title: 't', body: 'b', icon: null, url: null }
    const message = { notification, accounts: [veteran.account], domain: world.app.domain }
    await world.publishing.notify(world.project.id, [message])
    await world.settled()
    const [published] = world.publishedOn(topicOf(key), 4002, key)
    expect(published && claimsIn(published.rpc).iss).toBe(present.did)
  })

  it('stop to count when the overlap ends; subscriptions live on', async () => {
    const veteran = world.newDevice()
    const { key } = await subscribed(veteran, world.app)
    const present = await rotatedApp(DAY)
    await world.hands.advance(DAY)
    expect(await isIgnored(world.newDevice().subscribe(world.app, [NEWS]))).toBe(true)
    expect(await faultOf(veteran.ask(4008, world.app, key, { scp: NEWS }))).toContain('audience')
    expect(await answered(veteran.ask(4008, present, key, { scp: NEWS }))).toMatchObject({ iss: present.did })
    await world.rotation.sweep()
    expect(world.loop.topics).not.toContain(topicOf(world.app.publicKey))
    const record = await world.store.app(world.app.domain)
    expect(record && 'previousKeys' in record).toBe(false)
    expect(await world.store.appByTopic(topicOf(world.app.publicKey))).toBeUndefined()
  })

  it('do not count for longer than those that came after them', async () => {
    const second = await rotatedApp(30 * DAY)
    await rotatedApp(0)
    for (const app of [{ ...world.app }, second]) {
      expect(await isIgnored(world.newDevice().subscribe(app, [NEWS]))).toBe(true)
      expect(world.loop.left).toContain(topicOf(app.publicKey))
    }
    const record = await world.store.app(world.app.domain)
    expect(record && 'previousKeys' in record).toBe(false)
  })

  it('are dropped at once without an overlap, and those of one that is not there are nobody’s', async () => {
    await rotatedApp(0)
    expect(await isIgnored(world.newDevice().subscribe(world.app, [NEWS]))).toBe(true)
    expect(world.loop.left).toContain(topicOf(world.app.publicKey))
    await expect(world.rotation.app('nobody.example', 0)).rejects.toMatchObject({ code: 'unknown_app' })
  })

  it('survive being replaced many times at once', async () => {
    await Promise.all(Array.from({ length: 5 }, () => world.rotation.app(world.app.domain, 30 * DAY)))
    const record = await world.store.app(world.app.domain)
    expect(record?.previousKeys).toHaveLength(5)
    expect(await subscribed(world.newDevice(), world.app)).toMatchObject({ iss: world.app.did })
  })
})
