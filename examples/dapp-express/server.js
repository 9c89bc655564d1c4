/** A dapp's server: it alone knows the project's secret. */
import { randomUUID } from 'node:crypto'
import { createDapp, ProtocolError } from '@belfry/dapp'
import express from 'express'

const {
  BELFRY_URL: url = 'http://localhost:8080',
  APP_DOMAIN: domain = 'app.example.com',
  PROJECT_ID: projectId = '',
  PROJECT_SECRET: secret = '',
  PORT = '3000',
} = process.env

const dapp = createDapp({ url, projectId, secret, domain })

// Says the same at every start. Ids of types are our own, so that subscriptions go on fitting.
await dapp.describe(domain, {
  name: 'Example shop',
  types: [{ id: 'orders', name: 'Orders', description: 'Where your order is' }],
  listed: true,
})

const app = express()
app.use(express.json())

// Whoever may call this writes to your subscribers: put your own sign-in before it.
app.post('/notify', async (request, response) => {
  const { title, body, accounts = await dapp.subscribers(), id = randomUUID() } = request.body
  // With the same id nobody is sent it twice, so a caller who got no answer may try again.
  const { sent, failed, notFound } = await dapp.notify({ type: 'orders', title, body }, accounts, { id })
  response.status(202).json({ id, sent, failed, notFound })
})

app.get('/sent/:id', async (request, response) => {
  const { id } = request.params
  const [{ status, counts }, { receipts }] = await Promise.all([dapp.notification(id), dapp.receipts(id)])
  const accounts = receipts.map(({ account, state, at }) => ({ account, state, at }))
  response.json({ status, counts, accounts })
})

/** @type {express.ErrorRequestHandler} What Belfry refuses says why; everything else is our own mistake. */
const explain = (error, _request, response, next) => {
  if (!(error instanceof ProtocolError)) return next(error)
  response.status(error.http).json({ error: error.message })
}
app.use(explain)

app.listen(Number(PORT), '127.0.0.1', () => console.log(`${domain} listens on http://127.0.0.1:${PORT}`))
