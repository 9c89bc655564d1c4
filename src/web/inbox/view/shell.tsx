/** The frame of the inbox: where one can go, whether there is a connection, and the place where it all is shown. */
import { useSignalEffect } from '@preact/signals'
import { inLanguage } from '../../../sdk/wallet.ts'
import { addressOf, type Route } from '../model/address.ts'
import { useOpened, usePage } from './context.ts'
import { Discover } from './discover.tsx'
import { Messages } from './messages.tsx'
import { Avatar } from './parts/avatar.tsx'
import { Icon, type IconName } from './parts/icon.tsx'
import { SessionDialog } from './session-dialog.tsx'
import { Settings } from './settings.tsx'
import { UpdateBanner } from './update-banner.tsx'
import './shell.css'

const Badge = ({ count }: { count: number }) => {
  const { texts } = usePage()
  if (count === 0) return null
  return (
    <span class="badge">
      <span aria-hidden="true">{count > 999 ? '999+' : texts.number(count)}</span>
      <span class="only-read">{texts.t('unread.count', { count })}</span>
    </span>
  )
}

const Place = (props: { to: Route; icon: IconName; name: string; count?: number; isHere: boolean }) => (
  <a class="place" href={addressOf(props.to)} aria-current={props.isHere ? 'page' : undefined}>
    <Icon name={props.icon} />
    <span class="place-name">{props.name}</span>
    <Badge count={props.count ?? 0} />
  </a>
)

const Subscriptions = () => {
  const { texts, apps, router } = usePage()
  const { inbox } = useOpened()
  const route = router.route.value
  if (inbox.subscriptions.value.length === 0) return null
  return (
    <>
      <h2 class="sidebar-title">{texts.t('nav.apps')}</h2>
      <ul class="places">
        {inbox.subscriptions.value.map(({ domain }) => (
          <li key={domain}>
            <a
              class="place"
              href={addressOf({ at: 'messages', app: domain })}
              aria-current={route.at === 'messages' && route.app === domain ? 'page' : undefined}
            >
              <Avatar domain={domain} name={apps.nameOf(domain)} />
              <span class="place-name" dir="auto">
                {apps.nameOf(domain)}
              </span>
              <Badge count={inbox.unread(domain)} />
            </a>
          </li>
        ))}
      </ul>
    </>
  )
}

const Connection = () => {
  const { texts } = usePage()
  const { inbox } = useOpened()
  const isOn = inbox.isConnected.value
  const isOff = inbox.isOffline.value
  return (
    <p class={`connection ${isOn ? 'is-on' : 'is-off'}`} role="status">
      <span class="connection-dot" aria-hidden="true" />
      {texts.t(isOn ? 'connection.on' : isOff ? 'connection.off' : 'connection.soon')}
    </p>
  )
}

/** On a phone, which has no sidebar. */
const OfflineNote = () => {
  const { texts } = usePage()
  const { inbox } = useOpened()
  if (!inbox.isOffline.value) return null
  return (
    <p class="offline-note">
      <Icon name="offline" />
      {texts.t('connection.off')}
    </p>
  )
}

const Sidebar = () => {
  const { texts, router } = usePage()
  const { inbox } = useOpened()
  const { t } = texts
  const route = router.route.value
  const isAll = route.at === 'messages' && route.app === undefined
  return (
    <nav class="sidebar" aria-label={t('nav.label')}>
      <div class="brand">
        <img src="/icon.svg" alt="" width="32" height="32" />
        <span>Belfry</span>
      </div>
      <ul class="places">
        <li>
          <Place
            to={{ at: 'messages' }}
            icon="inbox"
            name={t('nav.all')}
            count={inbox.unread()}
            isHere={isAll}
          />
        </li>
        <li>
          <Place
            {...{ to: { at: 'discover' }, icon: 'discover', name: t('nav.discover') }}
            isHere={route.at === 'discover'}
          />
        </li>
        <li>
          <Place
            {...{ to: { at: 'settings' }, icon: 'settings', name: t('nav.settings') }}
            isHere={route.at === 'settings'}
          />
        </li>
      </ul>
      <Subscriptions />
      <Connection />
    </nav>
  )
}

/** On a phone, in place of the sidebar. */
const BottomBar = () => {
  const { texts, router } = usePage()
  const { inbox } = useOpened()
  const { t } = texts
  const { at } = router.route.value
  return (
    <nav class="bottom-bar" aria-label={t('nav.label')}>
      <Place
        {...{ to: { at: 'messages' }, icon: 'inbox', name: t('nav.short.all') }}
        count={inbox.unread()}
        isHere={at === 'messages'}
      />
      <Place
        {...{ to: { at: 'discover' }, icon: 'discover', name: t('nav.short.discover') }}
        isHere={at === 'discover'}
      />
      <Place
        {...{ to: { at: 'settings' }, icon: 'settings', name: t('nav.short.settings') }}
        isHere={at === 'settings'}
      />
    </nav>
  )
}

const SignBanner = () => {
  const { texts, tell } = usePage()
  const { inbox } = useOpened()
  if (inbox.kept.kind === 'demo' || !inbox.isConnected.value || inbox.isSigned.value) return null
  return (
    <p class="banner">
      {texts.t('sign.text')}
      <button type="button" class="button" onClick={() => inbox.askForSignature().catch(tell)}>
        {texts.t('sign.button')}
      </button>
    </p>
  )
}

const ClockBanner = () => {
  const { texts, isClockWrong } = usePage()
  if (!isClockWrong.value) return null
  return (
    <p class="banner" role="alert">
      {texts.t('clock.wrong', { time: texts.at(Date.now()) })}
    </p>
  )
}

/** For whoever cannot see a message come. */
const Announcement = () => {
  const { texts, apps } = usePage()
  const { latest } = useOpened().inbox
  const message = latest.value
  return (
    <p class="only-read" role="status">
      {message &&
        texts.t('list.new', {
          app: apps.nameOf(message.domain),
          title: inLanguage(message, texts.locale.value).title,
        })}
    </p>
  )
}

/** What the tab is called: where one is, and how much is unread. */
const useTitle = (): void => {
  const { texts, router, apps } = usePage()
  const { inbox } = useOpened()
  useSignalEffect(() => {
    const route = router.route.value
    const names = { discover: 'nav.discover', settings: 'nav.settings' } as const
    const place =
      route.at === 'messages'
        ? route.app === undefined
          ? texts.t('nav.all')
          : apps.nameOf(route.app)
        : texts.t(names[route.at])
    const unread = inbox.unread()
    document.title = `${unread > 0 ? `(${texts.number(unread)}) ` : ''}${place} – Belfry`
  })
}

export const Shell = () => {
  const { texts, router } = usePage()
  const route = router.route.value
  const isDetail = route.at === 'messages' && route.message !== undefined
  useTitle()
  return (
    <div class={`shell ${isDetail ? 'has-detail' : ''}`}>
      <button type="button" class="skip" onClick={skipToContent}>
        {texts.t('page.skip')}
      </button>
      <Sidebar />
      <main id="content" class="content" tabIndex={-1}>
        <OfflineNote />
        <UpdateBanner />
        <ClockBanner />
        <SignBanner />
        {route.at === 'messages' && <Messages route={route} />}
        {route.at === 'discover' && <Discover key={route.app} app={route.app} />}
        {route.at === 'settings' && <Settings />}
      </main>
      <BottomBar />
      <Announcement />
      <SessionDialog />
    </div>
  )
}

/** A link would change the address, which says where one is. */
const skipToContent = (): void => document.getElementById('content')?.focus()
