/** The apps of this server: those that it lists, and any other one by its domain. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { App } from '../model/apps.ts'
import { useOpened, usePage } from './context.ts'
import { useAction } from './parts/action.ts'
import { Avatar } from './parts/avatar.tsx'
import { Empty } from './parts/empty.tsx'
import { Icon } from './parts/icon.tsx'
import { TypesDialog } from './types-dialog.tsx'
import './discover.css'

const DOMAIN = /^(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::\d+)?$|^localhost(?::\d+)?$/

const Card = ({ app, onChoose }: { app: App; onChoose: () => void }) => {
  const { texts } = usePage()
  const { inbox } = useOpened()
  const { t } = texts
  const { domain, name, description } = app
  const isSubscribed = inbox.subscriptions.value.some((one) => one.domain === domain)
  return (
    <li class="card">
      <Avatar domain={domain} name={name} />
      <div class="card-text">
        <h2 class="card-title">
          <bdi>{name}</bdi>
        </h2>
        <p class="quiet small card-domain">
          {domain}
          {isSubscribed && <span class="tag">{t('discover.subscribed')}</span>}
        </p>
        {description !== '' && (
          <p class="card-description" dir="auto">
            {description}
          </p>
        )}
      </div>
      <button
        type="button"
        class={`button ${isSubscribed ? '' : 'primary'}`}
        aria-label={t(isSubscribed ? 'discover.manageOf' : 'discover.subscribeTo', { app: name })}
        onClick={onChoose}
      >
        {t(isSubscribed ? 'discover.manage' : 'discover.subscribe')}
      </button>
    </li>
  )
}

const matching = (apps: readonly App[], search: string): App[] => {
  const text = search.trim().toLowerCase()
  return apps.filter(({ domain, name, description }) =>
    `${domain} ${name} ${description}`.toLowerCase().includes(text),
  )
}

const NoApps = ({ search, onFound }: { search: string; onFound: (domain: string) => void }) => {
  const { texts, apps } = usePage()
  const { inbox } = useOpened()
  const { isBusy, run } = useAction()
  const { t } = texts
  const domain = search.trim().toLowerCase()
  if (domain === '' && !apps.isRead.value)
    return (
      <Empty icon="discover" text={t(inbox.isOffline.value ? 'error.unavailable' : 'discover.reading')} />
    )
  if (domain === '') return <Empty icon="discover" text={t('discover.empty')} />
  return (
    <Empty icon="search" text={t('discover.noMatch')}>
      {DOMAIN.test(domain) && (
        <button
          type="button"
          class="button primary"
          disabled={isBusy.value}
          onClick={() => run(() => apps.describe(domain).then(() => onFound(domain)))}
        >
          {t('discover.byDomain', { domain })}
        </button>
      )}
    </Empty>
  )
}

/** `app`: the domain that a link of somebody's names. */
export const Discover = ({ app = '' }: { app?: string | undefined }) => {
  const { texts, apps, tell } = usePage()
  const { inbox } = useOpened()
  const { isBusy, run } = useAction()
  const search = useSignal(app)
  const chosen = useSignal<string | undefined>(undefined)
  const isConnected = inbox.isConnected.value
  const { t } = texts
  useEffect(() => {
    if (isConnected) apps.list(true).catch(tell)
  }, [apps, isConnected])
  const own = inbox.subscriptions.value.map(({ domain }) => domain)
  const domains = [...new Set([...own, ...apps.listed.value])]
  const all = domains.map(
    (domain) => apps.known.value.get(domain) ?? { domain, name: domain, description: '' },
  )
  const found = matching(all, search.value)
  const choose = (domain: string): void => {
    chosen.value = domain
  }
  return (
    <div class="page">
      <h1>{t('discover.title')}</h1>
      <label class="search">
        <Icon name="search" />
        <span class="only-read">{t('discover.search')}</span>
        <input
          type="search"
          class="field"
          value={search.value}
          placeholder={t('discover.search')}
          onInput={({ currentTarget }) => {
            search.value = currentTarget.value
          }}
        />
      </label>
      <ul class="cards">
        {found.map((app) => (
          <Card key={app.domain} app={app} onChoose={() => choose(app.domain)} />
        ))}
      </ul>
      {found.length === 0 && <NoApps search={search.value} onFound={choose} />}
      {apps.hasMore.value && (
        <button type="button" class="button" disabled={isBusy.value} onClick={() => run(() => apps.list())}>
          {t('discover.more')}
        </button>
      )}
      {chosen.value !== undefined && (
        <TypesDialog
          key={chosen.value}
          domain={chosen.value}
          onClose={() => {
            chosen.value = undefined
          }}
        />
      )}
    </div>
  )
}
