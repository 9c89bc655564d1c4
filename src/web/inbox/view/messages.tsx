/** Messages: the list, and the one that is being read. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Route } from '../model/address.ts'
import { useOpened, usePage } from './context.ts'
import { MessageView } from './message.tsx'
import { MessageRows } from './message-rows.tsx'
import { useAction } from './parts/action.ts'
import { Icon } from './parts/icon.tsx'
import { focusRow, useListKeys } from './parts/list-keys.ts'
import { TypesDialog } from './types-dialog.tsx'
import './messages.css'

type MessagesRoute = Route & { at: 'messages' }

const Filters = ({ app }: { app: string | undefined }) => {
  const { texts } = usePage()
  const { inbox } = useOpened()
  const { list } = inbox
  const { unreadOnly, search } = list.wanted.value
  const { t } = texts
  return (
    <div class="filters">
      <label class="search">
        <Icon name="search" />
        <span class="only-read">{t('list.search')}</span>
        <input
          type="search"
          class="field"
          placeholder={t('list.searchShort')}
          value={search}
          onInput={({ currentTarget }) => void list.show({ app, unreadOnly, search: currentTarget.value })}
        />
      </label>
      <button
        type="button"
        class="toggle"
        aria-pressed={unreadOnly}
        onClick={() => void list.show({ app, search, unreadOnly: !unreadOnly })}
      >
        {t('list.unreadOnly')}
      </button>
    </div>
  )
}

const ListHead = ({ app }: { app: string | undefined }) => {
  const { texts, apps } = usePage()
  const { inbox } = useOpened()
  const { isBusy, run } = useAction()
  const isManaging = useSignal(false)
  const { t } = texts
  return (
    <header class="list-head">
      <div class="list-title">
        <h1 dir="auto">{app === undefined ? t('nav.all') : apps.nameOf(app)}</h1>
        <button
          type="button"
          class="icon-button"
          aria-label={t('list.markAll')}
          title={t('list.markAll')}
          disabled={isBusy.value || inbox.unread(app) === 0}
          onClick={() => run(() => inbox.markAll(app))}
        >
          <Icon name="check" />
        </button>
        {app !== undefined && (
          <button
            type="button"
            class="icon-button"
            aria-label={t('list.manage')}
            title={t('list.manage')}
            onClick={() => {
              isManaging.value = true
            }}
          >
            <Icon name="sliders" />
          </button>
        )}
      </div>
      <AppChips app={app} />
      <Filters app={app} />
      {isManaging.value && app !== undefined && (
        <TypesDialog
          domain={app}
          onClose={() => {
            isManaging.value = false
          }}
        />
      )}
    </header>
  )
}

/** On a phone, where there is no sidebar: of which app. */
const AppChips = ({ app }: { app: string | undefined }) => {
  const { texts, apps, router } = usePage()
  const { inbox } = useOpened()
  const { subscriptions } = inbox
  if (subscriptions.value.length === 0) return null
  const chip = (domain: string | undefined, name: string) => (
    <button
      key={domain ?? ''}
      type="button"
      class="chip"
      aria-pressed={app === domain}
      onClick={() => router.go({ at: 'messages', ...(domain !== undefined && { app: domain }) })}
    >
      <bdi>{name}</bdi>
      {domain !== undefined && inbox.unread(domain) > 0 && (
        <span class="chip-count">
          <span aria-hidden="true">{texts.number(inbox.unread(domain))}</span>
          <span class="only-read">{texts.t('unread.count', { count: inbox.unread(domain) })}</span>
        </span>
      )}
    </button>
  )
  return (
    <div class="chips">
      {chip(undefined, texts.t('nav.all'))}
      {subscriptions.value.map(({ domain }) => chip(domain, apps.nameOf(domain)))}
    </div>
  )
}

export const Messages = ({ route }: { route: MessagesRoute }) => {
  const { texts, router } = usePage()
  const { inbox } = useOpened()
  const { app, message } = route
  useEffect(() => {
    void inbox.list.show({ app, unreadOnly: inbox.list.wanted.value.unreadOnly, search: '' })
  }, [inbox, app])
  const back = (): void => {
    router.go({ at: 'messages', ...(app !== undefined && { app }) })
    if (message) focusRow(message)
  }
  useListKeys({ back })
  return (
    <div class="messages">
      <section class="list-pane" aria-label={texts.t('nav.all')}>
        <ListHead app={app} />
        <MessageRows app={app} current={message} />
      </section>
      <section class="detail-pane" aria-live="off">
        {message ? (
          <MessageView key={`${message.domain} ${message.id}`} {...message} onBack={back} />
        ) : (
          <p class="detail-none quiet">{texts.t('message.none')}</p>
        )}
      </section>
    </div>
  )
}
