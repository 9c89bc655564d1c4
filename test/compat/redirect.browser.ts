/** What `redirectWalletConnect` does to a page, in Chromium: what is moved, what is not, and that it can be undone. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { bundleForBrowser } from '../support/browser-bundle.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { type Hosts, startHosts } from './hosts.ts'

interface Seen {
  method: string
  url: string
  body: string
  mark: string | undefined
  type: string | undefined
}

const owned = createReleaseStack()
const seen: Seen[] = []
const upgrades: { url: string; protocols: string | undefined }[] = []
let url: string
let hosts: Hosts
let page: Page

const textOf = async (incoming: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of incoming.setEncoding('utf8')) text += String(chunk)
  return text
}

const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
  outgoing.setHeader('Access-Control-Allow-Origin', incoming.headers.origin ?? '*')
  outgoing.setHeader('Access-Control-Allow-Headers', 'x-mark, content-type')
  outgoing.setHeader('Access-Control-Allow-Methods', 'PUT, DELETE')
  outgoing.setHeader('Access-Control-Allow-Credentials', 'true')
  const { method = '', url = '', headers } = incoming
  // One that was given up at once may still come, while the next test looks at what it has asked.
  if (url === '/never') return
  const body = await textOf(incoming)
  if (method !== 'OPTIONS')
    seen.push({ method, url, body, mark: headers['x-mark']?.toString(), type: headers['content-type'] })
  if (url === '/stream') outgoing.setHeader('Content-Type', 'text/event-stream')
  outgoing.end(url === '/stream' ? 'data: event\n\n' : 'the server')
}

beforeAll(async () => {
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing))
  const sockets = new WebSocketServer({ server, handleProtocols: (offered) => [...offered].at(-1) ?? false })
  sockets.on('connection', (socket, { url = '', headers }) => {
    upgrades.push({ url, protocols: headers['sec-websocket-protocol'] })
    socket.send('the server')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const script = await bundleForBrowser("export * from './packages/compat/src/index.ts'")
  // A bundle has its own copy of the module.
  const second = `var other = (() => { ${script.text}; return page })()`
  hosts = owned.use(
    await startHosts({ url, scripts: { '/page.js': `${second}; ${script.text}`, '/data': 'the page' } }),
  )
}, INSTALL_TIMEOUT + 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

beforeEach(async () => {
  seen.length = 0
  upgrades.length = 0
  page = await hosts.open('app.example.com')
  hosts.asked.clear()
})
afterEach(() => page.context().close())

/** Hosts of others that the page has asked over TLS; the browser asks some for itself. */
const elsewhere = (): string[] =>
  [...hosts.asked].filter((host) => host !== 'app.example.com' && /walletconnect|example/.test(host))

const run = (code: string): Promise<unknown> => page.evaluate(`(async () => { ${code} })()`)
const redirect = (options = {}) =>
  run(`globalThis.undo = page.redirectWalletConnect('${url}', ${JSON.stringify(options)})`)

describe('a page is led to the server', () => {
  beforeEach(() => redirect())

  it.each([
    ['text', `fetch('https://notify.walletconnect.com/a?b=c', init)`],
    ['a URL', `fetch(new URL('https://notify.walletconnect.com/a?b=c'), init)`],
    ['a request', `fetch(new Request('https://notify.walletconnect.com/a?b=c', init))`],
    [
      'a request with other options',
      `fetch(new Request('https://NOTIFY.walletconnect.com:443/a?b=c', init), {})`,
    ],
    [
      'a request whose options have the body',
      `fetch(new Request('https://notify.walletconnect.com/a?b=c', { ...init, body: 'else' }), { body: init.body })`,
    ],
  ])('by fetch of %s, with its method, its headers and its body', async (_, code) => {
    const init = `const init = { method: 'PUT', headers: { 'X-Mark': 'mine', 'Content-Type': 'application/json' }, body: '{"é":1}' }`
    expect(await run(`${init}; return (await ${code}).text()`)).toBe('the server')
    expect(seen).toEqual([
      { method: 'PUT', url: '/a?b=c', body: '{"é":1}', mark: 'mine', type: 'application/json' },
    ])
  })

  it('by fetch of a request without a body', async () => {
    expect(await run(`return (await fetch(new Request('https://keys.walletconnect.com/x'))).text()`)).toBe(
      'the server',
    )
    expect(seen).toMatchObject([{ method: 'GET', url: '/x', body: '' }])
  })

  it('by XMLHttpRequest, asynchronous or not', async () => {
    const ask = `const ask = (...more) => new Promise((resolve) => {
      const request = new XMLHttpRequest()
      request.open('POST', 'https://keys.walletconnect.com/identity', ...more)
      request.onload = () => resolve(request.responseText)
      request.setRequestHeader('X-Mark', 'mine')
      request.send('body')
    })`
    expect(await run(`${ask}; return [await ask(), await ask(true), await ask(false)]`)).toEqual(
      Array(3).fill('the server'),
    )
    expect(seen).toHaveLength(3)
    expect(seen[2]).toMatchObject({ method: 'POST', url: '/identity', body: 'body', mark: 'mine' })
  })

  it('by a WebSocket, with its query and its protocols', async () => {
    const heard = await run(`
      const socket = new WebSocket('wss://relay.walletconnect.org/?auth=a.b.c&projectId=p', ['one', 'two'])
      const { data } = await new Promise((resolve) => { socket.onmessage = resolve })
      return [data, socket.protocol, socket instanceof WebSocket, WebSocket.OPEN, WebSocket.name, socket.constructor === WebSocket.prototype.constructor]
    `)
    expect(heard).toEqual(['the server', 'two', true, 1, 'WebSocket', true])
    expect(upgrades).toEqual([{ url: '/?auth=a.b.c&projectId=p', protocols: 'one, two' }])
  })

  it('by an EventSource, by a beacon, and by a frame', async () => {
    await run(`
      const source = new EventSource('https://notify.walletconnect.com/stream')
      await new Promise((resolve) => { source.onmessage = resolve })
      source.close()
      const frame = document.createElement('iframe')
      const loaded = new Promise((resolve) => { frame.onload = resolve })
      frame.src = 'https://verify.walletconnect.org/v3/attestation?id=1'
      document.body.append(frame)
      await loaded
      navigator.sendBeacon('https://echo.walletconnect.com/beacon', 'text')
    `)
    await expect
      .poll(() => seen.map(({ url }) => url))
      .toEqual(['/stream', '/v3/attestation?id=1', '/beacon'])
    expect(seen[2]?.body).toBe('text')
  })

  it('and a request that is given up ends as one', async () => {
    const names = await run(`
      const give = async (start) => {
        const controller = new AbortController()
        const { signal } = controller
        const asked = start(signal).then(() => 'answered', (error) => error.name)
        controller.abort()
        return asked
      }
      const address = 'https://keys.walletconnect.com/never'
      return [
        await give((signal) => fetch(address, { signal })),
        await give((signal) => fetch(new Request(address, { method: 'POST', body: 'x', signal }))),
        await fetch(address, { signal: AbortSignal.abort() }).catch((error) => error.name),
      ]
    `)
    expect(names).toEqual(['AbortError', 'AbortError', 'AbortError'])
  })
})

describe('everything else passes', () => {
  beforeEach(() => redirect())

  it('what merely looks like a fixed host', async () => {
    const addresses = [
      'https://notify.walletconnect.com.evil.example/data',
      'https://evil-notify.walletconnect.com/data',
      'https://walletconnect.com/data',
      'https://evil.example/data?https://notify.walletconnect.com/',
      'https://elsewhere.example/data#https://notify.walletconnect.com',
      '//notify.walletconnect.com.evil.example/data',
    ]
    await run(`for (const address of ${JSON.stringify(addresses)}) await fetch(address, { mode: 'no-cors' })`)
    expect(seen).toEqual([])
    expect(elsewhere()).toEqual([
      ...new Set(addresses.map((address) => new URL(address, 'https://app.example.com').host)),
    ])
  })

  it('what is not over TLS, on another port, or of a user: it fails as it does without', async () => {
    const addresses = [
      'http://notify.walletconnect.com/data',
      'https://notify.walletconnect.com:8443/data',
      'ftp://notify.walletconnect.com/data',
      'https://user@notify.walletconnect.com/data',
      'https://notify.walletconnect.com@evil.example/data',
    ]
    const errors = await run(`
      const errors = []
      for (const address of ${JSON.stringify(addresses)}) errors.push(await fetch(address).catch(({ name }) => name))
      return errors
    `)
    expect(errors).toEqual(addresses.map(() => 'TypeError'))
    expect(seen).toEqual([])
  })

  it('a relative address, with its answer', async () => {
    expect(await run(`return (await fetch('/data')).text()`)).toBe('the page')
  })

  it('what is no address, with the error of the browser', async () => {
    const errors = await run(`
      const error = (start) => { try { start(); return 'none' } catch ({ name }) { return name } }
      return [
        await fetch('https://').catch(({ name }) => name),
        error(() => new WebSocket('not://an address')),
        error(() => new XMLHttpRequest().open('GET')),
        error(() => WebSocket('wss://relay.walletconnect.org')),
      ]
    `)
    expect(errors).toEqual(['TypeError', 'SyntaxError', 'TypeError', 'TypeError'])
  })

  it('a fixed host that is excepted', async () => {
    await run('undo()')
    await redirect({ except: ['rpc.walletconnect.org'] })
    await run(
      `await fetch('https://rpc.walletconnect.org/v1', { mode: 'no-cors' }); await fetch('https://rpc.walletconnect.com/v1')`,
    )
    expect(elsewhere()).toEqual(['rpc.walletconnect.org'])
    expect(seen).toMatchObject([{ url: '/v1' }])
  })
})

describe('it is one redirect', () => {
  const FUNCTIONS = `[fetch, WebSocket, EventSource, XMLHttpRequest.prototype.open, Navigator.prototype.sendBeacon,
    Object.getOwnPropertyDescriptor(HTMLIFrameElement.prototype, 'src').set]`
  const ask = `(await fetch('https://notify.walletconnect.com/x', { mode: 'no-cors' }))`

  it('that gives back exactly what the page had', async () => {
    const isSame = await run(`
      const before = ${FUNCTIONS}
      const undo = page.redirectWalletConnect('${url}')
      const during = ${FUNCTIONS}
      undo()
      undo()
      const after = ${FUNCTIONS}
      return before.map((one, at) => one !== during[at] && one === after[at])
    `)
    expect(isSame).toEqual(Array(6).fill(true))
    await run(ask)
    expect(elsewhere()).toEqual(['notify.walletconnect.com'])
  })

  it('however often it is asked for, and of however many copies of the module', async () => {
    const count = await run(`
      const first = page.redirectWalletConnect('http://127.0.0.1:9/')
      const { fetch: patched } = globalThis
      const second = other.redirectWalletConnect('${url}/base/')
      const isOne = patched === fetch
      await ${ask}
      first()
      await ${ask}
      second()
      await ${ask}
      return isOne
    `)
    expect(count).toBe(true)
    expect(seen.map(({ url }) => url)).toEqual(['/base/x', '/base/x'])
    expect(elsewhere()).toEqual(['notify.walletconnect.com'])
  })

  it('that moves nothing any more, also where somebody else has wrapped it since', async () => {
    await run(`
      const undo = page.redirectWalletConnect('${url}')
      const { fetch: ours } = globalThis
      globalThis.fetch = (...args) => ours(...args)
      undo()
      await ${ask}
    `)
    expect(seen).toEqual([])
    expect(elsewhere()).toEqual(['notify.walletconnect.com'])
  })

  it('that is refused for what is no address of a server, and leaves the page as it was', async () => {
    const addresses = [
      '',
      'belfry.example.com',
      'ftp://b.example',
      'https://u@b.example',
      'https://b.example/?q',
      "https://b.example/it's",
    ]
    const said = await run(`
      const before = fetch
      return ${JSON.stringify(addresses)}.map((address) => {
        try { page.redirectWalletConnect(address) } catch ({ name, message }) { return name + ': ' + message + (before === fetch) }
      })
    `)
    const sentence =
      'TypeError: The server must be an http or https URL without user, query or fragment, not '
    expect(said).toEqual(addresses.map((address) => `${sentence}${JSON.stringify(address)}true`))
  })
})
