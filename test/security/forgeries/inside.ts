/** A service in the operator's own network, and a stranger who names it to the relay. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { eventually } from '../../support/eventually.ts'
import { newDevice } from '../../support/story.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { isFine, junk, newTopic, type Stranger, tokenFor, watchToken } from '../bystander/stranger.ts'
import { inTime } from '../pulse.ts'
import { placeAt } from './asking.ts'

/** A webhook hears of what happens from so long after its registration on, ms; and a message waits after a second. */
const SETTLED_MS = 1_200
const TELLING = { ttl: 300, tag: 4000 }

/** At every address of this machine; each request is known by its path, and what is no HTTP as `/tls`. */
export const startInside = async () => {
  const paths: string[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const isChallenge = text.includes('"challenge"')
    paths.push(`${request.url}${isChallenge ? '?challenge' : ''}`)
    response.writeHead(204).end()
  })
  server.on('clientError', (_, socket) => {
    paths.push('/tls')
    socket.destroy()
  })
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    url: (host: string, protocol = 'http') => `${protocol}://${host}:${port}`,
    requests: () => [...paths],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
type Inside = Awaited<ReturnType<typeof startInside>>

/** Each of these is where the operator lets some other purpose lead. */
export const urlsInside = (inside: Inside, { keyServers, hookHost }: Ground): string[] => {
  const hosts = [
    ...Object.values(keyServers).map((url) => new URL(url).hostname),
    ...new Set(['127.0.0.1', 'localhost', hookHost]),
  ]
  return hosts.flatMap((host) => ['http', 'https'].map((protocol) => inside.url(host, protocol)))
}

/** It listens wherever they lead. The name is one that only the servers can look up. */
export const reach = async (urls: readonly string[], { hookHost }: Ground): Promise<void> => {
  for (const url of urls.filter((one) => one.startsWith('http:'))) {
    const answer = await fetch(`${url.replace(hookHost, '127.0.0.1')}/plain`)
    if (!isFine(answer)) throw new Error(`${url} is not reached`)
  }
}

/** A client has each URL told of what it publishes to itself, and of what becomes of that. */
export const watchInside = async (stranger: Stranger, urls: readonly string[]): Promise<void> => {
  for (const relay of stranger.relays) {
    const topic = newTopic()
    const [watched, publisher] = [await stranger.connect({ relay }), await stranger.connect()]
    await watched.ask('irn_subscribe', { topic })
    for (const url of urls) {
      const registerAuth = watchToken(watched.key, relay, `${url}/watch`, 'https://service.example')
      stranger.note('watch', await watched.ask('irn_watchRegister', { registerAuth }))
    }
    for (let at = 0; at < 5; at++) {
      const isPublished = await publisher.ask('irn_publish', { topic, message: junk(6), ...TELLING })
      stranger.note('publish what is watched', isPublished)
    }
    watched.close()
    publisher.close()
    // What is fetched is acknowledged.
    const body = { id: 1, jsonrpc: '2.0', method: 'irn_fetchMessages', params: { topic } }
    const headers = { authorization: `Bearer ${tokenFor(watched.key, relay)}` }
    const url = `${relay.replace(/^ws/, 'http')}/rpc`
    const { text } = await stranger.http('POST', url, body, headers)
    stranger.note('acknowledge what is watched', text.includes('"publishedAt"'))
  }
}

/** A project has a webhook there, which is told of a wallet that subscribes: whatever else is told was told before. */
export const tellProject = async (ground: Ground, inside: Inside, domain: string): Promise<void> => {
  const app = await ground.enrol(domain)
  const { url, wsUrl } = placeAt(ground, 0)
  const registered = await fetch(`${url}/${app.projectId}/register-webhook`, {
    method: 'POST',
    headers: { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: `${inside.url(ground.hookHost)}/project`, events: ['subscribed'] }),
  })
  if (!isFine(registered)) throw new Error(`No webhook: ${registered.status} ${await registered.text()}`)
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
  await using wallet = newDevice({ url, wsUrl })
  await inTime('A wallet subscribes', wallet.subscribe(domain))
  await eventually(() => {
    if (!inside.requests().includes('/project')) throw new Error('The webhook of the project was not told')
  })
}
