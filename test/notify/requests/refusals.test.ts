/** Every fault of a request, for every method a wallet can ask: its exact answer, or the silence. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toBase64, utf8 } from '../../../src/protocol/bytes.ts'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { didPkh, didWeb } from '../../../src/protocol/did.ts'
import { sealType0, sealType1 } from '../../../src/protocol/envelope.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { rpcRequest } from '../../../src/protocol/jsonrpc.ts'
import { type Claims, signJwt } from '../../../src/protocol/jwt.ts'
import { generateAgreementKey, generateSigningKey, generateSymKey } from '../../../src/protocol/keys.ts'
import { NOTIFY_METHODS } from '../../../src/protocol/notify-methods.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { DOMAIN, startNotify, type TestNotify } from '../../support/world/notify.ts'
import { claimsIn, type Device, newCacao, newOwner, type Sent, THIS_APP } from '../support/wallet.ts'

const TAGS = [4010, 4000, 4008, 4004, 4014, 4016] as const
type Tag = (typeof TAGS)[number]
const onNotifyTopic = (tag: Tag) => tag !== 4010 && tag !== 4000

let world: TestNotify
beforeAll(async () => {
  world = await startNotify()
})
afterAll(() => world[Symbol.asyncDispose]())

/** Own claims of each method, beside those that all have. */
const OWN: Record<Tag, Record<string, unknown>> = {
  4010: { app: null },
  4000: { app: didWeb(DOMAIN), scp: 'news' },
  4008: { app: didWeb(DOMAIN), scp: 'news' },
  4004: { app: didWeb(DOMAIN) },
  4014: { app: didWeb(DOMAIN), lmt: 10, aft: null, urf: false },
  4016: { app: didWeb(DOMAIN), all: true, ids: null },
}

/** A device, subscribed where the method needs it, and the key P. */
const scene = async (tag: Tag) => {
  const device = world.newDevice()
  const symKey = onNotifyTopic(tag) ? await subscribed(device) : generateSymKey()
  return { device, symKey }
}
const subscribed = async (device: Device): Promise<Uint8Array> => {
  const { claims } = await world.ask(device.subscribe(world.app, ['news']))
  const [item] = claims.sbs as { symKey: string }[]
  return Uint8Array.from(Buffer.from(item?.symKey ?? '', 'hex'))
}

/** A request that is right but for what the test changes. */
const make = (
  tag: Tag,
  { device, symKey }: { device: Device; symKey: Uint8Array },
  change: {
    claims?: Record<string, unknown>
    token?: (token: string) => string
    text?: (text: string) => string
    signer?: Device['identity']
  } = {},
): Sent => {
  const aud = tag === 4010 ? world.address.did : world.app.did
  const claims: Claims = { ...device.claims(tag, aud, OWN[tag]), ...change.claims }
  const token = signJwt(claims, change.signer ?? device.identity)
  const { rpcId, text } = device.request(tag, change.token?.(token) ?? token)
  const said = change.text?.(text) ?? text
  if (tag === 4010) return device.sendTo(tag, world.address.publicKey, said, rpcId)
  if (tag === 4000) return device.sendTo(tag, world.app.publicKey, said, rpcId)
  return device.sendOn(tag, symKey, said, rpcId)
}

const failure = (sent: Sent, code: number, message: string) => ({
  kind: 'failure',
  idText: sent.rpcId,
  code,
  message,
})

/** Delivers, and checks that nothing at all is published because of it. */
const expectSilence = async (sent: { topic: string; message: string; tag: number }) => {
  await world.settled()
  const before = world.loop.published.length
  await world.loop.deliver(sent)
  await world.settled()
  expect(world.loop.published.length).toBe(before)
}

describe.each(TAGS)('a request of tag %i', (tag) => {
  const row = NOTIFY_METHODS[tag]
  const now = () => Math.floor(world.clock.now() / 1000)

  it('is answered when it is right, with the right tag, TTL, act, issuer, audience and id', async () => {
    const at = await scene(tag)
    const answer = await world.ask(make(tag, at))
    expect(answer.tag).toBe(row.responseTag)
    expect(answer.ttl).toBe(row.responseTtl)
    expect(answer.claims).toMatchObject({
      act: row.responseAct,
      iss: tag === 4010 ? world.address.did : world.app.did,
      aud: at.device.identity.did,
      sub: didPkh(at.device.account),
      iat: now(),
      exp: now() + row.responseTtl,
    })
    expect(row.responseClaims.safeParse(answer.claims).error).toBeUndefined()
    expect(answer.claims.app).toBe(tag === 4010 ? undefined : didWeb(DOMAIN))
  })

  it('echoes a JSON-RPC id byte for byte', async () => {
    for (const id of ['"1795200000000000001"', '17952000000000000019', '"a\\u0062c"', '0']) {
      const at = await scene(tag)
      const sent = make(tag, at, { text: (text) => text.replace(/"id":\d+/, `"id":${id}`) })
      expect((await world.ask(sent)).rpc.idText).toBe(id)
    }
  })

  const faults: [string, Parameters<typeof make>[2], number, string][] = [
    [
      'whose signature is wrong',
      { signer: generateSigningKey() },
      -1,
      'The JWT is not valid: the signature is wrong',
    ],
    [
      'whose claims were changed after signing',
      {
        token: (token) => {
          const [header = '', payload = '', signature = ''] = token.split('.')
          const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), iat: 1 }
          return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
        },
      },
      -1,
      'The JWT is not valid: the signature is wrong',
    ],
    [
      'that is signed with "none"',
      { token: (token) => token.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url')) },
      -1,
      'The JWT is not valid: its header cannot be read',
    ],
    ['made for another act', { claims: { act: row.responseAct } }, -1, 'The JWT was made for another action'],
    ['without an act', { claims: { act: undefined } }, -1, 'The JWT was made for another action'],
    [
      'made for another audience',
      { claims: { aud: generateSigningKey().did } },
      -1,
      'The JWT was made for another audience',
    ],
    [
      'without a key server',
      { claims: { ksu: undefined } },
      -32602,
      'The parameters are not valid: ksu: Invalid input: expected string, received undefined',
    ],
    [
      'of another key server than the ones we ask',
      { claims: { ksu: 'https://elsewhere.example' } },
      -1,
      'The key server is not one that this server asks',
    ],
    [
      'whose account is none',
      { claims: { sub: 'did:pkh:eip155:1:0x12' } },
      -32602,
      'The parameters are not valid: sub: The parameters are not valid: the account has no Ethereum address',
    ],
    [
      'without its JWT',
      { text: (text) => text.replace(row.requestParam, 'somethingElse') },
      -32602,
      `The parameters are not valid: ${row.requestParam} must be a JWT`,
    ],
    ['whose JWT is none', { token: () => 'a.b' }, -1, 'The JWT is not valid: it has not three parts'],
    [
      'that is a result',
      { text: (text) => text.replace('"method":', '"x":').replace('"params":', '"result":') },
      -32600,
      'The message is not a valid request: a request is expected',
    ],
    [
      'of another JSON-RPC version',
      { text: (text) => text.replace('"2.0"', '"1.0"') },
      -32600,
      'The message is not a valid request',
    ],
  ]
  it.each(faults)('%s is refused', async (_, change, code, message) => {
    const sent = make(tag, await scene(tag), change)
    const answer = await world.ask(sent)
    expect(answer.rpc).toEqual(failure(sent, code, message))
    // Not for 30 days: it costs a stranger nothing.
    expect([answer.tag, answer.ttl]).toEqual([row.responseTag, 300])
  })

  it('that is not JSON is refused without an id', async () => {
    const sent = make(tag, await scene(tag), { text: () => '{' })
    expect((await world.ask(sent)).rpc).toEqual({
      kind: 'failure',
      idText: 'null',
      code: -32700,
      message: 'The message is not valid JSON',
    })
  })

  it('is good for 300 s longer than it says, and no second more; the same before its time', async () => {
    const times: [number, number, boolean][] = [
      [now() - 400, now() - 299, true],
      [now() - 400, now() - 300, false],
      [now() + 300, now() + 600, true],
      [now() + 301, now() + 601, false],
    ]
    for (const [iat, exp, isGood] of times) {
      const sent = make(tag, await scene(tag), { claims: { iat, exp } })
      const { rpc } = await world.ask(sent)
      if (isGood) expect(rpc.kind).toBe('result')
      else expect(rpc).toEqual(failure(sent, -1, 'The JWT is expired, or not valid yet'))
    }
  })

  it('may be good for as long as its method, and 300 s', async () => {
    const life = row.requestTtl
    for (const [exp, isGood] of [
      [now() + life + 300, true],
      [now() + life + 301, false],
      [now() + 366 * 86_400, false],
    ] as const) {
      const sent = make(tag, await scene(tag), { claims: { iat: now(), exp } })
      const { rpc } = await world.ask(sent)
      if (isGood) expect(rpc.kind).toBe('result')
      else expect(rpc).toEqual(failure(sent, -1, 'The JWT is not valid: it is good for too long'))
    }
  })

  it('takes an iat in milliseconds', async () => {
    const sent = make(tag, await scene(tag), { claims: { iat: world.clock.now() } })
    expect((await world.ask(sent)).rpc.kind).toBe('result')
  })

  it('for a foreign account is refused', async () => {
    const at = await scene(tag)
    const other = newOwner().account
    const sent = make(tag, at, { claims: { sub: didPkh(other) } })
    const why = onNotifyTopic(tag) ? '' : `: the identity key is not one of ${didPkh(other)}`
    expect((await world.ask(sent)).rpc).toEqual(
      failure(sent, -1, `The account is not the one that signed${why}`),
    )
  })

  const identities: [string, (device: Device) => Cacao | undefined, string][] = [
    ['that is not registered', () => undefined, 'The identity key is not registered'],
    [
      'of another account',
      (device) => newCacao(newOwner(), device.identity),
      'The account is not the one that signed: the identity key is not one of ACCOUNT',
    ],
    [
      'that the account did not sign',
      (device) => ({
        ...newCacao(device.owner, device.identity),
        s: newCacao(newOwner(), device.identity).s,
      }),
      'The identity key could not be verified: the account did not sign it',
    ],
    [
      'that is registered under another key',
      (device) => newCacao(device.owner, generateSigningKey()),
      'The identity key could not be verified: it was registered for another key',
    ],
    [
      'whose CACAO is expired',
      (device) => newCacao(device.owner, device.identity, { exp: '2025-12-31T00:00:00.000Z' }),
      'The identity key could not be verified: it is expired',
    ],
    [
      'whose CACAO is not valid yet',
      (device) => newCacao(device.owner, device.identity, { nbf: '2026-12-31T00:00:00.000Z' }),
      'The identity key could not be verified: it is not valid yet',
    ],
    [
      'whose statement allows nothing here',
      (device) => newCacao(device.owner, device.identity, { statement: 'Hello' }),
      'The identity key is not authorised for this app: the statement of the identity key allows nothing here',
    ],
    [
      'that is authorised for another app',
      (device) => newCacao(device.owner, device.identity, { statement: THIS_APP, domain: 'other.example' }),
      'The identity key is not authorised for this app',
    ],
  ]
  it.each(identities)('by an identity key %s is refused', async (_, cacaoOf, message) => {
    const at = await scene(tag)
    const { device } = at
    const cacao = cacaoOf(device)
    if (cacao) world.identities.set(device.identity.did, cacao)
    else world.identities.delete(device.identity.did)
    const sent = make(tag, at)
    expect((await world.ask(sent)).rpc).toEqual(
      failure(sent, -1, message.replace('ACCOUNT', didPkh(device.account))),
    )
  })

  it('by an identity key of this app is accepted', async () => {
    const at = await scene(tag)
    world.register(at.device, { statement: THIS_APP, domain: DOMAIN })
    const sent = make(tag, at, { claims: { app: didWeb(DOMAIN) } })
    expect((await world.ask(sent)).rpc.kind).toBe('result')
  })

  it('naming the account in lower case, or on another chain, is the same person, and is answered as it writes', async () => {
    const at = await scene(tag)
    for (const account of [
      at.device.account.toLowerCase(),
      at.device.account.replace(/^eip155:1:/, 'eip155:137:'),
    ]) {
      const again = { ...at, symKey: onNotifyTopic(tag) ? await subscribed(at.device) : at.symKey }
      const { claims } = await world.ask(make(tag, again, { claims: { sub: didPkh(account) } }))
      expect(claims.sub).toBe(didPkh(account))
      for (const item of (claims.sbs ?? []) as { account: string }[]) expect(item.account).toBe(account)
    }
  })

  it('is answered with nothing internal when the fault is ours', async () => {
    const at = await scene(tag)
    for (const error of [
      new ProtocolError('unavailable', 'secret place'),
      new TypeError('secret') as never,
    ]) {
      world.failLookups(error)
      const sent = make(tag, at)
      const { rpc } = await world.ask(sent)
      world.failLookups(undefined)
      expect(rpc).toEqual(failure(sent, -32000, 'Internal server error'))
    }
  })

  it('that comes again is carried out once; only what changes nothing is answered again', async () => {
    const at = await scene(tag)
    const sent = make(tag, at)
    const first = await world.ask(sent)
    const isRead = tag === 4014
    if (isRead) {
      const second = await world.ask(sent)
      // The relay sees a duplicate.
      expect(second.message).toBe(first.message)
    } else await expectSilence(sent)
  })

  it(`is ${tag === 4014 ? 'answered again' : 'carried out once'}, whoever puts its JWT into another envelope`, async () => {
    const at = await scene(tag)
    let token = ''
    const keep = (made: string) => {
      token = made
      return made
    }
    expect((await world.ask(make(tag, at, { token: keep }))).rpc.kind).toBe('result')
    if (tag === 4014) {
      const again = await world.ask(make(tag, at, { token: () => token }))
      return void expect(again.rpc.kind).toBe('result')
    }
    if (tag === 4004) return expectSilence(make(tag, at, { token: () => token }))
    const isRefused = async (spelled: string) => {
      const sent = make(tag, at, { token: () => spelled })
      expect((await world.ask(sent)).rpc).toEqual(
        failure(sent, -1, 'The JWT is not valid: it was used before'),
      )
    }
    await isRefused(token)
    // The same signature in another spelling.
    await isRefused(`${token}==`)
    await world.restart()
    await world.hands.advance((row.requestTtl + 299) * 1000)
    await isRefused(token)
  })

  it('that cannot be decrypted is met with silence, and counted', async () => {
    const at = await scene(tag)
    const sent = make(tag, at)
    const plaintext = rpcRequest(1, row.method, {})
    const stranger = generateAgreementKey()
    const wrongKey = generateSymKey()
    const messages = [
      'not base64!',
      '',
      toBase64(Uint8Array.of(0, 1, 2)),
      toBase64(Uint8Array.from({ length: 100 }, () => 7)),
      sealType0({ key: wrongKey, plaintext }),
      sealType1({ key: wrongKey, senderPublicKey: stranger.publicKey, plaintext }),
      // A public key of low order.
      sealType1({ key: wrongKey, senderPublicKey: new Uint8Array(32), plaintext }),
      // Type 2: not encrypted.
      toBase64(Uint8Array.from([2, ...utf8(Buffer.from(plaintext).toString('base64url'))])),
      // The right key in the wrong type of envelope.
      onNotifyTopic(tag)
        ? sealType1({ key: at.symKey, senderPublicKey: stranger.publicKey, plaintext })
        : sealType0({ key: sent.key, plaintext }),
    ]
    const counted = () => world.recorder.counts.get(`notify_undecryptable_total ${row.method}`) ?? 0
    const before = counted()
    for (const message of messages) await expectSilence({ topic: sent.topic, message, tag })
    // A topic that nobody here has the key of.
    await expectSilence({ ...sent, topic: topicOf(generateSymKey()) })
    expect(counted() - before).toBe(messages.length + 1)
  })
})

describe('bad claims of one method', () => {
  const cases: [string, Tag, Record<string, unknown>, number, RegExp][] = [
    [
      'an app that is no did:web',
      4010,
      { app: 'app.example' },
      -32602,
      /^The parameters are not valid: app: /,
    ],
    ['no app', 4000, { app: undefined }, -32602, /^The parameters are not valid: app: /],
    [
      'another app',
      4000,
      { app: didWeb('other.example') },
      -1,
      /^The identity key is not authorised for this app: the app that is named/,
    ],
    [
      'another app',
      4008,
      { app: didWeb('other.example') },
      -1,
      /^The identity key is not authorised for this app: the app that is named/,
    ],
    [
      'another app',
      4004,
      { app: didWeb('other.example') },
      -1,
      /^The identity key is not authorised for this app: the app that is named/,
    ],
    [
      'another app',
      4014,
      { app: didWeb('other.example') },
      -1,
      /^The identity key is not authorised for this app: the app that is named/,
    ],
    [
      'another app',
      4016,
      { app: didWeb('other.example') },
      -1,
      /^The identity key is not authorised for this app: the app that is named/,
    ],
    ['no scope', 4000, { scp: undefined }, -32602, /scp/],
    ['no scope', 4008, { scp: undefined }, -32602, /scp/],
    [
      'a scope that is none',
      4008,
      { scp: 'a/b' },
      -32602,
      /scp names something that is no notification type/,
    ],
    ['a limit of 0', 4014, { lmt: 0 }, -32602, /lmt/],
    ['a limit of 51', 4014, { lmt: 51 }, -32602, /lmt/],
    ['a limit of 1.5', 4014, { lmt: 1.5 }, -32602, /lmt/],
    ['no limit', 4014, { lmt: undefined }, -32602, /lmt/],
    [
      'a page after an unknown notification',
      4014,
      { aft: 'unknown' },
      -1,
      /^There is no such notification in this subscription$/,
    ],
    ['neither all nor ids', 4016, { all: false, ids: null }, -32602, /ids/],
    ['no ids', 4016, { all: false, ids: [] }, -32602, /ids/],
    ['1001 ids', 4016, { all: false, ids: Array.from({ length: 1001 }, String) }, -32602, /ids/],
  ]
  it.each(cases)('%s, tag %i', async (_, tag, claims, code, message) => {
    const sent = make(tag, await scene(tag), { claims })
    const { rpc } = await world.ask(sent)
    expect(rpc).toMatchObject({ kind: 'failure', idText: sent.rpcId, code })
    expect(rpc.kind === 'failure' && rpc.message).toMatch(message)
  })

  it('an identity key of one app may not watch all of them', async () => {
    const at = await scene(4010)
    world.register(at.device, { statement: THIS_APP, domain: DOMAIN })
    for (const app of [null, undefined]) {
      const sent = make(4010, at, { claims: { app } })
      expect((await world.ask(sent)).rpc).toEqual(
        failure(sent, -1, 'The identity key is not authorised for this app'),
      )
    }
  })
})

describe('a JWT of a client that signs whole seconds and nothing else that differs', () => {
  /** What the device asks, with one JWT in a new envelope each time. */
  const repeatable = (tag: Tag, at: Parameters<typeof make>[1], claims: Record<string, unknown> = {}) => {
    const token = signJwt(
      { ...at.device.claims(tag, world.app.did, OWN[tag]), ...claims },
      at.device.identity,
    )
    return () => world.ask(make(tag, at, { token: () => token }))
  }
  const symKeyIn = (answer: { rpc: Parameters<typeof claimsIn>[0] }) =>
    Uint8Array.from(Buffer.from((claimsIn(answer.rpc).sbs as { symKey: string }[])[0]?.symKey ?? '', 'hex'))

  it('subscribes again after a deletion within the second, and not later', async () => {
    const device = world.newDevice()
    const subscribe = repeatable(4000, { device, symKey: generateSymKey() })
    const first = symKeyIn(await subscribe())
    expect((await subscribe()).rpc.kind).toBe('failure')
    const remove = async (symKey: Uint8Array) =>
      expect((await world.ask(make(4004, { device, symKey }))).rpc.kind).toBe('result')
    await remove(first)
    const second = symKeyIn(await subscribe())
    expect(second).not.toEqual(first)
    await world.hands.advance(1_500)
    await remove(second)
    expect((await subscribe()).rpc).toMatchObject({ message: 'The JWT is not valid: it was used before' })
  })

  it('goes back to a choice that it had within the second', async () => {
    const at = await scene(4008)
    const news = repeatable(4008, at)
    const nothing = repeatable(4008, at, { scp: '' })
    for (const choose of [nothing, news, nothing, news]) expect((await choose()).rpc.kind).toBe('result')
    expect((await news()).rpc.kind).toBe('failure')
    await world.hands.advance(1_500)
    expect((await nothing()).rpc).toMatchObject({ message: 'The JWT is not valid: it was used before' })
  })
})

describe('what is not a request to the server', () => {
  it.each([0, 1100, 4001, 4002, 4003, 4005, 4009, 4011, 4012, 4013, 4015, 4017, 4050, 5000])(
    'tag %i is ignored, whatever it holds',
    async (tag) => {
      const at = await scene(4008)
      const { topic, message } = make(4008, at)
      await expectSilence({ topic, message, tag })
      await expectSilence({ topic, message: '', tag })
    },
  )

  it('the method name is not looked at: the published client misspells one', async () => {
    const sent = make(4010, await scene(4010), {
      text: (text) => text.replace('wc_notifyWatchSubscriptions', 'wc_notifyWatchSubscription'),
    })
    expect((await world.ask(sent)).rpc.kind).toBe('result')
  })
})

it('nothing that is logged holds a key, a token, an envelope or a topic key', async () => {
  const device = world.newDevice()
  const sent = device.subscribe(world.app, ['news'])
  const answer = await world.ask(sent)
  const symKey = (claimsIn(answer.rpc).sbs as { symKey: string }[])[0]?.symKey ?? ''
  const logged = JSON.stringify(world.recorder.lines)
  expect(logged.length).toBeGreaterThan(100)
  for (const secret of [sent.message, answer.message, symKey, 'eyJ']) expect(logged).not.toContain(secret)
})
