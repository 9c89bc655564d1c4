/** What the relay may tell the notify server, and what it may not. */
import { beforeEach, describe, expect, it } from 'vitest'
import { relayWebhookRoutes } from '../../../src/notify/http/relay-webhook.ts'
import {
  createRelayEvents,
  type DeliveredMessage,
  type RelayEvents,
} from '../../../src/notify/relay/events.ts'
import type { RelayMessage } from '../../../src/notify/relay/link.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { WatchEventClaims } from '../../../src/protocol/relay-watch.ts'
import { manualClock } from '../../support/clock.ts'

const SERVICE = 'https://notify.example'
const HOOK = `${SERVICE}/v1/relay-webhook`
const DELIVERED = `${HOOK}/delivered`
const TOPIC = 'ab'.repeat(32)
const clock = manualClock()
const relay = generateSigningKey()
const server = generateSigningKey()

let taken: RelayMessage[]
let delivered: DeliveredMessage[]
let failure: Error | undefined
let relayKey: () => Promise<string>
let events: RelayEvents
let routes: ReturnType<typeof relayWebhookRoutes>

beforeEach(() => {
  taken = []
  delivered = []
  failure = undefined
  relayKey = async () => relay.did
  events = createRelayEvents(
    {
      relayKey: () => relayKey(),
      onMessage: async (message) => {
        if (failure) throw failure
        taken.push(message)
      },
      onDelivered: async (all) => void delivered.push(...all),
      clock,
      log: silent,
      meter: unmeasured,
    },
    { clientId: server.did, service: SERVICE, webhooks: [HOOK, DELIVERED] },
  )
  routes = relayWebhookRoutes({ take: events.posted, log: silent })
})

const evt = (more: object = {}) => ({
  messageId: 'cd'.repeat(32),
  status: 'accepted',
  topic: TOPIC,
  message: 'an envelope',
  publishedAt: clock.now(),
  tag: 4000,
  attestation: '',
  ...more,
})
const token = (more: object = {}, key = relay): string => {
  const iat = Math.floor(clock.now() / 1000)
  const claims = {
    act: 'irn_watchEvent',
    aud: SERVICE,
    sub: server.did,
    typ: 'subscriber',
    whu: HOOK,
    evt: evt(),
  }
  return signJwt({ iss: key.did, iat, exp: iat + 300, ...claims, ...more }, key)
}
const post = async (body: unknown, path = '/v1/relay-webhook') => {
  const headers = { 'content-type': 'application/json' }
  const response = await routes.request(path, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}
const tell = (...tokens: string[]) => post({ eventAuth: tokens })

describe('the relay of the same process', () => {
  const eventOf = (more: object = {}) => WatchEventClaims.shape.evt.parse(evt(more))
  const told = (more: object = {}) => ({ typ: 'subscriber' as const, evt: eventOf(more) })

  it('tells messages and deliveries, unsigned', async () => {
    const at = clock.now() - 7
    await events.told([
      told(),
      { typ: 'publisher', evt: eventOf({ status: 'delivered', tag: 4002, at }) },
      { typ: 'publisher', evt: eventOf({ status: 'accepted', tag: 4002 }) },
      told({ status: 'delivered', tag: 4002 }),
    ])
    expect(taken).toEqual([
      { topic: TOPIC, message: 'an envelope', publishedAt: clock.now(), tag: 4000, attestation: '' },
    ])
    expect(delivered).toEqual([{ topic: TOPIC, message: 'an envelope', at }])
  })

  it('is asked for everything again when something could not be handled', async () => {
    failure = new Error('the store is away')
    await expect(events.told([told()])).rejects.toMatchObject({ code: 'unavailable' })
    failure = undefined
    await events.told([told()])
    expect(taken).toHaveLength(1)
  })
})

describe('POST /v1/relay-webhook', () => {
  it('takes messages, in whichever status they came to us', async () => {
    const other = 'ef'.repeat(32)
    const queued = token({ evt: evt({ status: 'queued', topic: other.toUpperCase(), attestation: null }) })
    expect(await tell(token(), queued)).toEqual({ status: 200, body: {} })
    const message = { message: 'an envelope', publishedAt: clock.now(), tag: 4000, attestation: '' }
    expect(taken).toEqual([
      { ...message, topic: TOPIC },
      { ...message, topic: other },
    ])
  })

  it('hears of deliveries of notifications', async () => {
    const claims = { typ: 'publisher', whu: DELIVERED }
    const at = clock.now() - 7
    expect((await tell(token({ ...claims, evt: evt({ status: 'delivered', tag: 4002, at }) }))).status).toBe(
      200,
    )
    expect(delivered).toEqual([{ topic: TOPIC, message: 'an envelope', at }])
    // Answers to wallets, other stages, and what the server itself received.
    await tell(
      token({ ...claims, evt: evt({ status: 'delivered', tag: 4001 }) }),
      token({ ...claims, evt: evt({ status: 'accepted', tag: 4002 }) }),
      token({ evt: evt({ status: 'delivered', tag: 4002 }) }),
    )
    expect(delivered).toHaveLength(1)
    expect(taken).toEqual([])
  })

  it('understands relays that give no end of validity and number their messages', async () => {
    const claims = { exp: undefined, evt: { ...evt({ messageId: 12345678 }), attestation: undefined } }
    expect((await tell(token(claims))).status).toBe(200)
    expect(taken).toHaveLength(1)
    expect((await tell(token({ ...claims, iat: Math.floor(clock.now() / 1000) - 4 * 86_400 }))).status).toBe(
      401,
    )
  })

  const stranger = generateSigningKey()
  const [header, payload] = token().split('.')
  it.each<[string, string, number, string]>([
    ['no JWT', 'nonsense', 401, 'jwt_invalid'],
    ['a JWT of nonsense', 'a.b.c', 401, 'jwt_invalid'],
    ['a wrong signature', `${header}.${payload}.${token({ act: 'x' }).split('.')[2]}`, 401, 'jwt_invalid'],
    ['another signer', token({}, stranger), 401, 'jwt_invalid'],
    ['another signer in the name of the relay', token({ iss: relay.did }, stranger), 401, 'jwt_invalid'],
    ['another service', token({ aud: 'https://other.example' }), 401, 'jwt_wrong_audience'],
    ['another action', token({ act: 'irn_watchRegister' }), 401, 'jwt_wrong_act'],
    ['the past', token({ iat: 1_700_000_000, exp: 1_700_000_300 }), 401, 'jwt_expired'],
    ['the future', token({ iat: 4_000_000_000, exp: 4_000_000_300 }), 401, 'jwt_expired'],
    ['another client', token({ sub: stranger.did }), 403, 'forbidden'],
    ['another webhook', token({ whu: `${SERVICE}/elsewhere` }), 403, 'forbidden'],
    ['no event', token({ evt: undefined }), 422, 'bad_params'],
    ['an unknown type', token({ typ: 'bystander' }), 422, 'bad_params'],
    ['an unknown status', token({ evt: evt({ status: 'lost' }) }), 422, 'bad_params'],
    ['a topic that is none', token({ evt: evt({ topic: 'topic' }) }), 422, 'bad_params'],
  ])('refuses %s, and takes what came with it', async (_, wrong, status, code) => {
    expect(await tell(wrong)).toMatchObject({ status, body: { code } })
    expect(taken).toEqual([])
    expect(await tell(wrong, token())).toMatchObject({ status, body: { code } })
    expect(taken).toHaveLength(1)
  })

  it('agrees to be told, which is asked with an empty batch', async () => {
    expect((await post({ eventAuth: [] })).status).toBe(200)
    expect(taken).toEqual([])
  })

  it.each([{}, { eventAuth: 'jwt' }, { eventAuth: [7] }, []])('refuses %j', async (body) => {
    expect((await post(body)).status).toBe(422)
  })

  it('asks for everything again when something could not be handled', async () => {
    failure = new ProtocolError('bad_params', 'of the wallet, not of the relay')
    expect(await tell(token(), 'nonsense')).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    failure = new Error('the store is away')
    expect((await tell(token())).status).toBe(503)
    failure = undefined
    expect((await tell(token())).status).toBe(200)
  })

  it('asks for everything again while the relay does not tell its key', async () => {
    relayKey = async () => {
      throw new ProtocolError('unavailable')
    }
    expect((await tell(token())).status).toBe(503)
    relayKey = async () => relay.did
    expect((await tell(token())).status).toBe(200)
  })

  it('finds out when the relay has a new key, and does not ask for each stranger', async () => {
    let asked = 0
    let current = relay
    relayKey = async () => {
      asked++
      return current.did
    }
    expect((await tell(token())).status).toBe(200)
    for (let at = 0; at < 20; at++) expect((await tell(token({}, stranger))).status).toBe(401)
    expect(asked).toBe(1)
    current = generateSigningKey()
    await clock.advance(10_000)
    expect((await tell(token({}, current))).status).toBe(200)
    expect((await tell(token())).status).toBe(401)
    expect(asked).toBe(2)
  })
})
