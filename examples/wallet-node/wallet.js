/** A wallet without a screen: prints what arrives, and says that it was read. */
import { openWallet, viemSigner } from '@belfry/wallet'
import { fileStore } from '@belfry/wallet/file'
import { hexToBytes, isHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'

const {
  BELFRY_URL: url = 'http://localhost:8080',
  APP_DOMAIN: app = 'app.example.com',
  STATE_FILE: file = 'wallet.state',
  PRIVATE_KEY,
  SEAL_KEY,
} = process.env
if (!isHex(PRIVATE_KEY) || !isHex(SEAL_KEY)) throw new Error('PRIVATE_KEY and SEAL_KEY are missing')

const wallet = await openWallet({
  url,
  domain: 'wallet.example.com',
  // A wallet has the subscriptions of all apps; a dapp's page those of its own domain.
  allApps: true,
  ...viemSigner(privateKeyToAccount(PRIVATE_KEY)),
  // The file holds secrets. Without it this would be another device the next time.
  store: fileStore(file, { seal: { key: hexToBytes(SEAL_KEY) } }),
})

// A message counts as received once the listener has resolved; it comes again when this ends before.
wallet.on('message', async ({ domain, notification: { id, title, body } }) => {
  console.log(`${domain}: ${title}: ${body}`)
  await wallet.markRead(domain, [id])
})
wallet.on('error', ({ during, error }) => console.error(during, error))

// Asks what other devices of the account did meanwhile.
await wallet.watch()
if (!wallet.subscriptions().some(({ domain }) => domain === app)) await wallet.subscribe(app)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await wallet.close()
    console.log('Closed')
  })
}
console.log(`${wallet.account} is subscribed to ${app}`)
