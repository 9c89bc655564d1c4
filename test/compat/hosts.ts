/**
 * A Chromium that believes every host on port 443 to be one server of the test. Names in `leads` lead to a server under test, as
 * DNS and a proxy with TLS would do it; every other host is a dapp's page with the given script, whose keys the server publishes.
 */
import { readFile } from 'node:fs/promises'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Browser, chromium, type Page } from 'playwright-core'
import { FIXED_HOSTS } from '../../src/platform/net/fixed-hosts.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { findChromium } from '../support/chromium.ts'

export interface HostsOptions {
  /** The server under test. It may become another one. */
  url: string
  /** Names that lead to it. */
  leads?: readonly string[]
  /** By path, what pages load. */
  scripts: Record<string, string>
}

export interface Hosts extends AsyncDisposable {
  readonly browser: Browser
  /** A page of a profile of its own on that host, which has loaded the script. */
  open(host: string, script?: string): Promise<Page>
  /** Hosts that browsers asked on port 443. */
  readonly asked: Set<string>
  /** Those of them that are fixed in published clients. */
  fixedAsked(): string[]
}

const DID_DOCUMENT = '/.well-known/did.json'

const passOn = (url: string, incoming: IncomingMessage, outgoing: ServerResponse): void => {
  const { method, headers } = incoming
  const onward = request(
    new URL(incoming.url ?? '/', url),
    // A connection of its own: one that was kept may be closed by the server at this moment.
    { method: method ?? 'GET', headers, agent: false },
    (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    },
  )
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}

/** The handshake goes on as it came, header by header. */
const passOnUpgrade = (url: string, incoming: IncomingMessage, socket: Duplex, head: Buffer): void => {
  const { port, hostname } = new URL(url)
  const onward = connect(Number(port), hostname)
  for (const [one, other] of [
    [socket, onward],
    [onward, socket],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
  const { rawHeaders } = incoming
  const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []))
  onward.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  onward.write(head)
  socket.pipe(onward).pipe(socket)
}

/** Its port. */
const serve = async (
  options: HostsOptions,
  asked: Set<string>,
  defer: (release: () => void) => void,
): Promise<number> => {
  const { leads = [], scripts } = options
  const [cert, key] = await Promise.all(
    ['local-cert.pem', 'local-key.pem'].map((name) => readFile(`test/support/tls/${name}`)),
  )
  const server = createServer({ cert, key }, (incoming, outgoing) => {
    const { host = '' } = incoming.headers
    asked.add(host)
    if (leads.includes(host) || incoming.url === DID_DOCUMENT) return passOn(options.url, incoming, outgoing)
    const script = scripts[incoming.url ?? '']
    outgoing.setHeader('Content-Type', `text/${script === undefined ? 'html' : 'javascript'}; charset=utf-8`)
    outgoing.end(script ?? `<!doctype html><title>Dapp</title><script src="${incoming.url}.js"></script>`)
  })
  server.on('upgrade', (incoming, socket, head) => {
    const { host = '' } = incoming.headers
    asked.add(host)
    if (leads.includes(host)) passOnUpgrade(options.url, incoming, socket, head)
    else socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

export const startHosts = async (options: HostsOptions): Promise<Hosts> => {
  const owned = createReleaseStack()
  const asked = new Set<string>()
  const port = await serve(options, asked, (release) => owned.defer(release))
  const browser = await chromium.launch({
    executablePath: await findChromium(),
    args: [
      ...['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--ignore-certificate-errors'],
      `--host-resolver-rules=MAP *:443 127.0.0.1:${port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  })
  owned.defer(() => browser.close())
  return {
    browser,
    asked,
    fixedAsked: () => FIXED_HOSTS.filter((host) => asked.has(host)),
    async open(host, script = 'page') {
      const context = await browser.newContext()
      const page = await context.newPage()
      await page.goto(`https://${host}/${script}`)
      return page
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}
