import { describe, expect, it } from 'vitest'
import { partsOfUrl } from '../../src/protocol/urls.ts'

describe('the parts of a URL', () => {
  it.each([
    'https://notify.example.com',
    'HTTPS://Notify.Example.com:443/a/b?c=d&e=%20#f',
    'http://127.0.0.1:8080/',
    'ws://[::1]:80?x',
    'wss://user:secret@relay.example.com:0443/path',
    'http://localhost:3000#fragment',
    'https://bücher.example/übung?ä=ö',
    'ws://relay.example.com:8080/?',
  ])('are what a browser says of %s', (url) => {
    const theirs = new URL(url)
    const { username, password, hostname, pathname, search, protocol, host } = theirs
    expect(partsOfUrl(url)).toEqual({
      scheme: protocol.slice(0, -1),
      credentials: username ? `${username}:${password}@` : '',
      host: hostname,
      // Node gives the schemes of sockets no origin that is theirs alone.
      origin: `${protocol}//${host}`,
      path: pathname,
      query: search.slice(1),
    })
  })

  it.each(['', 'notify.example.com', 'http://', 'http://a b', 'data:text/plain,x', '//a.example'])(
    'are not to be had of %j',
    (url) => expect(() => partsOfUrl(url)).toThrow(TypeError),
  )

  it('take no longer for a hostile text', () => {
    const before = performance.now()
    expect(() => partsOfUrl(`http://${'a.'.repeat(500_000)}@@`)).toThrow(TypeError)
    // Time that grows with the square of the length would be minutes.
    expect(performance.now() - before).toBeLessThan(30_000)
  })
})
