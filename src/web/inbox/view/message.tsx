/** One message. What its sender wrote is shown as text. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { inLanguage } from '../../../sdk/wallet.ts'
import type { Message } from '../model/database.ts'
import { useOpened, usePage } from './context.ts'
import { Answers, Links } from './message-actions.tsx'
import { Avatar } from './parts/avatar.tsx'
import { Empty } from './parts/empty.tsx'
import { Icon } from './parts/icon.tsx'
import { Priority } from './parts/priority.tsx'
import './message.css'

/** The message, once it is here. */
const useMessage = (domain: string, id: string): Message | 'reading' | undefined => {
  const { inbox } = useOpened()
  const found = useSignal<Message | 'reading' | undefined>('reading')
  const shown = inbox.list.shown.value
  const listed = shown.find((one) => one.id === id && one.domain === domain)
  const isHere = listed !== undefined
  useEffect(() => {
    if (isHere) return
    let isOver = false
    inbox
      .message(domain, id)
      .then((message) => {
        if (!isOver) found.value = message
      })
      .catch(() => {})
    return () => {
      isOver = true
    }
  }, [inbox, domain, id, isHere, shown])
  return listed ?? found.value
}

const Shown = ({ message, onBack }: { message: Message; onBack: () => void }) => {
  const { texts, apps } = usePage()
  const heading = useRef<HTMLHeadingElement>(null)
  const { domain, title, body, sentAt, type, tags = [] } = inLanguage(message, texts.locale.value)
  const { t } = texts
  const name = apps.nameOf(domain)
  const typeName = apps.known.value.get(domain)?.types?.find(({ id }) => id === type)?.name
  useEffect(() => heading.current?.focus({ preventScroll: true }), [])
  return (
    <article class="message">
      <button type="button" class="back-button" onClick={onBack}>
        <Icon name="back" />
        {t('message.back')}
      </button>
      <header class="message-head">
        <Avatar domain={domain} name={name} />
        <div>
          <p class="message-app">
            <bdi>{name}</bdi>
            {typeName !== undefined && (
              <span class="tag" dir="auto">
                {typeName}
              </span>
            )}
            <Priority message={message} />
          </p>
          <p class="quiet small">
            {t('message.from', { domain })} ·{' '}
            <time dateTime={new Date(sentAt).toISOString()}>{texts.at(sentAt)}</time>
          </p>
        </div>
      </header>
      <h2 ref={heading} tabIndex={-1} class="message-title" dir="auto">
        {title.trim() === '' ? name : title}
      </h2>
      {tags.length > 0 && (
        <ul class="tags" aria-label={t('message.tags')}>
          {tags.map((tag) => (
            <li key={tag} class="tag">
              {tag}
            </li>
          ))}
        </ul>
      )}
      <p class="message-body" dir="auto">
        {body}
      </p>
      <Answers message={message} />
      <Links message={message} />
    </article>
  )
}

export const MessageView = (props: { domain: string; id: string; onBack: () => void }) => {
  const { domain, id, onBack } = props
  const { texts } = usePage()
  const { inbox } = useOpened()
  const message = useMessage(domain, id)
  const isUnread = message !== undefined && message !== 'reading' && !message.isRead
  useEffect(() => {
    // What cannot be sent now is sent later.
    if (isUnread) inbox.mark({ domain, id }).catch(() => {})
  }, [inbox, domain, id, isUnread])
  if (message === 'reading') return null
  if (message) return <Shown message={message} onBack={onBack} />
  return (
    <Empty icon="inbox" text={texts.t('message.missing')}>
      <button type="button" class="button" onClick={onBack}>
        {texts.t('message.back')}
      </button>
    </Empty>
  )
}
