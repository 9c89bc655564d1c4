/** A wallet in a page: apps to subscribe to, and what they send. */
import { indexedDbStore, type Notification, openWallet, viemSigner } from '@belfry/wallet'
import { isHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

const url = import.meta.env.VITE_BELFRY_URL ?? 'http://localhost:8080'

/** Your wallet has a better place for its key: every script of this page can read this one. */
const ownKey = () => {
  const kept = localStorage.getItem('key')
  const key = isHex(kept) ? kept : generatePrivateKey()
  localStorage.setItem('key', key)
  return key
}

const wallet = await openWallet({
  url,
  domain: 'wallet.example.com',
  allApps: true,
  ...viemSigner(privateKeyToAccount(ownKey())),
  // The device's own keys. They are sealed, and the same after a reload.
  store: indexedDbStore(),
})

const byId = (id: string) => document.getElementById(id) ?? document.body
/** Texts come from others: they are put in as text, never as HTML. */
const item = (...content: (string | Node)[]) => {
  const made = document.createElement('li')
  made.append(...content)
  return made
}

const show = (domain: string, { id, title, body }: Notification) => {
  const message = item(`${domain}: ${title}: ${body}`)
  message.id = id
  // What came while the page was closed arrives, and is in the history, too.
  if (!document.getElementById(id)) byId('messages').prepend(message)
}

const { apps } = await wallet.apps()
const showApps = () => {
  const rows = apps.map(({ domain, name }) => {
    const subscription = wallet.subscriptions().find((one) => one.domain === domain)
    const button = document.createElement('button')
    button.textContent = subscription ? 'Unsubscribe' : 'Subscribe'
    button.onclick = () => (subscription ? wallet.delete(domain) : wallet.subscribe(domain))
    return item(`${name} `, button, subscription ? ` ${subscription.unread} unread` : '')
  })
  byId('apps').replaceChildren(...rows)
}

wallet.on('message', ({ domain, notification }) => show(domain, notification))
wallet.on('changed', showApps)
wallet.on('unread', showApps)
byId('account').textContent = wallet.account
await wallet.watch()
showApps()
for (const { domain } of wallet.subscriptions()) {
  const { notifications } = await wallet.history(domain)
  for (const one of notifications.reverse()) show(domain, one)
}
