import { expect, test } from 'vitest'
import { createSubscriptions } from '../../../src/notify/client/wallet/state.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import { generateSigningKey, generateSymKey } from '../../../src/protocol/keys.ts'
import { newOwner } from '../../support/owner.ts'

const { account } = newOwner()
const item = (appDomain: string, symKey = toHex(generateSymKey())) => ({
  appDomain,
  appAuthenticationKey: generateSigningKey().did,
  symKey,
  account,
  scope: [],
  expiry: 2_000_000_000,
  unreadNotificationCount: 0,
})
const domains = (subscriptions: ReturnType<typeof createSubscriptions>) =>
  subscriptions
    .all(0)
    .map(({ domain }) => domain)
    .toSorted()

test('a complete view ends what is missing, one of an app ends only that app', () => {
  const subscriptions = createSubscriptions(account, [item('a'), item('b')])
  expect(subscriptions.apply([item('c')], { complete: 'a', iat: 1 })).toMatchObject({ changed: true })
  expect(domains(subscriptions)).toEqual(['b', 'c'])
  subscriptions.apply([], { complete: null, iat: 2 })
  expect(domains(subscriptions)).toEqual([])
})

test('an older view that arrives late brings nothing back and ends nothing', () => {
  const [a, b] = [item('a'), item('b')]
  const subscriptions = createSubscriptions(account, [a])
  subscriptions.apply([a, b], { complete: 'b', iat: 20 })
  expect(subscriptions.apply([a], { complete: null, iat: 10 }).changed).toBe(false)
  expect(domains(subscriptions)).toEqual(['a', 'b'])
  subscriptions.apply([a], { complete: 'b', iat: 30 })
  subscriptions.apply([a, b], { complete: null, iat: 25 })
  expect(domains(subscriptions)).toEqual(['a'])
})

test('a new key for an app ends its old topic', () => {
  const [before, after] = [item('a'), item('a')]
  const subscriptions = createSubscriptions(account, [before])
  const [old] = subscriptions.topics()
  expect(subscriptions.apply([after], { complete: null, iat: 1 }).left).toEqual([old])
  expect(subscriptions.topics()).toHaveLength(1)
})

test('what belongs to somebody else is left out, however the chain is written', () => {
  const subscriptions = createSubscriptions(account, [])
  const other = { ...item('a'), account: newOwner().account }
  const same = { ...item('b'), account: account.replace('eip155:1:', 'eip155:10:') }
  subscriptions.apply([other, same, { ...item('c'), account: 'junk' }], { complete: null, iat: 1 })
  expect(domains(subscriptions)).toEqual(['b'])
})

test('an expired subscription is not shown', () => {
  const subscriptions = createSubscriptions(account, [item('a')])
  expect(subscriptions.all(1_999_999_999_999)).toHaveLength(1)
  expect(subscriptions.all(2_000_000_000_000)).toHaveLength(0)
})
