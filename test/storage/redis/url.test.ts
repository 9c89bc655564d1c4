import { describe, expect, it } from 'vitest'
import { parseRedisUrl } from '../../../src/storage/redis/url.ts'

describe('the address of a Redis', () => {
  it('is a host, and may have a port, a login and a database', () => {
    expect(parseRedisUrl('redis://cache')).toEqual({
      hosts: [{ host: 'cache', port: 6379 }],
      isCluster: false,
    })
    expect(parseRedisUrl('redis://me:p%40ss:word@cache:7000/2')).toEqual({
      hosts: [{ host: 'cache', port: 7000 }],
      isCluster: false,
      username: 'me',
      password: 'p@ss:word',
      db: 2,
    })
    expect(parseRedisUrl('redis://:secret@[::1]:7000/')).toMatchObject({
      hosts: [{ host: '::1', port: 7000 }],
      password: 'secret',
    })
  })

  it('uses TLS with rediss', () => {
    expect(parseRedisUrl('rediss://cache')).toMatchObject({ tls: {} })
    expect(parseRedisUrl('rediss+cluster://a,b')).toMatchObject({ tls: {}, isCluster: true })
    expect(parseRedisUrl('redis://cache')).not.toHaveProperty('tls')
  })

  it('is a list of nodes for a cluster', () => {
    expect(parseRedisUrl('redis+cluster://:secret@a:7000,b:7001')).toEqual({
      hosts: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 7001 },
      ],
      isCluster: true,
      password: 'secret',
    })
  })

  it('is refused with a sentence that does not tell the password', () => {
    for (const url of [
      'http://cache',
      'cache:6379',
      'redis://',
      'redis://:secret@a,b',
      'redis+cluster://:secret@a:7000/1',
      'redis://:secret@a:port',
    ]) {
      expect(() => parseRedisUrl(url)).toThrow(Error)
      expect(() => parseRedisUrl(url)).not.toThrow(/secret/)
    }
  })
})
