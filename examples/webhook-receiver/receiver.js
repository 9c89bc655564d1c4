/** Is told what happens to a dapp's notifications, and believes nothing that is not signed. */
import { createServer } from 'node:http'
import { ProtocolError, verifyWebhook } from '@belfry/dapp'

const { WEBHOOK_SECRET: secret = '', PORT = '3001' } = process.env
const MAX_BODY_LENGTH = 1_000_000

/** The signature is of the text as it came: parsing it and writing it again would be another text. */
const rawBody = async (/** @type {import('node:http').IncomingMessage} */ request) => {
  let body = ''
  for await (const part of request.setEncoding('utf8')) {
    body += part
    if (body.length > MAX_BODY_LENGTH) throw new ProtocolError('too_large')
  }
  return body
}

/** Ids of the last events. An event may come twice; keep them in your database, beside what they changed. */
const handled = new Set()

const handle = (/** @type {import('@belfry/dapp').WebhookEvent} */ { type, data }) => {
  // Each type has its own data: the editor knows which.
  if (type === 'challenge') console.log('Belfry asks whether we want events; we do')
  else if (type === 'subscribed') console.log(`${data.account} wants ${data.scope.join(', ')}`)
  else if (type === 'unsubscribed') console.log(`${data.account} left: ${data.reason}`)
  else if (type === 'answered') console.log(`${data.account} answers ${data.action}`)
  else console.log(`${data.account}: ${type}`)
}

const server = createServer(async (request, response) => {
  try {
    const { id, event } = await verifyWebhook(await rawBody(request), request.headers, secret)
    if (!handled.has(id)) handle(event)
    handled.add(id)
    if (handled.size > 1000) handled.delete(handled.values().next().value)
    response.writeHead(204).end()
  } catch (error) {
    // Anything but 2xx is tried again later.
    response.writeHead(error instanceof ProtocolError ? error.http : 500).end()
    console.error(`Refused: ${error}`)
  }
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`Listens on http://127.0.0.1:${PORT}`))
