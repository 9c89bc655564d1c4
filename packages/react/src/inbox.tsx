/** @jsxImportSource react */
/** An inbox: the apps of the account, and the notifications of one of them. `styles.css` is a beginning of its looks. */
import { inLanguage, type Notification } from '@belfry/wallet'
import { useState } from 'react'
import { useSubscriptions, useUnread, useWallet } from './hooks.ts'
import { type History, useHistory } from './lists.ts'

/** What the inbox says, in the language of its reader. */
export interface InboxTexts {
  title: string
  enable: string
  empty: string
  apps: string
  unread: string
  markRead: string
  markAllRead: string
  more: string
  failed: string
  elsewhere: string
  answered: string
}

const ENGLISH: InboxTexts = {
  title: 'Notifications',
  enable: 'Turn on notifications',
  empty: 'There is nothing yet.',
  apps: 'Apps',
  unread: 'unread',
  markRead: 'Mark as read',
  markAllRead: 'Mark all as read',
  more: 'Show older ones',
  failed: 'That did not work. Please try again.',
  elsewhere: 'Another tab shows your notifications.',
  answered: 'Answered:',
}

export interface InboxProps {
  /** Shows this app alone. Default: all apps of the account, one at a time. */
  domain?: string
  /** Notifications of a page, 1 to 50. Default 20. */
  limit?: number
  texts?: Partial<InboxTexts>
  /** Languages of the reader, the best one first. Default: those of the browser. */
  languages?: readonly string[]
  className?: string
}

/** Runs what a button asks for, and says whether the last try failed. */
const useTry = () => {
  const [isFailed, setFailed] = useState(false)
  const attempt = (task: () => Promise<unknown>) => () =>
    void task().then(
      () => setFailed(false),
      () => setFailed(true),
    )
  return { isFailed, attempt }
}
type Attempt = ReturnType<typeof useTry>['attempt']

interface ItemProps {
  notification: Notification
  texts: InboxTexts
  languages: readonly string[]
  history: Pick<History, 'markRead' | 'answer'>
  attempt: Attempt
}

const Item = ({ notification, texts, languages, history, attempt }: ItemProps) => {
  const { id, sentAt, isRead, url, image, actions = [], answered } = notification
  const { title, body } = inLanguage(notification, languages)
  const chosen = actions.find((action) => action.id === answered)
  return (
    <li className="belfry-item" data-unread={!isRead}>
      {image && <img className="belfry-image" src={image} alt="" loading="lazy" />}
      <p className="belfry-head">
        {!isRead && <span className="belfry-dot" role="img" aria-label={texts.unread} />}
        {url ? (
          <a className="belfry-title" href={url} target="_blank" rel="noopener noreferrer">
            {title}
          </a>
        ) : (
          <span className="belfry-title">{title}</span>
        )}
        <time dateTime={new Date(sentAt).toISOString()}>{new Date(sentAt).toLocaleString(languages[0])}</time>
      </p>
      <p className="belfry-body">{body}</p>
      <p className="belfry-actions">
        {answered !== undefined && `${texts.answered} ${chosen?.title ?? answered}`}
        {actions.map((action) =>
          'url' in action ? (
            <a key={action.id} href={action.url} target="_blank" rel="noopener noreferrer">
              {action.title}
            </a>
          ) : (
            answered === undefined && (
              <button key={action.id} type="button" onClick={attempt(() => history.answer(id, action.id))}>
                {action.title}
              </button>
            )
          ),
        )}
        {!isRead && (
          <button
            type="button"
            onClick={attempt(() => history.markRead([id]))}
            aria-label={`${texts.markRead}: ${title}`}
          >
            {texts.markRead}
          </button>
        )}
      </p>
    </li>
  )
}

/** Before that many notifications, nobody needs to be told of those that were there. */
const List = ({
  domain,
  limit,
  texts,
  languages,
}: Required<Pick<InboxProps, 'domain' | 'limit' | 'languages'>> & { texts: InboxTexts }) => {
  const history = useHistory(domain, { limit })
  const unread = useUnread(domain)
  const { isFailed, attempt } = useTry()
  const { notifications, isLoading, hasMore, error, more, markRead } = history
  return (
    <>
      <p className="belfry-bar">
        <span role="status">{`${unread} ${texts.unread}`}</span>
        <button type="button" disabled={unread === 0} onClick={attempt(() => markRead('all'))}>
          {texts.markAllRead}
        </button>
      </p>
      {(isFailed || error !== undefined) && <p role="alert">{texts.failed}</p>}
      <ul className="belfry-list" aria-busy={isLoading} aria-label={domain}>
        {notifications.map((notification) => (
          <Item key={notification.id} {...{ notification, texts, languages, history, attempt }} />
        ))}
      </ul>
      {!isLoading && notifications.length === 0 && <p className="belfry-empty">{texts.empty}</p>}
      {hasMore && (
        <button type="button" disabled={isLoading} onClick={() => void more()}>
          {texts.more}
        </button>
      )}
    </>
  )
}

const ofBrowser = (): readonly string[] => (typeof navigator === 'undefined' ? ['en'] : navigator.languages)

/**
 * The inbox of the account. It asks for the signature that lets this device act for the account when its button is pressed,
 * and never by itself.
 *
 * @example
 * import '@belfry/react/styles.css'
 * <Inbox domain="app.example.com" />
 */
export const Inbox = ({
  domain,
  limit = 20,
  texts: given,
  languages = ofBrowser(),
  className = '',
}: InboxProps) => {
  const texts = { ...ENGLISH, ...given }
  const { status, isEnabled, enable } = useWallet()
  const subscriptions = useSubscriptions()
  const [chosen, choose] = useState<string>()
  const { isFailed, attempt } = useTry()
  const shown =
    domain ?? subscriptions.find((one) => one.domain === chosen)?.domain ?? subscriptions[0]?.domain
  return (
    <section
      className={`belfry-inbox ${className}`}
      aria-label={texts.title}
      aria-busy={status === 'opening'}
    >
      {status === 'open' && !isEnabled && (
        <button type="button" className="belfry-enable" onClick={attempt(enable)}>
          {texts.enable}
        </button>
      )}
      {status === 'elsewhere' && <p className="belfry-empty">{texts.elsewhere}</p>}
      {(isFailed || status === 'failed') && <p role="alert">{texts.failed}</p>}
      {domain === undefined && subscriptions.length > 1 && (
        <nav className="belfry-apps" aria-label={texts.apps}>
          {subscriptions.map((one) => (
            <button
              key={one.domain}
              type="button"
              aria-current={one.domain === shown}
              onClick={() => choose(one.domain)}
            >
              {one.domain}
              {one.unread > 0 && <span className="belfry-count">{`${one.unread} ${texts.unread}`}</span>}
            </button>
          ))}
        </nav>
      )}
      {isEnabled && shown !== undefined && (
        <List key={shown} domain={shown} {...{ limit, texts, languages }} />
      )}
      {isEnabled && shown === undefined && <p className="belfry-empty">{texts.empty}</p>}
    </section>
  )
}
