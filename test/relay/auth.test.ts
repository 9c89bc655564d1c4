import { describe, expect, it } from 'vitest'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { admit, authenticateClient, credentialsOf, relayOrigin } from '../../src/relay/auth.ts'

const key = generateSigningKey()
const now = Date.UTC(2026, 0, 1)
const iat = now / 1000
const claims = { iss: key.did, sub: 'ab'.repeat(32), aud: 'wss://relay.example.com', iat, exp: iat + 86_400 }
const token = (more: object = {}) => signJwt({ ...claims, ...more }, key)

describe('a relay token', () => {
  it('names the client: its issuer', () => {
    expect(authenticateClient(token(), { now })).toEqual({ clientId: key.did })
  })

  it('may be 120 s old or early beyond its time, and not more', () => {
    expect(authenticateClient(token({ exp: iat - 119 }), { now })).toBeTruthy()
    expect(() => authenticateClient(token({ exp: iat - 121 }), { now })).toThrow(/expired/)
    expect(authenticateClient(token({ iat: iat + 119 }), { now })).toBeTruthy()
    expect(() => authenticateClient(token({ iat: iat + 121 }), { now })).toThrow(/not valid yet/)
  })

  it('is refused when another key signed it, or when it was changed', () => {
    const other = signJwt(claims, generateSigningKey())
    expect(() => authenticateClient(other, { now })).toThrow(/not valid/)
    const [header, , signature] = token().split('.')
    const payload = Buffer.from(JSON.stringify({ ...claims, exp: iat + 1e6 })).toString('base64url')
    expect(() => authenticateClient(`${header}.${payload}.${signature}`, { now })).toThrow(/not valid/)
    for (const junk of ['', 'x', 'a.b.c', '..'])
      expect(() => authenticateClient(junk, { now })).toThrow(/not valid/)
  })

  it('that was signed for another purpose does not log in', () => {
    for (const act of ['irn_watchRegister', 'archive_compact', 'notify_subscription', '', 7, false, {}]) {
      expect(() => authenticateClient(token({ act }), { now })).toThrow(/another action/)
    }
    expect(authenticateClient(token({ act: null }), { now })).toEqual({ clientId: key.did })
  })

  it('may live for a day and the leeway, and not longer; both times must be there', () => {
    const day = iat + 86_400
    expect(authenticateClient(token({ exp: day + 120 }), { now })).toBeTruthy()
    expect(authenticateClient(token({ iat: iat * 1000, exp: day * 1000 }), { now })).toBeTruthy()
    for (const exp of [day + 121, iat + 3_650 * 86_400, (day + 121) * 1000]) {
      expect(() => authenticateClient(token({ exp }), { now })).toThrow(/more than a day/)
    }
    // One that was signed long ago is not made good by an end that is near.
    expect(() => authenticateClient(token({ iat: iat - 90_000, exp: iat + 60 }), { now })).toThrow(/a day/)
    expect(() => authenticateClient(token({ iat: undefined }), { now })).toThrow(/not valid/)
    expect(() => authenticateClient(token({ exp: undefined }), { now })).toThrow(/not valid/)
  })

  it('for another origin is refused only where a public URL is configured', () => {
    const publicOrigins = ['https://relay.example.com/base', 'http://localhost:8080']
    expect(authenticateClient(token({ aud: 'https://elsewhere.example' }), { now })).toBeTruthy()
    for (const aud of [
      'wss://relay.example.com',
      'https://relay.example.com:443/relay',
      'ws://127.0.0.1:8080',
    ]) {
      expect(authenticateClient(token({ aud }), { now, publicOrigins })).toBeTruthy()
    }
    for (const aud of [
      'wss://elsewhere.example',
      'ws://relay.example.com',
      'ws://localhost:8081',
      'x',
      7,
      undefined,
    ]) {
      expect(() => authenticateClient(token({ aud }), { now, publicOrigins })).toThrow(/audience/)
    }
  })
})

describe('admission', () => {
  it('takes the token from the query or the header', () => {
    const query = (text: string) => new URLSearchParams(text)
    expect(credentialsOf(query('auth=a.b.c&projectId=p'), undefined)).toEqual({
      token: 'a.b.c',
      projectId: 'p',
    })
    expect(credentialsOf(query(''), 'Bearer a.b.c')).toEqual({ token: 'a.b.c', projectId: undefined })
    expect(credentialsOf(query(''), 'bearer  a.b.c ')).toMatchObject({ token: 'a.b.c' })
    expect(credentialsOf(query(''), 'Basic abc')).toMatchObject({ token: undefined })
  })

  it('needs a token, and a known project id where they are listed', () => {
    const projectIds = ['known']
    expect(() => admit({ token: undefined, projectId: 'known' }, now, {})).toThrow(/Authentication/)
    expect(admit({ token: token(), projectId: 'any' }, now, {})).toEqual({ clientId: key.did })
    expect(admit({ token: token(), projectId: 'known' }, now, { projectIds })).toEqual({ clientId: key.did })
    for (const projectId of ['any', undefined]) {
      expect(() => admit({ token: token(), projectId }, now, { projectIds })).toThrow(/not allowed/)
    }
  })
})

describe('an origin', () => {
  it('is the same for ws and http, with and without the default port, and for the names of this machine', () => {
    expect(relayOrigin('wss://a.example/x?y')).toBe(relayOrigin('https://a.example:443'))
    expect(relayOrigin('ws://[::1]:1')).toBe(relayOrigin('http://localhost:1'))
    expect(relayOrigin('ws://a.example')).not.toBe(relayOrigin('wss://a.example'))
    for (const none of ['', 'a.example', 'ftp://a.example', 7, null, undefined]) {
      expect(relayOrigin(none)).toBeUndefined()
    }
  })
})
