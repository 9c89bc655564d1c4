/** A dapp's page: who is connected gets its notifications, and reads them here. */
import { BelfryProvider, Inbox, useSubscribe, useUnread } from '@belfry/react'
import { type Eip1193Provider, eip1193Signer, type Signer } from '@belfry/wallet'
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import '@belfry/react/styles.css'

declare global {
  interface Window {
    ethereum?: Eip1193Provider
  }
}

const { VITE_BELFRY_URL: url = 'http://localhost:8080', VITE_APP_DOMAIN: domain = 'app.example.com' } =
  import.meta.env

const Bell = () => {
  const unread = useUnread(domain)
  const { subscription, subscribe, isBusy, error } = useSubscribe(domain)
  if (subscription) return <p>Notifications: {unread} unread</p>
  return (
    <p>
      <button type="button" disabled={isBusy} onClick={() => subscribe().catch(console.error)}>
        Get notifications
      </button>
      {error !== undefined && <span role="alert">That did not work. Please try again.</span>}
    </p>
  )
}

const App = () => {
  const [signer, setSigner] = useState<Signer>()
  const connect = async () => {
    if (!window.ethereum) throw new Error('There is no wallet in this browser')
    setSigner(await eip1193Signer(window.ethereum))
  }
  return (
    <main>
      <h1>A dapp</h1>
      {!signer && (
        <button type="button" onClick={() => connect().catch(console.error)}>
          Connect
        </button>
      )}
      {/* Nothing is signed before a button asks for it. */}
      <BelfryProvider options={signer && { url, domain, ...signer }}>
        {signer && <Bell />}
        {signer && <Inbox domain={domain} />}
      </BelfryProvider>
    </main>
  )
}

const root = document.getElementById('root')
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
