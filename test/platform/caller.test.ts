import { expect, it } from 'vitest'
import { callerOf } from '../../src/platform/caller.ts'

const from = (remoteAddress: string | undefined, forwarded?: string) =>
  callerOf({
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    // Only the address is looked at.
    socket: Object.assign(Object.create(null), { remoteAddress }),
  })

it.each([
  ['an address', '8.8.8.8', undefined, '8.8.8.8'],
  ['an address in IPv6 clothes', '::ffff:8.8.8.8', undefined, '8.8.8.8'],
  ['a network of IPv6', '2606:4700:0:1:2:3:4:5', undefined, '2606:4700:0:1::/64'],
  ['… however it is written', '2606:4700::5', undefined, '2606:4700:0:0::/64'],
  ['a proxy near, for whom it speaks', '10.0.0.1', '8.8.8.8', '8.8.8.8'],
  [
    '… the last of those who are said to have passed it on',
    '127.0.0.1',
    '1.1.1.1, 9.9.9.9 ,8.8.8.8',
    '8.8.8.8',
  ],
  ['… in IPv6', '::1', '2606:4700::5', '2606:4700:0:0::/64'],
  ['a proxy near that says nothing of use', '10.0.0.1', 'unknown', '10.0.0.1'],
  ['a stranger, whatever it says', '9.9.9.9', '8.8.8.8', '9.9.9.9'],
  ['nobody, once the connection is gone', undefined, undefined, ''],
])('the caller is %s', (_, remote, forwarded, caller) => expect(from(remote, forwarded)).toBe(caller))
