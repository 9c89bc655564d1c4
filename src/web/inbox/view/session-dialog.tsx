/** A request of an app to the wallet, in words: who asks what, and what a yes means. */
import { useSignal } from '@preact/signals'
import type { SessionState } from '../model/sessions.ts'
import type { Key } from '../texts/index.ts'
import { useOpened, usePage } from './context.ts'
import { Dialog } from './parts/dialog.tsx'
import { Facts } from './parts/facts.tsx'
import { wordsOf } from './session-words.ts'
import './session-dialog.css'

type Asked = SessionState & { is: 'asked' }

const NOTHING_MATCHES = -32001
const REJECTED = -32000

const outcomeOf = (code: number | undefined): Key => {
  if (code === undefined) return 'session.done'
  if (code === REJECTED) return 'session.refused'
  return code === NOTHING_MATCHES ? 'session.nothing' : 'session.unable'
}

const Question = ({ asked }: { asked: Asked }) => {
  const { t } = usePage().texts
  const { request, answer } = asked
  const { choices = [] } = request
  const choice = useSignal(choices[0]?.id)
  const { what, more, values, facts } = wordsOf(request, choice.value)
  return (
    <>
      <p class="session-what">{t(what, values)}</p>
      {more && <p>{t(more, values)}</p>}
      {choices.length > 1 && (
        <label class="session-choice">
          {t('session.choose')}
          <select
            class="field"
            value={choice.value}
            onChange={({ currentTarget }) => {
              choice.value = currentTarget.value
            }}
          >
            {choices.map(({ id, label }) => (
              <option key={id} value={id}>
                {label}
              </option>
            ))}
          </select>
        </label>
      )}
      <Facts facts={facts} />
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={() => answer(false)}>
          {t('session.refuse')}
        </button>
        <button
          type="button"
          class="button primary"
          onClick={() => answer(choice.value === undefined ? true : { choice: choice.value })}
        >
          {t('session.approve')}
        </button>
      </div>
    </>
  )
}

const sentenceOf = (state: SessionState): Key => {
  if (state.is === 'answering') return 'session.answering'
  if (state.is === 'done') return outcomeOf(state.code)
  return state.is === 'failed' ? `session.failed.${state.why}` : 'session.waiting'
}

export const SessionDialog = () => {
  const { t } = usePage().texts
  const { sessions } = useOpened()
  const state = sessions.state.value
  if (state.is === 'none') return null
  // Closing it while something is asked is a no.
  const close = (): void => {
    if (state.is === 'asked') state.answer(false)
    else sessions.close()
  }
  return (
    <Dialog key={state.is === 'asked' ? 'asked' : 'told'} title={t('session.title')} onClose={close}>
      {state.is === 'asked' ? (
        <Question asked={state} />
      ) : (
        <>
          <p role="status">{t(sentenceOf(state))}</p>
          <div class="dialog-buttons">
            <button type="button" class="button" onClick={sessions.close}>
              {t(state.is === 'waiting' ? 'dialog.cancel' : 'dialog.close')}
            </button>
          </div>
        </>
      )}
    </Dialog>
  )
}
