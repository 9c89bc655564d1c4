import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { concat, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { apnsCertificate } from '../support/push/local-tls.ts'
import { giveCredentials, type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const TOPIC = 'ab'.repeat(32)

describe('the published push server', () => {
  const relay = generateSigningKey()
  let push: PushWorld
  beforeAll(async () => {
    push = await startPushWorld({ rooms: ['push'], config: { pushRelays: [toHex(relay.publicKey)] } })
    await giveCredentials(push.world, 'p1', push)
    await giveCredentials(push.world, 'default', push)
  })
  afterAll(() => push[Symbol.asyncDispose]())

  /** As a relay posts: signed over timestamp, length and body. */
  const post = async (path: string, body: unknown, key = relay) => {
    const text = JSON.stringify(body)
    const timestamp = String(Math.floor(Date.now() / 1000))
    const signed = concat(utf8(`${timestamp}.${utf8(text).length}.`), utf8(text))
    const answer = await fetch(push.world.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'X-Ed25519-Signature': toHex(crypto.ed25519Sign(signed, key.seed)),
        'X-Ed25519-Timestamp': timestamp,
      },
      body: text,
    })
    return { status: answer.status, body: (await answer.json()) as unknown }
  }
  const registration = (client: string, token: string, more: object = {}) => ({
    client_id: client,
    type: 'fcm',
    token,
    ...more,
  })
  const http = (method: string, path: string, request: object = {}) => push.world.http(method, path, request)
  const own = (token: string) => push.fcm.pushes.filter((one) => one.token === token)

  it('runs alone, and takes registrations with or without did:key:, in one tenant or many', async () => {
    const [one, two] = [push.wallet(), push.wallet()]
    const body = registration(one.did.replace('did:key:', ''), 'a1', { always_raw: true })
    expect(await http('POST', '/clients', { body })).toMatchObject({ status: 200 })
    expect(await http('POST', '/p1/clients', { body: registration(two.did, 'a2') })).toMatchObject({
      status: 200,
    })
    const raw = { topic: TOPIC, tag: 4002, message: 'AAEC' }
    expect((await post(`/clients/${one.did}`, raw)).status).toBe(202)
    const legacy = { id: 'm1', payload: { topic: TOPIC, flags: 1, blob: 'AAEC' } }
    expect((await post(`/p1/clients/${two.did.replace('did:key:', '')}`, legacy)).status).toBe(202)
    await eventually(() => {
      expect(own('a1').map(({ data }) => data)).toEqual([{ topic: TOPIC, tag: '4002', message: 'AAEC' }])
      expect(own('a2').map(({ data }) => data)).toEqual([{ topic: TOPIC, flags: '1', blob: 'AAEC' }])
    })
  })

  it('answers 200 for a message that was delivered before, 202 for an unknown client', async () => {
    const client = push.wallet()
    await http('POST', '/p1/clients', { body: registration(client.did, 'b1', { always_raw: true }) })
    const raw = { topic: TOPIC, tag: 4002, message: 'BBBB' }
    expect((await post(`/p1/clients/${client.did}`, raw)).status).toBe(202)
    await eventually(() => expect(own('b1')).toHaveLength(1))
    expect((await post(`/p1/clients/${client.did}`, raw)).status).toBe(200)
    expect((await post(`/p1/clients/${push.wallet().did}`, raw)).status).toBe(202)
    expect(own('b1')).toHaveLength(1)
  })

  it('answers 400 for missing fields, 401 for a missing or wrong signature, in its own shape', async () => {
    const client = push.wallet()
    await http('POST', '/p1/clients', { body: registration(client.did, 'c1', { always_raw: true }) })
    const path = `/p1/clients/${client.did}`
    const missing = await post(path, { topic: TOPIC, tag: 4002 })
    expect(missing.status).toBe(400)
    expect(missing.body).toMatchObject({
      status: 'FAILURE',
      fields: [{ field: 'message', location: 'body' }],
    })
    const raw = { topic: TOPIC, tag: 4002, message: 'CCCC' }
    expect((await post(path, raw, generateSigningKey())).status).toBe(401)
    expect(await http('POST', path, { body: raw })).toMatchObject({
      status: 401,
      body: { status: 'FAILURE' },
    })
    expect((await post(path, { ...raw, message: 'x'.repeat(600_000) })).status).toBe(413)
    expect(await http('POST', '/p1/clients', { body: { client_id: client.did } })).toMatchObject({
      status: 400,
    })
    expect(await http('POST', '/nobody/clients', { body: registration(client.did, 'c2') })).toMatchObject({
      status: 404,
    })
  })

  it('replaces what a client, or a token, was registered with', async () => {
    const [one, two] = [push.wallet(), push.wallet()]
    await http('POST', '/p1/clients', { body: registration(one.did, 'd1') })
    await http('POST', '/p1/clients', { body: registration(one.did, 'd2') })
    await http('POST', '/p1/clients', { body: registration(two.did, 'd2') })
    const { push: store } = push.world.stores
    expect(await store.devices([one.did], Date.now())).toEqual([])
    const [device] = await store.devices([two.did], Date.now())
    expect(device?.address).toEqual({ provider: 'fcm', token: 'd2' })
    expect(await store.countDevices('p1', Date.now())).toBeGreaterThan(0)
  })

  it('has a registration with a token win over one without, whoever comes first', async () => {
    const client = push.wallet()
    const token = push.token(client)
    const body = registration(client.did, 'e1')
    expect(await http('POST', '/p1/clients', { body: registration(client.did, 'e0') })).toMatchObject({
      status: 200,
    })
    expect(await http('POST', '/p1/clients', { body, token })).toMatchObject({ status: 200 })
    for (const other of [registration(client.did, 'e2'), registration(push.wallet().did, 'e1')])
      expect(await http('POST', '/p1/clients', { body: other })).toMatchObject({ status: 401 })
    expect(await http('DELETE', `/p1/clients/${client.did}`)).toMatchObject({ status: 401 })
    const wrong = push.token(push.wallet())
    expect(await http('POST', '/p1/clients', { body, token: wrong })).toMatchObject({ status: 401 })
    expect(await http('DELETE', `/p1/clients/${client.did}`, { token })).toMatchObject({ status: 200 })
    expect(await http('DELETE', `/p1/clients/${client.did}`, { token })).toMatchObject({ status: 404 })
  })

  it('lets the operator make tenants, set certificates and see why one is suspended', async () => {
    const admin = { token: push.world.adminToken }
    expect(await http('POST', '/tenants', { body: { id: 't2' } })).toMatchObject({ status: 401 })
    expect(await http('POST', '/tenants', { ...admin, body: { id: 't2' } })).toMatchObject({
      status: 200,
      body: { url: expect.stringMatching(/\/t2$/) },
    })
    const form = new FormData()
    form.set('apns_type', 'certificate')
    form.set('apns_topic', 'org.example.wallet')
    form.set('apns_certificate', new Blob([Buffer.from(apnsCertificate.certificate, 'base64')]), 'push.p12')
    form.set('apns_certificate_password', apnsCertificate.password)
    const headers = { authorization: `Bearer ${admin.token}` }
    const set = await fetch(`${push.world.url}/tenants/t2/apns`, { method: 'POST', headers, body: form })
    expect(set.status).toBe(200)
    const client = push.wallet()
    await http('POST', '/t2/clients', { body: { ...registration(client.did, 'f1'), type: 'apns-sandbox' } })
    const blob = Buffer.from(JSON.stringify({ title: 'Hi', body: 'there' })).toString('base64')
    await post(`/t2/clients/${client.did}`, { id: 'm9', payload: { topic: TOPIC, flags: 0, blob } })
    await eventually(() =>
      expect(push.apns.pushes.at(-1)?.payload).toEqual({ aps: { alert: { title: 'Hi', body: 'there' } } }),
    )
    expect((await http('GET', '/tenants/t2', admin)).body).toMatchObject({
      enabled_providers: ['apns', 'noop'],
      apns_type: 'certificate',
      suspended: false,
    })
    expect((await http('DELETE', '/tenants/t2/apns', admin)).body).toEqual({ success: true })
    expect((await http('POST', '/tenants/t2/fcm', admin)).status).toBe(400)
    expect((await http('DELETE', '/tenants/t2', admin)).body).toEqual({ success: true })
    expect((await http('GET', '/tenants/t2', admin)).status).toBe(404)
  })

  it('takes no token that was made for something else', async () => {
    const client = push.wallet()
    const iat = Math.floor(Date.now() / 1000)
    const claims = { iss: client.did, aud: push.world.url, sub: 'x', iat, exp: iat + 60 }
    const token = signJwt({ ...claims, act: 'irn_watchRegister' }, client)
    expect(await http('POST', '/p1/clients', { body: registration(client.did, 'g1'), token })).toMatchObject({
      status: 401,
    })
  })
})
