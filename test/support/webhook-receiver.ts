/** A dapp's server that webhooks call, and what it was told. */
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { z } from 'zod'

const Event = z.object({
  type: z.string(),
  timestamp: z.string(),
  data: z.looseObject({ account: z.string(), app_domain: z.string() }),
})

export interface Received {
  id: string
  /** s */
  timestamp: number
  /** What stands behind `v1,` in each signature. */
  signatures: string[]
  body: string
  event: z.infer<typeof Event>
  /** What was answered. */
  status: number
}

/** What the signature must be, from the secret as it was shown. */
export const signatureOf = (secret: string, { id, timestamp, body }: Received): string =>
  createHmac('sha256', Buffer.from(secret.replace(/^whsec_/, ''), 'base64'))
    .update(`${id}.${timestamp}.${body}`)
    .digest('base64')

/** `answer` says the status of each call, at once or when its promise resolves. */
export const startReceiver = async (answer: (call: Received) => number | Promise<number> = () => 204) => {
  const calls: Received[] = []
  const challenges: string[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const body = Buffer.concat(chunks).toString()
    // Agrees to be told of events, whatever it answers to these.
    if (z.object({ type: z.string() }).parse(JSON.parse(body)).type === 'challenge') {
      challenges.push(body)
      response.writeHead(204).end()
      return
    }
    const call: Received = {
      id: String(request.headers['webhook-id']),
      timestamp: Number(request.headers['webhook-timestamp']),
      signatures: String(request.headers['webhook-signature'])
        .split(' ')
        .map((one) => one.replace(/^v1,/, '')),
      body,
      event: Event.parse(JSON.parse(body)),
      status: 0,
    }
    calls.push(call)
    call.status = await answer(call)
    response.writeHead(call.status).end()
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = address && typeof address === 'object' ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/hook`,
    /** All calls, in the order of their arrival. */
    calls,
    challenges,
    /** Those that were answered 2xx. */
    taken: () => calls.filter(({ status }) => status >= 200 && status < 300),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
