import { describe, expect, it } from 'vitest'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { NOTIFY_REQUESTS, parseScope } from '../../src/protocol/notify/requests.ts'
import {
  historyItem,
  messageItem,
  NOTIFY_METHODS,
  notifyMethodByResponseTag,
  notifyMethodByTag,
  subscriptionItem,
} from '../../src/protocol/notify-methods.ts'
import { expectCode } from './throws.ts'

const key = signingKeyFrom(new Uint8Array(32).fill(1)).did
const other = signingKeyFrom(new Uint8Array(32).fill(2)).did
const shared = {
  iss: key,
  aud: other,
  iat: 1_767_225_600,
  exp: 1_767_225_900,
  act: 'notify_anything',
  sub: 'did:pkh:eip155:1:0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A',
}
const ksu = 'https://keys.walletconnect.com'
const app = 'did:web:app.example.com'
const fromWallet = { ...shared, ksu, app, mjv: '1', sdk: { packageManager: 'npm', packages: {} } }

describe('the table', () => {
  it('has the tags and lives of the protocol', () => {
    const rows = Object.values(NOTIFY_METHODS).map((row) => [
      row.method,
      `${row.requestTag}/${row.requestTtl}`,
      row.requestParam,
      `${row.responseTag}/${row.responseTtl}`,
      row.resultParam,
    ])
    expect(rows).toEqual([
      ['wc_notifySubscribe', '4000/300', 'subscriptionAuth', '4001/2592000', 'responseAuth'],
      ['wc_notifyMessage', '4002/2592000', 'messageAuth', '4003/2592000', 'responseAuth'],
      ['wc_notifyDelete', '4004/2592000', 'deleteAuth', '4005/2592000', 'responseAuth'],
      ['wc_notifyUpdate', '4008/300', 'updateAuth', '4009/2592000', 'responseAuth'],
      ['wc_notifyWatchSubscriptions', '4010/300', 'watchSubscriptionsAuth', '4011/300', 'responseAuth'],
      ['wc_notifySubscriptionsChanged', '4012/300', 'subscriptionsChangedAuth', '4013/300', 'responseAuth'],
      ['wc_notifyGetNotifications', '4014/300', 'auth', '4015/300', 'auth'],
      ['wc_notifyMarkNotificationsAsRead', '4016/300', 'auth', '4017/300', 'auth'],
      ['wc_notifyAnswer', '4018/2592000', 'auth', '4019/2592000', 'auth'],
    ])
    for (const row of Object.values(NOTIFY_METHODS)) {
      expect(row.responseAct).toBe(`${row.requestAct}_response`)
      expect(notifyMethodByTag(row.requestTag)).toBe(row)
      expect(notifyMethodByResponseTag(row.responseTag)).toBe(row)
    }
  })

  it.each([0, 4001, 4050, 1100, Number.NaN])('has no request of tag %d', (tag) =>
    expect(notifyMethodByTag(tag)).toBeUndefined(),
  )
})

describe('claims', () => {
  it('of a watch may name one app or all', () => {
    const requestClaims = NOTIFY_REQUESTS[4010]
    expect(requestClaims.parse(fromWallet).app).toBe(app)
    expect(requestClaims.parse({ ...fromWallet, app: null }).app).toBeNull()
    expect(requestClaims.parse({ ...fromWallet, app: undefined }).app).toBeNull()
  })

  it('have major version "0" when they name none, and keep what else they say', () => {
    const requestClaims = NOTIFY_REQUESTS[4010]
    expect(requestClaims.parse(fromWallet)).toMatchObject({ mjv: '1', sdk: { packageManager: 'npm' } })
    expect(requestClaims.parse({ ...fromWallet, mjv: undefined }).mjv).toBe('0')
    expect(requestClaims.parse({ ...fromWallet, mjv: null }).mjv).toBe('0')
  })

  it('of a page of history have defaults', () => {
    const requestClaims = NOTIFY_REQUESTS[4014]
    expect(requestClaims.parse({ ...fromWallet, lmt: 50 })).toMatchObject({ lmt: 50, aft: null, urf: false })
    expect(requestClaims.parse({ ...fromWallet, lmt: 1, aft: 'a', urf: true })).toMatchObject({
      aft: 'a',
      urf: true,
    })
  })

  it('of mark-as-read name ids, or all', () => {
    const requestClaims = NOTIFY_REQUESTS[4016]
    expect(requestClaims.parse({ ...fromWallet, all: true, ids: null })).toMatchObject({
      all: true,
      ids: null,
    })
    expect(requestClaims.parse({ ...fromWallet, all: true, ids: [] }).all).toBe(true)
    expect(requestClaims.parse({ ...fromWallet, ids: ['a'] })).toMatchObject({ all: false, ids: ['a'] })
    for (const wrong of [
      { all: false },
      { all: false, ids: null },
      { all: false, ids: [] },
      { all: false, ids: Array.from({ length: 1001 }, String) },
      { all: false, ids: [7] },
      { all: 'yes' },
    ]) {
      expect(
        requestClaims.safeParse({ ...fromWallet, ...wrong }).success,
        JSON.stringify(wrong).slice(0, 60),
      ).toBe(false)
    }
  })

  it('of a message need no audience', () => {
    const msg = { id: 'a', sent_at: 1, type: 't', title: 'T', body: 'B', icon: '', url: null }
    const { aud: _, ...unaddressed } = shared
    expect(NOTIFY_METHODS[4002].requestClaims.parse({ ...unaddressed, app, msg }).msg).toEqual({
      ...msg,
      url: '',
      is_read: false,
    })
  })

  it.each<[string, 4000 | 4004 | 4008 | 4010 | 4014, object]>([
    ['no issuer', 4004, { iss: undefined }],
    ['an issuer that is no did:key', 4004, { iss: 'did:web:a.example' }],
    ['no audience', 4004, { aud: undefined }],
    ['an account that is none', 4004, { sub: 'did:pkh:eip155:1:0x12' }],
    ['an account with a wrong checksum', 4004, { sub: shared.sub.replace('E7E', 'e7E') }],
    ['no key server', 4010, { ksu: undefined }],
    ['a key server that is no URL', 4010, { ksu: 'keys' }],
    ['an app that is no domain', 4004, { app: 'app.example.com' }],
    ['no app', 4004, { app: null }],
    ['an app that is a number', 4010, { app: 7 }],
    ['no scope', 4000, {}],
    ['a scope that is a list', 4008, { scp: [] }],
    ['a scope of nonsense', 4008, { scp: 'a b!' }],
    ['no limit', 4014, {}],
    ['a limit of 0', 4014, { lmt: 0 }],
    ['a limit of 51', 4014, { lmt: 51 }],
    ['a limit that is no whole number', 4014, { lmt: 1.5 }],
    ['a limit that is a text', 4014, { lmt: '5' }],
    ['a place that is a number', 4014, { lmt: 5, aft: 7 }],
  ])('with %s are refused', (_, tag, more) => {
    expect(NOTIFY_REQUESTS[tag].safeParse({ ...fromWallet, ...more }).success).toBe(false)
  })

  it('of a response carry the view', () => {
    const item = {
      appDomain: 'app.example.com',
      appAuthenticationKey: key,
      symKey: 'ab'.repeat(32),
      account: 'eip155:1:0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A',
      scope: ['a1'],
      expiry: 1,
    }
    const { sbs } = NOTIFY_METHODS[4000].responseClaims.parse({ ...shared, app, sbs: [item] })
    expect(sbs).toEqual([{ ...item, unreadNotificationCount: 0 }])
    expect(subscriptionItem.safeParse({ ...item, symKey: 'ab' }).success).toBe(false)
  })
})

describe('notifications', () => {
  const bare = { id: 'a', sent_at: 1, type: 't', title: 'T', body: 'B' }

  it('have empty texts for what is missing in a message, and null in a history', () => {
    expect(messageItem.parse(bare)).toEqual({ ...bare, icon: '', url: '', is_read: false })
    expect(historyItem.parse(bare)).toEqual({ ...bare, icon: null, url: null, is_read: false })
    expect(historyItem.parse({ ...bare, icon: '', url: 'u', is_read: true })).toEqual({
      ...bare,
      icon: null,
      url: 'u',
      is_read: true,
    })
  })
})

describe('scopes', () => {
  it.each([
    ['', []],
    [' ', []],
    ['promo', ['promo']],
    ['a1 b-2  c_3 a1', ['a1', 'b-2', 'c_3']],
    ['F173F231-A45C-4DC0-AA5D-956EB04F7360', ['F173F231-A45C-4DC0-AA5D-956EB04F7360']],
    ['f173f231-a45c-4dc0-aa5d-956eb04f7360', ['f173f231-a45c-4dc0-aa5d-956eb04f7360']],
  ])('%j names %j', (scp, types) => expect(parseScope(scp)).toEqual(types))

  it.each([
    'a',
    'A1',
    'a'.repeat(33),
    'promo,news',
    'ä1',
    'a1\tb2',
    Array.from({ length: 300 }, (_, n) => `t${n}`).join(' '),
  ])('%.40j is refused', (scp) => expectCode(() => parseScope(scp), 'bad_params'))
})
