import {
  CryptoEncoderFactory,
  Microblock as SdkMicroblock,
  WalletInteractiveAnchoringValidation,
} from '@cmts-dev/carmentis-sdk/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fromBase64, toBase64 } from '../../../src/protocol/bytes.ts'
import type { CarmentisKey } from '../../../src/sessions/carmentis/keys.ts'
import {
  type Microblock,
  readMicroblock,
  sealMicroblock,
  signedBytes,
} from '../../../src/sessions/carmentis/microblock.ts'
import type { DataApprovalResult } from '../../../src/sessions/methods/data-approval.ts'
import { knownSecret } from '../../support/capture/record.mjs'
import { manualClock } from '../../support/clock.ts'
import { startWorld, type World } from '../../support/world.ts'
import { approvalBy, base64Of, newKey, newMicroblock } from '../ledger.ts'
import { contextWith } from '../wallet-context.ts'

const WIAP = '/api/protocols/wiap/v1'
const Created = z.object({ anchorRequestId: z.string(), expiresAt: z.iso.datetime() })
const Refused = z.object({
  type: z.literal('WALLET_OPERATOR_RESPONSE_ERROR'),
  errorMessage: z.string().min(1),
})
const Log = z.object({
  b64VbHash: z.string(),
  b64MbHash: z.string(),
  b64GenesisSeed: z.string(),
  height: z.number(),
  microblocks: z.array(z.object({ height: z.number(), b64SerializedMicroblock: z.string() })),
  next: z.number().nullable(),
})

const clock = manualClock(Date.now())
let world: World
beforeAll(async () => {
  world = await startWorld({ clock, rooms: ['relay', 'notify', 'operator'] })
})
afterAll(() => world[Symbol.asyncDispose]())

const create = async (microblock: Microblock, more: object) => {
  const { id, secret } = world.project
  const { status, body } = await world.http('POST', `/v1/${id}/approvals`, {
    token: secret,
    body: { b64SerializedMicroblock: base64Of(microblock), ...more },
  })
  return { status, body }
}
const created = async (microblock: Microblock, more: object): Promise<string> => {
  const { status, body } = await create(microblock, more)
  expect(status).toBe(201)
  const { anchorRequestId } = Created.parse(body)
  knownSecret('anchor request id', anchorRequestId)
  return anchorRequestId
}
const approval = async (id: string) => {
  const { id: project, secret } = world.project
  return (await world.http('GET', `/v1/${project}/approvals?id=${id}`, { token: secret })).body
}
const log = async (vbHash: string, page = '') => {
  const { id, secret } = world.project
  const query = `vbHash=${encodeURIComponent(vbHash)}${page}`
  return Log.parse((await world.http('GET', `/v1/${id}/chains?${query}`, { token: secret })).body)
}

/** A wallet approves, by its own method, over the wire. */
const approve = (key: CarmentisKey, anchorRequestId: string): Promise<DataApprovalResult> => {
  const method = approvalBy(key)
  return method.handler({ serverUrl: world.url, anchorRequestId }, contextWith().context)
}
/** One request of WIAP, and the answer as the published SDK understands it. */
const ask = async (data: object) => {
  const { status, body } = await world.http('POST', WIAP, { body: { data } })
  return { status, body: WalletInteractiveAnchoringValidation.validateResponse(Object(body)) }
}
const refusal = async (data: object): Promise<string> => {
  const { status, body } = await ask(data)
  expect(status).toBe(200)
  return Refused.parse(body).errorMessage
}
const handshake = (anchorRequestId: string) => ({
  type: 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE',
  anchorRequestId,
})
const signature = async (anchorRequestId: string, microblock: Microblock, key: CarmentisKey) => ({
  type: 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE',
  anchorRequestId,
  b64Signature: toBase64(await key.sign(signedBytes(microblock))),
})

describe('an approval', () => {
  it('is answered as the document says: two hashes and a height', async () => {
    const key = newKey()
    const microblock = newMicroblock()
    const id = await created(microblock, { signer: key.publicKey })
    expect(await approval(id)).toMatchObject({ state: 'open', signer: key.publicKey, b64MbHash: null })
    const result = await approve(key, id)
    expect(result).toEqual({
      b64VbHash: expect.stringMatching(/^[\w+/]{43}=$/),
      b64MbHash: result.b64VbHash,
      height: 1,
    })
    expect(await approval(id)).toMatchObject({ state: 'anchored', ...result })
    expect(await log(result.b64VbHash)).toMatchObject({
      ...result,
      b64GenesisSeed: toBase64(microblock.header.previousHash),
      next: null,
    })
  })

  it('makes a log whose links and signatures the published SDK confirms', async () => {
    const key = newKey()
    let vbHash: string | undefined
    let previousHash: Uint8Array | undefined
    for (let height = 1; height <= 4; height++) {
      const next = newMicroblock(`number ${height}`, { height, ...(previousHash && { previousHash }) })
      const id = await created(next, { signer: key.publicKey, ...(vbHash && { b64VbHash: vbHash }) })
      const result = await approve(key, id)
      expect(result.height).toBe(height)
      vbHash ??= result.b64VbHash
      expect(result.b64VbHash).toBe(vbHash)
      previousHash = fromBase64(result.b64MbHash)
    }
    const { microblocks, height, b64MbHash } = await log(vbHash ?? '')
    expect([height, b64MbHash]).toEqual([4, toBase64(previousHash ?? new Uint8Array())])
    const publicKey = await CryptoEncoderFactory.defaultStringSignatureEncoder().decodePublicKey(
      key.publicKey,
    )
    let before: Uint8Array | undefined
    for (const { b64SerializedMicroblock } of microblocks) {
      const theirs = SdkMicroblock.loadFromSerializedMicroblock(fromBase64(b64SerializedMicroblock))
      expect(await theirs.verify(publicKey)).toBe(true)
      if (before) expect(theirs.getPreviousHash().toBytes()).toEqual(before)
      before = theirs.getHashAsBytes()
    }
    const page = await log(vbHash ?? '', '&after=1&limit=2')
    expect([page.microblocks.map((one) => one.height), page.next]).toEqual([[2, 3], 3])
  })

  it('of an actor asks for its keys, and the microblock names them', async () => {
    const microblock = newMicroblock()
    const id = await created(microblock, { actorId: 4 })
    expect(await ask(handshake(id))).toEqual({
      status: 200,
      body: {
        type: 'WALLET_OPERATOR_RESPONSE_ACTOR_KEY_REQUIRED',
        b64GenesisSeed: toBase64(microblock.header.previousHash),
      },
    })
    const result = await approve(newKey(), id)
    const [{ b64SerializedMicroblock = '' } = {}] = (await log(result.b64VbHash)).microblocks
    const { sections } = readMicroblock(fromBase64(b64SerializedMicroblock))
    expect(sections.map(({ type }) => type)).toEqual([88, 91, 87, 127])
    expect(sections[2]).toMatchObject({ actorId: 4, signatureSchemeId: 0, pkeSchemeId: 0 })
    const publicKey = Buffer.from(z.instanceof(Uint8Array).parse(sections[2]?.signaturePublicKey))
    expect(await approval(id)).toMatchObject({ signer: `SIG:SECP256K1:PK{${publicKey.toString('hex')}}` })
    // The SDK's own schema knows all of these sections.
    expect(() =>
      SdkMicroblock.loadFromSerializedMicroblock(fromBase64(b64SerializedMicroblock)),
    ).not.toThrow()
  })

  it('given twenty times at once is given once', async () => {
    const key = newKey()
    const id = await created(newMicroblock(), { signer: key.publicKey })
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => approve(key, id)))
    const done = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(done).toHaveLength(1)
    for (const one of results) {
      if (one.status === 'rejected') expect(one.reason.message).toMatch(/refused: .*already/)
    }
    expect((await log(done[0]?.b64VbHash ?? '')).height).toBe(1)
  })

  it('survives a restart of the server', async () => {
    const key = newKey()
    const [open, done] = [
      await created(newMicroblock(), { signer: key.publicKey }),
      await created(newMicroblock(), { signer: key.publicKey }),
    ]
    const result = await approve(key, done)
    await world.restart()
    expect(await approval(done)).toMatchObject({ state: 'anchored', ...result })
    expect((await approve(key, open)).height).toBe(1)
  })
})

describe('the operator refuses, and changes nothing', () => {
  it('what it does not know, in WIAP words', async () => {
    expect(await refusal(handshake('nothing'))).toMatch(/no such approval/)
    expect(await refusal(handshake('\u0000{x}'))).toMatch(/no such approval/)
    expect(await refusal(await signature('nothing', newMicroblock(), newKey()))).toMatch(/no such approval/)
  })

  it('what is finished', async () => {
    const key = newKey()
    const microblock = newMicroblock()
    const id = await created(microblock, { signer: key.publicKey })
    await approve(key, id)
    expect(await refusal(handshake(id))).toMatch(/already/)
    expect(await refusal(await signature(id, microblock, key))).toMatch(/already/)
  })

  it('what has expired', async () => {
    const key = newKey()
    const microblock = newMicroblock()
    const id = await created(microblock, { signer: key.publicKey, expiresIn: 60 })
    await clock.advance(60_000)
    expect(await refusal(handshake(id))).toMatch(/expired/)
    expect(await refusal(await signature(id, microblock, key))).toMatch(/expired/)
    expect(await approval(id)).toMatchObject({ state: 'expired', b64MbHash: null })
  })

  it('a signature of another key, or of another microblock', async () => {
    const key = newKey()
    const microblock = newMicroblock()
    const id = await created(microblock, { signer: key.publicKey })
    expect(await refusal(await signature(id, microblock, newKey()))).toMatch(/signature/)
    expect(await refusal(await signature(id, newMicroblock(), key))).toMatch(/signature/)
    const sealed = sealMicroblock(microblock, await key.sign(signedBytes(microblock)))
    expect(await refusal(await signature(id, sealed, key))).toMatch(/signature/)
    const junk = { ...(await signature(id, microblock, key)), b64Signature: toBase64(new Uint8Array(64)) }
    expect(await refusal(junk)).toMatch(/signature/)
    expect(await approval(id)).toMatchObject({ state: 'open' })
    expect((await approve(key, id)).height).toBe(1)
  })

  it('keys that are none, keys that nobody asked for, and a second set of keys', async () => {
    const actorKey = (anchorRequestId: string, sig: string, bytes = 1184) => ({
      type: 'WALLET_OPERATOR_REQUEST_ACTOR_KEY',
      anchorRequestId,
      actorSignaturePublicKey: sig,
      actorPkePublicKey: `PKE:MLKEM768AES256GCM:PK{${toBase64(new Uint8Array(bytes))}}`,
    })
    const microblock = newMicroblock()
    const key = newKey()
    const id = await created(microblock, { actorId: 0 })
    expect(await refusal(await signature(id, microblock, key))).toMatch(/key must be given first/)
    expect(await refusal(actorKey(id, 'SIG:SECP256K1:PK{00}'))).toMatch(/no secp256k1 key/)
    const noPoint = `SIG:SECP256K1:PK{02${'ff'.repeat(32)}}`
    expect(await refusal(actorKey(id, noPoint))).toMatch(/no secp256k1 key/)
    expect(await refusal(actorKey(id, key.publicKey, 100))).toMatch(/no ML-KEM-768 key/)
    expect((await ask(actorKey(id, key.publicKey))).body).toMatchObject({
      type: 'WALLET_OPERATOR_RESPONSE_APPROVAL_DATA',
    })
    expect(await refusal(actorKey(id, newKey().publicKey))).toMatch(/another key/)
    const named = await created(newMicroblock(), { signer: key.publicKey })
    expect(await refusal(actorKey(named, key.publicKey))).toMatch(/no key is asked for/)
  })

  it('the second of two approvals for one place in a chain', async () => {
    const key = newKey()
    const first = await approve(key, await created(newMicroblock(), { signer: key.publicKey }))
    const next = { height: 2, previousHash: fromBase64(first.b64MbHash) }
    const more = { signer: key.publicKey, b64VbHash: first.b64VbHash }
    const ids = [
      await created(newMicroblock('one', next), more),
      await created(newMicroblock('two', next), more),
    ]
    const results = await Promise.allSettled(ids.map((id) => approve(key, id)))
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const [lost] = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(lost.message).toMatch(/does not follow the last one/)
    expect((await log(first.b64VbHash)).height).toBe(2)
  })

  it.each([
    ['nothing', undefined],
    ['no JSON', '{'],
    ['no data', {}],
    ['an unknown type', { data: { type: 'HELLO', anchorRequestId: 'a' } }],
    [
      'a short signature',
      {
        data: { ...handshake('a'), type: 'WALLET_OPERATOR_REQUEST_APPROVAL_SIGNATURE', b64Signature: 'AAAA' },
      },
    ],
    ['too much', { data: { ...handshake('a'), more: 'x'.repeat(40_000) } }],
  ])('%s', async (_, body) => {
    const { status, body: answer } = await world.http('POST', WIAP, { body })
    expect(status).toBe(200)
    Refused.parse(answer)
  })
})

describe("a dapp's server", () => {
  it('may also show the admin token', async () => {
    const { status } = await world.http('POST', '/v1/any-project/approvals', {
      token: world.adminToken,
      body: { b64SerializedMicroblock: base64Of(newMicroblock()), signer: newKey().publicKey },
    })
    expect(status).toBe(201)
  })

  it.each([undefined, 'wrong'])('without the secret (%s) creates and reads nothing', async (token) => {
    const { id } = world.project
    const body = { b64SerializedMicroblock: base64Of(newMicroblock()), signer: newKey().publicKey }
    const given = token === undefined ? {} : { token }
    const hash = encodeURIComponent(toBase64(new Uint8Array(32)))
    for (const answer of [
      await world.http('POST', `/v1/${id}/approvals`, { ...given, body }),
      await world.http('GET', `/v1/${id}/approvals?id=a`, given),
      await world.http('GET', `/v1/${id}/chains?vbHash=${hash}`, given),
    ]) {
      expect(answer.status).toBe(401)
    }
  })

  it('does not see what belongs to another project', async () => {
    const key = newKey()
    const id = await created(newMicroblock(), { signer: key.publicKey })
    const { b64VbHash } = await approve(key, id)
    const token = world.adminToken
    const query = `vbHash=${encodeURIComponent(b64VbHash)}`
    expect((await world.http('GET', `/v1/another/approvals?id=${id}`, { token })).status).toBe(404)
    expect((await world.http('GET', `/v1/another/chains?${query}`, { token })).status).toBe(404)
  })

  const signer = newKey().publicKey
  const { header, sections } = newMicroblock()
  it.each<[string, number, Microblock, object]>([
    ['no signer and no actor', 422, newMicroblock(), {}],
    ['a signer and an actor', 422, newMicroblock(), { signer, actorId: 1 }],
    ['a signer that is no key', 422, newMicroblock(), { signer: 'me' }],
    ['a bodyHash that is wrong', 422, { header, sections: sections.slice(1) }, { signer }],
    ['no first microblock and no chain', 409, newMicroblock('', { height: 2 }), { signer }],
    [
      'an unknown chain',
      409,
      newMicroblock('', { height: 2 }),
      { signer, b64VbHash: toBase64(new Uint8Array(32)) },
    ],
    ['no time at all', 422, newMicroblock(), { signer, expiresIn: 0 }],
  ])('is refused %s', async (_, expected, microblock, more) => {
    expect((await create(microblock, more)).status).toBe(expected)
  })
})

it('is open to wallets on web pages', async () => {
  const preflight = await world.http('OPTIONS', WIAP, {
    headers: { origin: 'https://wallet.example', 'access-control-request-method': 'POST' },
  })
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
})

it('is not there unless the room is named', async () => {
  await using plain = await startWorld()
  expect((await plain.http('POST', WIAP, { body: { data: handshake('a') } })).status).toBe(404)
})

it('takes only the admin token where there is no notify room', async () => {
  await using alone = await startWorld({ rooms: ['operator'] })
  const body = { b64SerializedMicroblock: base64Of(newMicroblock()), signer: newKey().publicKey }
  const at = '/v1/some-project/approvals'
  expect((await alone.http('POST', at, { body, token: alone.adminToken })).status).toBe(201)
  expect((await alone.http('POST', at, { body, token: 'x'.repeat(40) })).status).toBe(401)
})

it('logs neither ids, nor keys, nor what is approved', async () => {
  const lines: string[] = []
  const keep = (fields: Record<string, unknown>, sentence: string) =>
    void lines.push(JSON.stringify([sentence, fields]))
  await using watched = await startWorld({
    rooms: ['operator'],
    log: { debug: keep, info: keep, warn: keep, error: keep },
  })
  const key = newKey()
  const microblock = newMicroblock('a secret message')
  const { body } = await watched.http('POST', '/v1/p/approvals', {
    token: watched.adminToken,
    body: { b64SerializedMicroblock: base64Of(microblock), signer: key.publicKey },
  })
  const { anchorRequestId } = Created.parse(body)
  const wrong = await signature(anchorRequestId, microblock, newKey())
  await watched.http('POST', WIAP, { body: { data: wrong } })
  const right = await signature(anchorRequestId, microblock, key)
  await watched.http('POST', WIAP, { body: { data: right } })
  await watched.http('GET', `/v1/p/approvals?id=${anchorRequestId}`, { token: watched.adminToken })
  const logged = lines.join('\n')
  expect(logged).toContain('/api/protocols/wiap/v1')
  for (const secret of [
    anchorRequestId,
    key.publicKey,
    wrong.b64Signature,
    right.b64Signature,
    base64Of(microblock).slice(0, 40),
    'a secret message',
    watched.adminToken,
  ]) {
    expect(logged).not.toContain(secret)
  }
})
