import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  accountSigner,
  ed25519Signer,
  mqClient,
  type ReceivedMessage,
  secp256k1Signer,
} from '../../src/mq/client.ts'
import { hashDid } from '../../src/mq/dids.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { didPkh } from '../../src/protocol/did.ts'
import { generateAgreementKey, generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { createPerson, idAuth } from '../support/person.ts'
import { startWorld, type World } from '../support/world.ts'
import { hasty, hubAt, newAgent, newSsiAgent } from './agents.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({
    config: { rooms: ['mq', 'keys'], mq: { domains: { default: hasty, off: { ...hasty, enabled: false } } } },
  })
})
afterAll(() => world[Symbol.asyncDispose]())

const clientOf = (
  signer = ed25519Signer(generateSigningKey()),
  more: { domain?: string; url?: string } = {},
) => {
  const agreementKey = generateAgreementKey()
  return { agreementKey, ...mqClient({ url: world.url, ...signer, agreementKey, ...more }) }
}

describe('the client', () => {
  it('seals for the reader, and tells who sent it when it is asked to', async () => {
    const [ann, ben] = [clientOf(), clientOf(newSsiAgent())]
    const id = await ann.put(ben.did, 'private ✓', { sealTo: ben.agreementKey.publicKey, signed: true })
    // What the hub keeps says nothing; it is sealed once more, as every message is.
    const kept = await world.stores.mq.head(
      { domain: 'default', hashDID: hashDid(ben.did) },
      systemClock.now(),
    )
    expect(kept?.message).toMatch(/^sealed:1:/)
    expect(kept?.message).not.toContain('private')
    const expected = { id, text: 'private ✓', isSealed: true, sender: ann.did, messageSigned: true }
    expect(await ben.peek()).toEqual(expected)
    expect(await ben.take()).toEqual(expected)
    expect(await ben.peek()).toBeUndefined()
  })

  it('gives what is not sealed, or not to us, as it came', async () => {
    const [ann, ben] = [clientOf(), clientOf()]
    await ann.put(ben.did, 'open')
    await ann.put(ben.did, 'for another', { sealTo: ann.agreementKey.publicKey })
    expect(await ben.take()).toMatchObject({ text: 'open', isSealed: false })
    expect(await ben.take()).toMatchObject({ text: expect.stringMatching(/^A[Q-Za-f]/), isSealed: false })
  })

  it('takes by id, deletes, and says what is wrong in our own words', async () => {
    const ann = clientOf()
    const ids = [await ann.put(ann.did, 'a'), await ann.put(ann.did, 'b')]
    expect(await ann.take({ id: ids[1] ?? '' })).toMatchObject({ text: 'b' })
    await expect(ann.take({ id: ids[1] ?? '' })).rejects.toMatchObject({ code: 'not_found' })
    await ann.delete(ids[0] ?? '')
    await ann.delete(ids[0] ?? '')
    expect(await ann.peek()).toBeUndefined()
    await expect(ann.put(ann.did, 'x'.repeat(10_241))).rejects.toMatchObject({ code: 'too_large' })
    const elsewhere = clientOf(undefined, { domain: 'off' })
    await expect(elsewhere.peek()).rejects.toMatchObject({ code: 'method_not_allowed' })
    const liar = clientOf({ did: ann.did, sign: (token) => ed25519Signer(generateSigningKey()).sign(token) })
    await expect(liar.take()).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('reads as an account with a registered identity key, until that is revoked', async () => {
    const person = createPerson()
    const key = person.newKey()
    const owner = clientOf(accountSigner(key, person.account))
    expect(owner.did).toBe(didPkh(person.account))
    await clientOf().put(owner.did, 'to an account')
    await expect(owner.peek()).rejects.toMatchObject({ code: 'forbidden' })
    const cacao = person.cacao(key, Date.now())
    expect((await world.http('POST', '/identity', { body: { cacao } })).status).toBe(200)
    expect(await owner.peek()).toMatchObject({ text: 'to an account' })
    const claims = { act: 'unregister_identity', sub: 'identity_keys', pkh: owner.did, aud: world.url }
    const revoked = await world.http('DELETE', '/identity', {
      body: { idAuth: idAuth(key, Date.now(), claims) },
    })
    expect(revoked.status).toBe(200)
    await expect(owner.peek()).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('signs as secp256k1, with either DID', async () => {
    const secret = generateSigningKey().seed
    for (const signer of [secp256k1Signer(secret), secp256k1Signer(secret, 'default')]) {
      const reader = clientOf(signer)
      await clientOf().put(reader.did, 'hi')
      expect(await reader.take()).toMatchObject({ text: 'hi' })
    }
  })
})

describe('messages()', () => {
  const collect = async (client: ReturnType<typeof clientOf>, count: number) => {
    const found: ReceivedMessage[] = []
    const end = new AbortController()
    for await (const message of client.messages(end.signal)) {
      found.push(message)
      if (found.length === count) end.abort()
    }
    return found.map(({ text }) => text)
  }

  it('gives one after the other, those that come later too, and deletes each', async () => {
    const [ann, ben] = [clientOf(), clientOf()]
    for (const text of ['1', '2']) await ann.put(ben.did, text)
    const reading = collect(ben, 4)
    for (const text of ['3', '4']) await ann.put(ben.did, text, { sealTo: ben.agreementKey.publicKey })
    expect(await reading).toEqual(['1', '2', '3', '4'])
    expect(await ben.peek()).toBeUndefined()
  })

  it('gives again what was being worked on when its reader broke off', async () => {
    const ben = clientOf()
    for (const text of ['1', '2']) await ben.put(ben.did, text)
    for await (const { text } of ben.messages()) {
      expect(text).toBe('1')
      break
    }
    expect(await collect(ben, 2)).toEqual(['1', '2'])
  })

  it('ends at once when the signal says so, while it waits too', async () => {
    const end = new AbortController()
    const reading = clientOf().messages(end.signal).next()
    end.abort()
    expect(await reading).toEqual({ done: true, value: undefined })
  })

  it('goes on after a server that was away, and throws what does not pass', async () => {
    // Between the client and the hub, a door that can be shut.
    let isShut = true
    let knocks = 0
    const door: Server = createServer((request, response) => {
      knocks += 1
      if (isShut) return void request.socket.destroy()
      void fetch(world.url + request.url, {
        method: request.method ?? 'GET',
        headers: { 'x-mq-authorization': String(request.headers['x-mq-authorization'] ?? '') },
      }).then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': 'application/json' })
        response.end(await answer.text())
      })
    })
    await new Promise<void>((done) => door.listen(0, '127.0.0.1', done))
    const address = door.address()
    const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    const signer = newAgent()
    await clientOf().put(signer.did, 'after all')
    const reading = collect(clientOf(signer, { url }), 1)
    await eventually(() => expect(knocks).toBeGreaterThan(1))
    isShut = false
    expect(await reading).toEqual(['after all'])
    door.closeAllConnections()
    await new Promise((done) => door.close(done))
    await expect(clientOf(undefined, { domain: 'off' }).messages().next()).rejects.toMatchObject({
      code: 'method_not_allowed',
    })
  })

  it('goes on with another token when the hub takes the one it has no more', async () => {
    const agent = newAgent()
    let isOld = true
    const client = mqClient(
      { url: world.url, did: agent.did, sign: (token) => agent.sign(isOld ? `${token}x` : token) },
      {},
    )
    await hubAt(world.url).put(agent.hash, 'hello')
    await expect(client.peek()).rejects.toMatchObject({ code: 'forbidden' })
    isOld = false
    expect(await client.peek()).toMatchObject({ text: 'hello' })
  })
})
