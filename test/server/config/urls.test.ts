import { describe, expect, it } from 'vitest'
import { serverUrls } from '../../../src/server/config/urls.ts'

describe('without a public URL', () => {
  const urls = serverUrls({ publicUrl: undefined, aliases: [], host: undefined }, 8080)

  it('the server is at localhost', () => {
    expect(urls).toMatchObject({
      publicUrl: 'http://localhost:8080',
      wsUrl: 'ws://localhost:8080',
      loopbackUrl: 'http://127.0.0.1:8080',
      knownOrigins: undefined,
    })
  })

  it.each([
    ['http://localhost:8080', true],
    ['http://localhost:8080/', true],
    ['ws://localhost:8080/relay', true],
    ['http://127.0.0.1:8080', true],
    ['http://[::1]:8080', true],
    // A port that somebody mapped.
    ['http://localhost:9000', true],
    ['https://keys.walletconnect.com', false],
    ['http://localhost.example:8080', false],
    ['localhost:8080', false],
    ['', false],
  ])('%s is ours: %s', (url, isOwn) => expect(urls.isOwnUrl(url)).toBe(isOwn))
})

describe('with a public URL', () => {
  const urls = serverUrls(
    { publicUrl: 'https://belfry.example.com', aliases: ['https://notify.walletconnect.com'], host: '::1' },
    8080,
  )

  it('that is what wallets are told, and loopback goes to where we listen', () => {
    expect(urls).toMatchObject({
      publicUrl: 'https://belfry.example.com',
      wsUrl: 'wss://belfry.example.com',
      loopbackUrl: 'http://[::1]:8080',
    })
    expect(urls.knownOrigins).toContain('https://belfry.example.com')
  })

  it.each([
    ['https://belfry.example.com/keys', true],
    ['wss://belfry.example.com', true],
    ['https://notify.walletconnect.com', true],
    ['http://localhost:8080', true],
    ['http://localhost:9000', false],
    ['http://belfry.example.com', false],
    ['https://belfry.example.com:8443', false],
  ])('%s is ours: %s', (url, isOwn) => expect(urls.isOwnUrl(url)).toBe(isOwn))
})
