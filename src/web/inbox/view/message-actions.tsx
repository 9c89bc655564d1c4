/** What can be done with a message: where it leads, and the answers that it asks for. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { answersOf } from '../model/answers.ts'
import type { Message } from '../model/database.ts'
import { useOpened, usePage } from './context.ts'
import { Icon, type IconName } from './parts/icon.tsx'

/** An address over https or of this server; a path is one of the app's own site. Undefined for everything else. */
const linkOf = (url: string | null | undefined, domain: string): URL | undefined => {
  const base = `https://${domain}`
  if (!url || !URL.canParse(url, base)) return undefined
  const link = new URL(url, base)
  return link.protocol === 'https:' || link.origin === location.origin ? link : undefined
}

/** Where an app has clicks counted, its links lead to this server first: whose name says nothing of where one arrives. */
const isCounted = (link: URL): boolean =>
  link.origin === location.origin && link.pathname.startsWith('/v1/notification/')

/** A link of the sender's own words says where it leads as well. */
const Away = (props: { to: URL | undefined; text: string; icon: IconName }) => {
  const { to, text, icon } = props
  if (!to) return null
  return (
    <a class="button" href={to.href} target="_blank" rel="noopener noreferrer">
      <Icon name={icon} />
      <bdi>{text}</bdi> <span class="quiet small">{to.host}</span>
    </a>
  )
}

export const Links = ({ message }: { message: Message }) => {
  const { t } = usePage().texts
  const { url, domain, image, actions = [] } = message
  const link = linkOf(url, domain)
  return (
    <div class="message-links">
      {link && (
        <a class="button primary" href={link.href} target="_blank" rel="noopener noreferrer">
          {isCounted(link) ? t('message.openCounted') : t('message.open', { host: link.host })}
          <Icon name="external" />
        </a>
      )}
      {actions.map(
        (action) =>
          'url' in action && (
            <Away
              key={action.id}
              {...{ to: linkOf(action.url, domain), text: action.title, icon: 'external' }}
            />
          ),
      )}
      <Away {...{ to: linkOf(image, domain), text: t('message.picture'), icon: 'picture' }} />
    </div>
  )
}

/** Gives one answer at a time. What was refused is told beside the buttons. */
const useAnswering = ({ domain, id }: Message) => {
  const { wordsOf } = usePage()
  const { inbox } = useOpened()
  const isBusy = useSignal(false)
  const wrong = useSignal<string | undefined>(undefined)
  const give = async (action: string): Promise<void> => {
    if (isBusy.value) return
    isBusy.value = true
    wrong.value = undefined
    try {
      await inbox.answer({ domain, id }, action)
    } catch (error) {
      wrong.value = wordsOf(error)
    } finally {
      isBusy.value = false
    }
  }
  return { isBusy, wrong, give }
}

export const Answers = ({ message }: { message: Message }) => {
  const { t } = usePage().texts
  const { inbox } = useOpened()
  const { isBusy, wrong, give } = useAnswering(message)
  const said = useRef<HTMLParagraphElement>(null)
  const { domain, id, answered, isRead } = message
  const asked = answersOf(message)
  useEffect(() => {
    // Of one that is unread here an answer is told. Without the server the buttons stay, and whoever presses one is told.
    if (asked.length > 0 && answered === undefined && isRead) inbox.lookForAnswers(domain).catch(() => {})
  }, [inbox, domain, id])
  useEffect(() => {
    // The button that was pressed is gone, and the focus with it.
    if (answered !== undefined && document.activeElement === document.body) said.current?.focus()
  }, [answered])
  if (asked.length === 0) return null
  const answer = asked.find(({ id }) => id === answered)?.title
  const words = answer === undefined ? t('answer.other') : t('answer.given', { answer })
  return (
    <fieldset class="answers">
      <legend class="only-read">{t('answer.label')}</legend>
      {answered === undefined &&
        asked.map(({ id, title }) => (
          // Not disabled while it is sent: the focus stays.
          <button key={id} type="button" class="button" aria-disabled={isBusy.value} onClick={() => give(id)}>
            <bdi>{title}</bdi>
          </button>
        ))}
      <p ref={said} class="answer-said" role="status" tabIndex={-1}>
        {answered !== undefined && <Icon name="check" />}
        {answered !== undefined ? words : isBusy.value ? t('answer.sending') : null}
      </p>
      <p class="wrong answer-wrong" role="alert">
        {wrong.value}
      </p>
    </fieldset>
  )
}
