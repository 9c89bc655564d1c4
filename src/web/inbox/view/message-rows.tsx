/** The rows of the list; what is older is read when its end comes near. */
import { useEffect, useRef } from 'preact/hooks'
import { inLanguage } from '../../../sdk/wallet.ts'
import { addressOf } from '../model/address.ts'
import type { Message } from '../model/database.ts'
import { useOpened, usePage } from './context.ts'
import { Avatar } from './parts/avatar.tsx'
import { Empty } from './parts/empty.tsx'
import { Priority } from './parts/priority.tsx'

const Row = (props: { message: Message; app: string | undefined; isCurrent: boolean }) => {
  const { message, app, isCurrent } = props
  const { texts, apps } = usePage()
  const { domain, id, title, body, sentAt, isRead } = inLanguage(message, texts.locale.value)
  const name = apps.nameOf(domain)
  const to = addressOf({ at: 'messages', message: { domain, id }, ...(app !== undefined && { app }) })
  return (
    <li class={`row ${isRead ? '' : 'is-unread'}`}>
      <a
        class="row-link"
        href={to}
        data-message={`${domain} ${id}`}
        aria-current={isCurrent ? 'true' : undefined}
      >
        <Avatar domain={domain} name={name} />
        <span class="row-text">
          <span class="row-top">
            {!isRead && <span class="only-read">{texts.t('list.unread')}</span>}
            <span class="row-app">
              <bdi>{name}</bdi>
            </span>
            <Priority message={message} />
            <time class="row-time" dateTime={new Date(sentAt).toISOString()} title={texts.at(sentAt)}>
              {texts.ago(sentAt)}
            </time>
          </span>
          <span class="row-title" dir="auto">
            {title}
          </span>
          <span class="row-body" dir="auto">
            {body}
          </span>
        </span>
        {!isRead && <span class="row-dot" aria-hidden="true" />}
      </a>
    </li>
  )
}

/** Reads more whenever it comes near to what can be seen. */
const ListEnd = () => {
  const { texts } = usePage()
  const { list } = useOpened().inbox
  const end = useRef<HTMLLIElement>(null)
  const count = list.shown.value.length
  useEffect(() => {
    const shown = end.current
    if (!shown) return
    const watching = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) void list.more()
      },
      { rootMargin: '600px' },
    )
    watching.observe(shown)
    return () => watching.disconnect()
    // Observed anew after each page: it may be near still.
  }, [list, count])
  return (
    <li ref={end} class="list-end quiet small">
      {texts.t(list.hasMore.value ? 'list.reading' : 'list.end')}
    </li>
  )
}

const NoMessages = ({ app }: { app: string | undefined }) => {
  const { texts, apps } = usePage()
  const { inbox } = useOpened()
  const { t } = texts
  const { search, unreadOnly } = inbox.list.wanted.value
  if (search !== '') return <Empty icon="search" text={t('list.empty.search')} />
  if (inbox.subscriptions.value.length === 0)
    return (
      <Empty icon="discover" title={t('list.first.title')} text={t('list.first.text')}>
        <a class="button primary" href={addressOf({ at: 'discover' })}>
          {t('nav.discover')}
        </a>
      </Empty>
    )
  if (unreadOnly) return <Empty icon="check" text={t('list.empty.unread')} />
  const text = app === undefined ? t('list.empty.all') : t('list.empty.text', { app: apps.nameOf(app) })
  return <Empty icon="bell" title={t('list.empty.title')} text={text} />
}

const Skeleton = () => (
  <div class="skeletons" aria-hidden="true">
    {[0, 1, 2].map((each) => (
      <div key={each} class="skeleton" />
    ))}
  </div>
)

export const MessageRows = (props: {
  app: string | undefined
  current: { domain: string; id: string } | undefined
}) => {
  const { app, current } = props
  const { list } = useOpened().inbox
  const shown = list.shown.value
  if (shown.length === 0) return list.isReading.value ? <Skeleton /> : <NoMessages app={app} />
  return (
    <ul class="rows">
      {shown.map((message) => (
        <Row
          key={`${message.domain} ${message.id}`}
          {...{ message, app }}
          isCurrent={current?.id === message.id && current.domain === message.domain}
        />
      ))}
      <ListEnd />
    </ul>
  )
}
