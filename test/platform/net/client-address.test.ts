import { expect, it } from 'vitest'
import { createClientAddress, isProxyRule } from '../../../src/platform/net/client-address.ts'

const from = (remoteAddress: string | undefined, forwarded?: string, trusted = ['loopback']) =>
  createClientAddress(trusted)({
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    // Only the address is looked at.
    socket: Object.assign(Object.create(null), { remoteAddress }),
  })

it.each([
  ['an address', '8.8.8.8', undefined, '8.8.8.8'],
  ['an IPv4 address that is mapped into IPv6', '::ffff:8.8.8.8', undefined, '8.8.8.8'],
  ['a network of IPv6', '2606:4700:0:1:2:3:4:5', undefined, '2606:4700:0:1::/64'],
  ['the same network in the short form', '2606:4700::5', undefined, '2606:4700::/64'],
  ['the same network with leading zeros', '2606:4700:0000:0::5', undefined, '2606:4700::/64'],
  ['a network whose groups are all zero', '::7', undefined, '::/64'],
  ['a network that begins with zeros', '0:0:0:5::7', undefined, '0:0:0:5::/64'],
  ['loopback of IPv6 by its own name', '::1', undefined, '::1'],
  ['loopback of IPv6 in the long form', '0:0:0:0:0:0:0:1', undefined, '::1'],
  ['what a trusted proxy says', '127.0.0.1', '8.8.8.8', '8.8.8.8'],
  ['the last hop that is not a trusted proxy', '127.0.0.1', '1.1.1.1, 9.9.9.9 ,8.8.8.8', '8.8.8.8'],
  ['the hop before a chain of trusted proxies', '127.0.0.1', '1.1.1.1, 8.8.8.8, 127.0.0.9', '8.8.8.8'],
  ['in IPv6 what a trusted proxy says', '::1', '2606:4700::5', '2606:4700::/64'],
  ['the proxy itself when it says nothing of use', '127.0.0.1', 'unknown', '127.0.0.1'],
  ['a private neighbour that is not trusted, whatever it says', '10.0.0.1', '8.8.8.8', '10.0.0.1'],
  ['a stranger, whatever it says', '9.9.9.9', '8.8.8.8', '9.9.9.9'],
  ['nothing, once the connection is gone', undefined, undefined, ''],
])('the client address is %s', (_, remote, forwarded, address) =>
  expect(from(remote, forwarded)).toBe(address),
)

it('proxies are trusted by name, address and range', () => {
  expect(from('10.0.0.1', '8.8.8.8', ['private'])).toBe('8.8.8.8')
  expect(from('172.18.0.2', '8.8.8.8', ['172.18.0.0/16'])).toBe('8.8.8.8')
  expect(from('2001:db8::1', '8.8.8.8', ['2001:db8::1'])).toBe('8.8.8.8')
  expect(from('127.0.0.1', '8.8.8.8', ['none'])).toBe('127.0.0.1')
  for (const rule of ['loopback', 'private', 'none', '10.0.0.0/8', '::1', '192.0.2.1']) {
    expect(isProxyRule(rule)).toBe(true)
  }
  for (const rule of ['', 'proxy', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/', '10.0.0.0/x']) {
    expect(isProxyRule(rule)).toBe(false)
  }
})
