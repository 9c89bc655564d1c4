/** Which addresses are of a fixed host, in a page and in the code of a package. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRewrite } from '../../packages/compat/src/build/rewrite.ts'
import { movedUrl, targetOf } from '../../packages/compat/src/redirect/target.ts'
import { FIXED_HOSTS } from '../../src/platform/net/fixed-hosts.ts'

const target = targetOf('https://belfry.example.com/base/')
const fixedHost = fc.constantFrom(...FIXED_HOSTS)

describe('in a page', () => {
  it('an address keeps all behind its host, and its scheme as far as the server has it', () => {
    fc.assert(
      fc.property(
        fixedHost,
        fc.webPath(),
        fc.webQueryParameters(),
        fc.boolean(),
        (host, path, query, isSocket) => {
          const url = new URL(`${isSocket ? 'wss' : 'https'}://${host}${path}?${query}`)
          const moved = new URL(movedUrl(url.href, target) ?? '')
          expect(moved.protocol).toBe(url.protocol)
          expect(moved.host).toBe('belfry.example.com')
          expect(moved.pathname).toBe(`/base${url.pathname}`)
          expect(moved.search).toBe(url.search)
        },
      ),
    )
    expect(movedUrl('wss://relay.walletconnect.org', targetOf('http://localhost:8080'))).toBe(
      'ws://localhost:8080/',
    )
  })

  it('no other host is moved, whatever it is made of', () => {
    fc.assert(
      fc.property(fixedHost, fc.domain(), (host, other) => {
        for (const name of [
          `${host}.${other}`,
          `x${host}`,
          `x-${host}`,
          `${host}@${other}`,
          `u@${host}`,
          `${host}:444`,
          other,
        ]) {
          expect(movedUrl(`https://${name}/`, target)).toBeUndefined()
        }
      }),
    )
  })
})

describe('in the code of a package', () => {
  const rewrite = createRewrite(target)

  it.each([
    ['"https://notify.walletconnect.com"', '"https://belfry.example.com/base"'],
    ["'wss://relay.walletconnect.org'", "'wss://belfry.example.com/base'"],
    ['`https://rpc.walletconnect.org/v1/?a=`', '`https://belfry.example.com/base/v1/?a=`'],
  ])('%s is written over', (before, after) => {
    expect(rewrite(`const a=${before},b=1`)).toBe(`const a=${after},b=1`)
  })

  it.each([
    'https://walletconnect.com/notifications',
    'https://notify.walletconnect.com.evil.example',
    'https://notify.walletconnect.com@evil.example',
    'https://notify.walletconnect.com:8443',
    'https://my-notify.walletconnect.com',
    'http://notify.walletconnect.com',
    'notify.walletconnect.com',
  ])('%s stays', (text) => {
    expect(rewrite(`const a="${text}"`)).toBeUndefined()
  })

  it('a host that is excepted stays, and others do not', () => {
    const some = createRewrite(targetOf('https://b.example', { except: ['rpc.walletconnect.org'] }))
    expect(some('"https://rpc.walletconnect.org" "https://rpc.walletconnect.com"')).toBe(
      '"https://rpc.walletconnect.org" "https://b.example"',
    )
  })
})
