import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../support/world.ts'

const DATA_ONLY = "default-src 'none'; frame-ancestors 'none'"

describe('an answer', () => {
  it.each([
    ['of a room', 'GET', '/w3i/v1/projects'],
    ['of a room that refuses', 'POST', '/identity'],
    ['of the house', 'GET', '/health'],
    ['for a path that is not there', 'GET', '/nothing/here'],
    ['for a method that is not there', 'PUT', '/health'],
    ['to an operator without a token', 'GET', '/admin/apps'],
    ['of Socket.IO', 'GET', '/socket.io/?EIO=4&transport=polling'],
    ['with the metrics', 'GET', '/metrics'],
  ])('%s is data to a browser, whatever is in it', async (_, method, path) => {
    await using world = await startWorld({ config: { metrics: 'shared' } })
    const { headers } = await fetch(`${world.url}${path}`, { method })
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toBe(DATA_ONLY)
  })

  it('to a request that cannot be read is data, too', async () => {
    await using world = await startWorld()
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket.setEncoding('utf8')) text += chunk
    expect(text).toMatch(/^HTTP\/1.1 400 /)
    expect(text).toMatch(/x-content-type-options: nosniff/i)
    expect(text.toLowerCase()).toContain(`content-security-policy: ${DATA_ONLY}`)
  })
})

describe('the API page', () => {
  it('names its own policy, which allows scripts of this origin only', async () => {
    await using world = await startWorld({ config: { publicUrl: 'https://belfry.example/x' } })
    const answer = await fetch(`${world.url}/docs`)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    const policy = Object.fromEntries(
      (answer.headers.get('content-security-policy') ?? '').split('; ').map((part) => {
        const [name = '', ...sources] = part.split(' ')
        return [name, sources.join(' ')]
      }),
    )
    expect(policy).toEqual({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'unsafe-inline'",
      'img-src': "'self' data:",
      'connect-src': "'self' https://belfry.example",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
    })
    // Everything that it names is a path of ours.
    expect([...(await answer.text()).matchAll(/(?:src|href)="([^"]*)"/g)].map(([, to]) => to)).toEqual([
      'data:,',
      '/docs/page.js',
      '/docs/reference.js',
    ])
  })

  it('has its bundle from the package, and sends it once to a browser that keeps it', async () => {
    await using world = await startWorld()
    const bundle = await fetch(`${world.url}/docs/reference.js`)
    expect(bundle.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    const etag = bundle.headers.get('etag') ?? ''
    expect(await bundle.text()).toContain('@scalar/api-reference 1.40.')
    const again = await fetch(`${world.url}/docs/reference.js`, { headers: { 'if-none-match': etag } })
    expect(again.status).toBe(304)
    expect(await again.text()).toBe('')
  })

  it('is there whichever rooms are, and tells of these alone', async () => {
    await using world = await startWorld({ rooms: ['relay'] })
    expect((await fetch(`${world.url}/docs`)).status).toBe(200)
    const { tags } = Object((await world.http('GET', '/openapi.json')).body)
    expect(tags.map(({ name }: { name: string }) => name)).toEqual([
      'relay',
      'chains',
      'operations',
      'admin',
      'console',
      'pages',
    ])
  })
})
