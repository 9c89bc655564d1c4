import { describe, expect, it } from 'vitest'
import { authorityOf, authorize } from '../../../src/notify/requests/authority.ts'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { encodeRecap, type Recap, recapStatement } from '../../../src/protocol/recap.ts'
import { ALL_APPS, THIS_APP } from '../support/wallet.ts'

const notifyUrls = ['http://localhost:8080', 'https://notify.walletconnect.com']

const cacao = (payload: Partial<Cacao['p']>): Cacao => ({
  h: { t: 'eip4361' },
  p: {
    aud: 'did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH',
    domain: 'wallet.example',
    iss: 'did:pkh:eip155:1:0x0000000000000000000000000000000000000001',
    version: '1',
    nonce: '1',
    iat: '2026-01-01T00:00:00.000Z',
    ...payload,
  },
  s: { t: 'eip191', s: '' },
})
const outcome = (payload: Partial<Cacao['p']>) => {
  try {
    return authorityOf(cacao(payload), { notifyUrls })
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}
const recapped = (att: Recap['att'], statement?: string) => {
  const recap = { att }
  return outcome({
    ...(statement === undefined ? {} : { statement }),
    resources: ['did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH', encodeRecap(recap)],
  })
}
const ALL = { kind: 'all' }
const page = 'Read more at https://walletconnect.com/identity'
const behalf = 'I further authorize this app to send and receive messages on my behalf'

describe('by statement', () => {
  it.each([
    [ALL_APPS, ALL],
    [ALL_APPS.replace('notifications-all-apps', 'notifications'), ALL],
    [THIS_APP, { kind: 'app', domain: 'wallet.example' }],
    [
      `${behalf} for THIS domain using my WalletConnect identity. ${page}`,
      { kind: 'app', domain: 'wallet.example' },
    ],
    [`${behalf} for ALL domains using my WalletConnect identity. ${page}`, ALL],
    [`${behalf} using my WalletConnect identity. ${page}`, ALL],
    ['', 'app_not_authorized'],
    [`${ALL_APPS} `, 'app_not_authorized'],
    [`Hello. ${ALL_APPS}`, 'app_not_authorized'],
    [ALL_APPS.toLowerCase(), 'app_not_authorized'],
  ])('%j', (statement, expected) => {
    expect(outcome({ statement })).toEqual(expected)
  })

  it('an absent statement allows nothing', () => {
    expect(outcome({})).toBe('app_not_authorized')
  })
})

describe('by recap', () => {
  const limits = [{}]
  const own = 'http://localhost:8080'
  it.each<[string, Recap['att'], unknown]>([
    ['all apps here', { [own]: { 'manage/all-apps-notifications': limits } }, ALL],
    ['all apps here, with a slash', { [`${own}/`]: { 'manage/all-apps-notifications': limits } }, ALL],
    [
      'all apps at the official server',
      { 'https://notify.walletconnect.com': { 'manage/all-apps-notifications': limits } },
      ALL,
    ],
    [
      'one app',
      { [own]: { 'manage/app.example-notifications': limits } },
      { kind: 'app', domain: 'app.example' },
    ],
    [
      'also something elsewhere',
      { [own]: { 'manage/all-apps-notifications': limits }, 'https://other.example': { 'push/all': limits } },
      ALL,
    ],
    [
      'another server',
      { 'https://other.example': { 'manage/all-apps-notifications': limits } },
      'app_not_authorized',
    ],
    [
      'two abilities',
      { [own]: { 'manage/all-apps-notifications': limits, 'manage/app.example-notifications': limits } },
      'app_not_authorized',
    ],
    ['another ability', { [own]: { 'push/all-apps-notifications': limits } }, 'app_not_authorized'],
    ['nothing', {}, 'app_not_authorized'],
  ])('%s', (_, att, expected) => {
    expect(recapped(att, recapStatement({ att }))).toEqual(expected)
    expect(recapped(att, `I accept. ${recapStatement({ att })}`)).toEqual(expected)
    // Published clients leave the sentence out of the payload; it is in the text that is signed.
    expect(recapped(att)).toEqual(expected)
  })

  it('counts only when the statement ends with it', () => {
    const att = { [own]: { 'manage/all-apps-notifications': limits } }
    const shown = { [own]: { 'manage/app.example-notifications': limits } }
    expect(recapped(att, recapStatement({ att: shown }))).toBe('app_not_authorized')
    expect(recapped(att, `${recapStatement({ att })} Or not.`)).toBe('app_not_authorized')
  })

  it('is an error when there are two, when it is not last, and when it cannot be read', () => {
    const recap = encodeRecap({ att: { [own]: { 'manage/all-apps-notifications': limits } } })
    expect(outcome({ statement: ALL_APPS, resources: [recap, recap] })).toBe('identity_invalid')
    expect(outcome({ statement: ALL_APPS, resources: [recap, 'https://example.com'] })).toBe(
      'identity_invalid',
    )
    expect(outcome({ statement: ALL_APPS, resources: ['urn:recap:e30x'] })).toBe('identity_invalid')
  })
})

it('an authority over one app covers that app, not another and not all', () => {
  const one = { kind: 'app', domain: 'a.example' } as const
  expect(() => authorize(one, 'a.example')).not.toThrow()
  expect(() => authorize(one, 'b.example')).toThrow(ProtocolError)
  expect(() => authorize(one, 'A.example')).toThrow(ProtocolError)
  expect(() => authorize(one, null)).toThrow(ProtocolError)
  expect(() => authorize({ kind: 'all' }, null)).not.toThrow()
})
