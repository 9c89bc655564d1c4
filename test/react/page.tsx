/** @jsxImportSource react */
/** A dapp's page with everything of `@belfry/react`. It is rendered on the test's server, and taken over in the browser. */
import {
  BelfryProvider,
  Inbox,
  useApps,
  useHistory,
  useSubscribe,
  useSubscriptions,
  useUnread,
  useWallet,
} from '@belfry/react'
import type { Sign } from '@belfry/wallet'
import { StrictMode, useState } from 'react'

export interface Scene {
  url: string
  account: string
  /** The app whose page it is. */
  domain: string
}

const Probe = ({ domain }: Pick<Scene, 'domain'>) => {
  const { status, isConnected, isEnabled } = useWallet()
  const subscriptions = useSubscriptions()
  const [unread, unreadOfApp] = [useUnread(), useUnread(domain)]
  const { subscription, subscribe, unsubscribe, isBusy, error } = useSubscribe(domain)
  const { notifications, hasMore, more } = useHistory(domain, { limit: 5 })
  const { apps } = useApps()
  const shown = {
    ...{ status, isConnected, isEnabled, unread, unreadOfApp, isBusy, hasMore },
    isFailed: error !== undefined,
    subscriptions: subscriptions.map((one) => one.domain),
    scope: subscription?.scope.length,
    titles: notifications.map(({ title }) => title),
    apps: apps.map(({ name }) => name),
  }
  return (
    <aside>
      <output id="probe">{JSON.stringify(shown)}</output>
      <button type="button" onClick={() => void subscribe()}>
        Subscribe
      </button>
      <button type="button" onClick={() => void unsubscribe()}>
        Unsubscribe
      </button>
      <button type="button" onClick={() => void more()}>
        More of the probe
      </button>
    </aside>
  )
}

/** `sign` is asked by the wallet alone, when somebody wants something. */
export const Page = ({ url, account, domain, sign }: Scene & { sign: Sign }) => {
  const [isThere, setThere] = useState(true)
  const options = { url, account, domain: 'app.example.com', allApps: true, trustServer: true, sign }
  return (
    <StrictMode>
      <main>
        <h1>A dapp</h1>
        <button type="button" onClick={() => setThere(!isThere)}>
          Come and go
        </button>
        {isThere && (
          <BelfryProvider options={options}>
            <Probe domain={domain} />
            <Inbox limit={5} languages={['en']} />
          </BelfryProvider>
        )}
      </main>
    </StrictMode>
  )
}
