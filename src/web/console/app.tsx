/** The frame: sign-in or the console, navigation, the view that is open. */
import { useSignal } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { useEffect } from 'preact/hooks'
import { isSignedOut } from './core/api.ts'
import { useLoaded } from './core/poll.ts'
import { Status } from './core/shapes.ts'
import { linkTo, place, signedIn, signOut } from './core/state.ts'
import { T } from './core/texts.ts'
import { SignIn } from './sign-in.tsx'

type View = FunctionComponent<{ parts: readonly string[] }>
type ViewName = keyof typeof T.views

const VIEWS: Record<ViewName, () => Promise<View>> = {
  overview: async () => (await import('./views/overview.tsx')).Overview,
  apps: async () => (await import('./views/apps.tsx')).AppsView,
  projects: async () => (await import('./views/projects.tsx')).ProjectsView,
  send: async () => (await import('./views/send.tsx')).Send,
  notifications: async () => (await import('./views/notifications.tsx')).NotificationsView,
  relay: async () => (await import('./views/relay.tsx')).Relay,
  webhooks: async () => (await import('./views/webhooks.tsx')).Webhooks,
  push: async () => (await import('./views/push.tsx')).Push,
  budgets: async () => (await import('./views/budgets.tsx')).Budgets,
  health: async () => (await import('./views/health.tsx')).Health,
  audit: async () => (await import('./views/audit.tsx')).Audit,
  account: async () => (await import('./views/account.tsx')).Account,
}
const isView = (name: string): name is ViewName => Object.hasOwn(VIEWS, name)
const NAMES = Object.keys(VIEWS).filter(isView)
const STATUS_EVERY_MS = 10_000

const Opened = ({ name, parts }: { name: ViewName; parts: readonly string[] }) => {
  const opened = useSignal<{ name: ViewName; View: View } | undefined>(undefined)
  const isLost = useSignal(false)
  useEffect(() => {
    let isOver = false
    isLost.value = false
    VIEWS[name]().then(
      (View) => {
        if (!isOver) opened.value = { name, View }
      },
      () => {
        isLost.value = true
      },
    )
    return () => {
      isOver = true
    }
  }, [name])
  if (isLost.value) return <p class="problem">{T.lost}</p>
  const found = opened.value
  if (found?.name !== name) return <p class="hint">{T.loading}</p>
  return <found.View key={parts.join('/')} parts={parts} />
}

const Top = ({ menu }: { menu: { isOpen: boolean; toggle: () => void } }) => {
  const { value: status } = useLoaded(Status, '/admin/status', STATUS_EVERY_MS)
  return (
    <header class="top">
      <button
        type="button"
        class="menu"
        aria-expanded={menu.isOpen}
        aria-controls="navigation"
        onClick={menu.toggle}
      >
        {T.menu}
      </button>
      <a class="brand" href={linkTo('overview')}>
        <img src="/icon.svg" alt="" width="22" height="22" />
        {T.brand}
      </a>
      {status && (
        <p class="server">
          <span class={`dot ${status.process.isHealthy ? 'good' : 'bad'}`} />
          <span class="name">{new URL(status.process.url).host}</span>
          <span class="quiet">{status.process.version}</span>
          <span class="quiet roles">{status.process.rooms.join(' · ')}</span>
          <span class="visually-hidden">{status.process.isHealthy ? T.top.healthy : T.top.unhealthy}</span>
        </p>
      )}
      <button type="button" class="small out" onClick={() => void signOut()}>
        {T.top.signOut}
      </button>
    </header>
  )
}

const Frame = () => {
  const isOpen = useSignal(false)
  const [first = '', ...parts] = place.value
  const name = isView(first) ? first : 'overview'
  useEffect(() => {
    document.title = `${T.views[name]} · ${T.title}`
    isOpen.value = false
  }, [name])
  const toggle = () => {
    isOpen.value = !isOpen.value
  }
  return (
    <div class="frame">
      <Top menu={{ isOpen: isOpen.value, toggle }} />
      <nav id="navigation" class={isOpen.value ? 'open' : ''} aria-label={T.navigation}>
        <ul>
          {NAMES.map((one) => (
            <li key={one}>
              <a
                href={linkTo(one)}
                aria-current={one === name ? 'page' : undefined}
                onClick={() => {
                  isOpen.value = false
                }}
              >
                {T.views[one]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main>
        <h1>{T.views[name]}</h1>
        <Opened name={name} parts={parts} />
      </main>
    </div>
  )
}

export const App = () => {
  const known = signedIn.value
  if (!known) return <main class="sign-in">{T.loading}</main>
  if (!known.session || isSignedOut.value) return <SignIn />
  return <Frame />
}
