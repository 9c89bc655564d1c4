import { describe, expect, it } from 'vitest'
import { canonicalMethod, isRelayMethod, LIMITS, RELAY_METHODS } from '../../src/protocol/relay-methods.ts'

const topic = 'ab'.repeat(32)
const message = 'AAAA'

describe('method names', () => {
  it.each([
    ['irn_publish', 'irn_publish'],
    ['iridium_publish', 'irn_publish'],
    ['waku_subscribe', 'irn_subscribe'],
    ['wc_proposeSession', 'wc_proposeSession'],
    ['x_waku_publish', 'x_waku_publish'],
  ])('%s is %s', (name, canonical) => expect(canonicalMethod(name)).toBe(canonical))

  it.each(['irn_publishh', 'publish', '', 'toString', '__proto__', 'constructor', 'hasOwnProperty'])(
    '%j is none',
    (name) => expect(isRelayMethod(canonicalMethod(name))).toBe(false),
  )
})

describe('params', () => {
  it('of a publish get what is absent, and lose what is private', () => {
    expect(RELAY_METHODS.irn_publish.params.parse({ topic, message })).toEqual({
      topic,
      message,
      ttl: 21_600,
      tag: 0,
      attestation: '',
    })
    expect(
      RELAY_METHODS.irn_publish.params.parse({
        topic: topic.toUpperCase(),
        message,
        ttl: 300,
        tag: 4000,
        prompt: true,
        attestation: 'jwt',
        correlationId: 1,
        rpcMethods: ['eth_sign'],
        chainId: 'eip155:1',
        txHashes: ['0x'],
        contractAddresses: ['0x'],
      }),
    ).toEqual({ topic, message, ttl: 300, tag: 4000, prompt: true, attestation: 'jwt' })
    expect(
      RELAY_METHODS.irn_publish.params.parse({ topic, message, ttl: 1, attestation: null }),
    ).toMatchObject({ ttl: 1, attestation: '' })
  })

  it('of session proposals and approvals are taken with their extras', () => {
    expect(
      RELAY_METHODS.wc_proposeSession.params.parse({
        pairingTopic: topic,
        sessionProposal: message,
        ttl: 300,
        correlationId: 1,
        chainId: '1',
      }),
    ).toEqual({ pairingTopic: topic, sessionProposal: message, ttl: 300, attestation: '' })
    expect(
      RELAY_METHODS.wc_approveSession.params.parse({
        sessionTopic: topic,
        pairingTopic: topic,
        sessionProposalResponse: message,
        sessionSettlementRequest: message,
        correlationId: 1,
        approvedChains: ['eip155:1'],
        approvedMethods: [],
        approvedEvents: [],
      }),
    ).toMatchObject({ ttl: 21_600, sessionProposalResponse: message })
  })

  it('of an unsubscribe are taken whatever the id', () => {
    for (const id of ['abc', 7, null, undefined]) {
      expect(RELAY_METHODS.irn_unsubscribe.params.parse({ topic, id })).toMatchObject({ topic })
    }
    expect(RELAY_METHODS.irn_batchUnsubscribe.params.parse({ subscriptions: [{ topic }] })).toEqual({
      subscriptions: [{ topic }],
    })
  })

  it('of receipts are taken under both names', () => {
    const { receipts } = RELAY_METHODS.irn_batchReceive.params.parse({
      receipts: [
        { topic, messageId: 'AB' },
        { topic: topic.toUpperCase(), message_id: 'cd' },
      ],
    })
    expect(receipts).toEqual([
      { topic, messageId: 'ab' },
      { topic, messageId: 'cd' },
    ])
    expect(RELAY_METHODS.irn_batchReceive.params.safeParse({ receipts: [{ topic }] }).success).toBe(false)
  })

  it('of a push have an attestation, which is empty when there is none', () => {
    const data = { topic, message, publishedAt: 1, tag: 0 }
    expect(RELAY_METHODS.irn_subscription.params.parse({ id: 'a', data })).toEqual({
      id: 'a',
      data: { ...data, attestation: '' },
    })
    expect(RELAY_METHODS.irn_heartbeat.params.safeParse({}).success).toBe(true)
    expect(RELAY_METHODS.irn_heartbeat.params.safeParse(undefined).success).toBe(true)
  })

  const topics = (count: number) => Array.from({ length: count }, () => topic)
  it('of batches end at 500 items', () => {
    const { params } = RELAY_METHODS.irn_batchSubscribe
    expect(params.parse({ topics: topics(500) }).topics).toHaveLength(500)
    expect(params.safeParse({ topics: topics(501) }).success).toBe(false)
    expect(params.parse({ topics: [] }).topics).toEqual([])
  })

  it.each<[keyof typeof RELAY_METHODS, unknown]>([
    ['irn_publish', undefined],
    ['irn_publish', null],
    ['irn_publish', []],
    ['irn_publish', {}],
    ['irn_publish', { topic }],
    ['irn_publish', { message }],
    ['irn_publish', { topic: 'ab', message }],
    ['irn_publish', { topic: `${topic}\n`, message }],
    ['irn_publish', { topic, message: 7 }],
    ['irn_publish', { topic, message: 'a'.repeat(LIMITS.messageBytes + 1) }],
    ['irn_publish', { topic, message, ttl: 0 }],
    ['irn_publish', { topic, message, ttl: -1 }],
    ['irn_publish', { topic, message, ttl: 1.5 }],
    ['irn_publish', { topic, message, ttl: 2_592_001 }],
    ['irn_publish', { topic, message, ttl: 1e300 }],
    ['irn_publish', { topic, message, ttl: '300' }],
    ['irn_publish', { topic, message, tag: -1 }],
    ['irn_publish', { topic, message, tag: 1e300 }],
    ['irn_publish', { topic, message, tag: '4000' }],
    ['irn_publish', { topic, message, prompt: 'yes' }],
    ['irn_publish', { topic, message, attestation: 7 }],
    ['irn_publish', { topic, message, attestation: 'a'.repeat(LIMITS.attestationBytes + 1) }],
    ['irn_batchPublish', { messages: {} }],
    ['irn_batchPublish', { messages: [{ topic, message }, { topic }] }],
    ['irn_subscribe', { topic: null }],
    ['irn_batchSubscribe', { topics: topic }],
    ['irn_batchSubscribe', { topics: [topic, 'x'] }],
    ['irn_unsubscribe', { id: 'a' }],
    ['irn_batchUnsubscribe', { subscriptions: [topic] }],
    ['irn_fetchMessages', {}],
    ['irn_batchFetchMessages', { topics: [7] }],
    ['irn_batchReceive', { receipts: [{ messageId: 'a' }] }],
    ['irn_watchRegister', { registerAuth: 7 }],
    ['irn_watchUnregister', {}],
    ['wc_proposeSession', { pairingTopic: topic }],
    ['wc_approveSession', { sessionTopic: topic, pairingTopic: topic, sessionProposalResponse: message }],
  ])('of %s that are wrong are refused', (method, params) =>
    expect(RELAY_METHODS[method].params.safeParse(params).success).toBe(false),
  )
})
