import { createServer } from 'node:http'
import { verifyJwt } from '../../src/protocol/jwt.ts'
import { WatchEventClaims, WatchWebhook } from '../../src/protocol/relay-watch.ts'

/** A service that watch events are posted to, on loopback. */
export interface Receiver extends AsyncDisposable {
  readonly url: string
  /** Every POST, whatever it was answered. */
  readonly posts: { path: string; tokens: string[]; answer: number }[]
  /** The claims of all events that were answered 200, in order. */
  events(): (WatchEventClaims & { aud: unknown; iss: string })[]
  /** What the next POSTs are answered; 0 breaks the connection off. Then `otherwise`. */
  answers: number[]
  otherwise: number
  /** Called before a POST is answered. */
  hold: (() => Promise<void>) | undefined
}

/** `signer` is the did:key that must have signed, and `now` gives the time by which the signature must be fresh. */
export const startReceiver = async (options: {
  signer: () => string
  now?: () => number
}): Promise<Receiver> => {
  const posts: Receiver['posts'] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    request.on('end', async () => {
      const { eventAuth: tokens } = WatchWebhook.parse(JSON.parse(text))
      await receiver.hold?.()
      const answer = receiver.answers.shift() ?? receiver.otherwise
      posts.push({ path: request.url ?? '', tokens, answer })
      if (answer === 0) request.socket.destroy()
      else response.writeHead(answer).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  const now = options.now ?? Date.now
  const receiver: Receiver = {
    url: `http://127.0.0.1:${address.port}`,
    posts,
    answers: [],
    otherwise: 200,
    hold: undefined,
    events: () =>
      posts
        .filter(({ answer }) => answer === 200)
        .flatMap(({ tokens }) => tokens)
        .map((token) => {
          const expected = { now: now(), issuer: options.signer(), act: 'irn_watchEvent' }
          const claims = verifyJwt(token, { ...expected, leeway: 86_400 })
          return { ...WatchEventClaims.parse(claims), aud: claims.aud, iss: claims.iss }
        }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}
