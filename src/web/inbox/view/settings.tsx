/** The account, this device, and how to take the inbox along. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { shortAccount } from '../accounts/kept.ts'
import { useOpened, usePage } from './context.ts'
import { useAction } from './parts/action.ts'
import { CopyField } from './parts/copy-field.tsx'
import { Dialog } from './parts/dialog.tsx'
import { Languages } from './welcome.tsx'
import './settings.css'

const Section = ({ title, children }: { title: string; children: ComponentChildren }) => {
  const heading = useId()
  return (
    <section class="setting" aria-labelledby={heading}>
      <h2 id={heading}>{title}</h2>
      {children}
    </section>
  )
}

const Account = () => {
  const { t } = usePage().texts
  const { kept } = useOpened().inbox
  const address = kept.account.slice(kept.account.lastIndexOf(':') + 1)
  return (
    <Section title={t('settings.account')}>
      <p class="quiet">
        {kept.kind === 'demo' ? t('settings.demo') : t('settings.wallet', { wallet: kept.walletName })}
      </p>
      <CopyField label={shortAccount(kept.account)} value={address} />
    </Section>
  )
}

const SecondDevice = () => {
  const { t } = usePage().texts
  const { kept } = useOpened().inbox
  const isShown = useSignal(false)
  return (
    <Section title={t('settings.second')}>
      <p class="quiet">{t(kept.kind === 'demo' ? 'settings.secondDemo' : 'settings.secondWallet')}</p>
      {kept.kind === 'demo' && (
        <>
          <button
            type="button"
            class="button"
            aria-expanded={isShown.value}
            onClick={() => {
              isShown.value = !isShown.value
            }}
          >
            {t(isShown.value ? 'settings.hideKey' : 'settings.showKey')}
          </button>
          {isShown.value && (
            <>
              <CopyField label={t('settings.keyLink')} value={`${location.origin}/#key=${kept.secret}`} />
              <CopyField label={t('settings.key')} value={kept.secret} />
            </>
          )}
        </>
      )}
    </Section>
  )
}

const NotificationSetting = () => {
  const { t } = usePage().texts
  const { notifications } = useOpened().inbox
  const { isBusy, run } = useAction()
  const state = notifications.state.value
  const isOn = state === 'on' || state === 'open'
  return (
    <Section title={t('settings.notifications')}>
      <p class="quiet">{t(`settings.notifications.${state}`)}</p>
      {(state === 'off' || isOn) && (
        <button
          type="button"
          class={`button ${isOn ? '' : 'primary'}`}
          disabled={isBusy.value}
          onClick={() => run(isOn ? notifications.turnOff : notifications.turnOn)}
        >
          {t(isOn ? 'settings.turnOff' : 'settings.turnOn')}
        </button>
      )}
    </Section>
  )
}

const SessionLink = () => {
  const { t } = usePage().texts
  const { sessions } = useOpened()
  const { run } = useAction()
  const link = useSignal('')
  const field = useId()
  return (
    <Section title={t('settings.sessions')}>
      <p class="quiet">{t('settings.sessionsText')}</p>
      <form
        class="one-line"
        onSubmit={(event) => {
          event.preventDefault()
          const text = link.value
          link.value = ''
          void run(() => sessions.open(text))
        }}
      >
        <label class="only-read" for={field}>
          {t('settings.sessionLink')}
        </label>
        <input
          id={field}
          class="field"
          autocomplete="off"
          required
          placeholder={t('settings.sessionLink')}
          value={link.value}
          onInput={({ currentTarget }) => {
            link.value = currentTarget.value
          }}
        />
        <button type="submit" class="button">
          {t('settings.openLink')}
        </button>
      </form>
    </Section>
  )
}

const Keyboard = () => {
  const { t } = usePage().texts
  return (
    <Section title={t('settings.keyboard')}>
      <dl class="keys">
        <dt>
          <kbd>j</kbd> <kbd>k</kbd> <kbd>↓</kbd> <kbd>↑</kbd>
        </dt>
        <dd>{t('settings.keys.move')}</dd>
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>{t('settings.keys.search')}</dd>
        <dt>
          <kbd>Esc</kbd>
        </dt>
        <dd>{t('settings.keys.back')}</dd>
      </dl>
    </Section>
  )
}

const Forget = () => {
  const { forget, texts } = usePage()
  const { kept } = useOpened().inbox
  const { isBusy, run } = useAction()
  const isAsked = useSignal(false)
  const { t } = texts
  const close = (): void => {
    isAsked.value = false
  }
  return (
    <Section title={t('settings.forget')}>
      <p class="quiet">{t(kept.kind === 'demo' ? 'settings.forgetText' : 'settings.forgetWallet')}</p>
      <button
        type="button"
        class="button danger"
        onClick={() => {
          isAsked.value = true
        }}
      >
        {t('settings.forgetButton')}
      </button>
      {isAsked.value && (
        <Dialog title={t('settings.forget')} onClose={close}>
          <p>{t(kept.kind === 'demo' ? 'settings.forgetText' : 'settings.forgetWallet')}</p>
          <div class="dialog-buttons">
            <button type="button" class="button" onClick={close}>
              {t('dialog.cancel')}
            </button>
            <button type="button" class="button danger" disabled={isBusy.value} onClick={() => run(forget)}>
              {t('settings.forgetButton')}
            </button>
          </div>
        </Dialog>
      )}
    </Section>
  )
}

export const Settings = () => {
  const { t } = usePage().texts
  return (
    <div class="page">
      <h1>{t('settings.title')}</h1>
      <Account />
      <NotificationSetting />
      <SecondDevice />
      <SessionLink />
      <Section title={t('settings.language')}>
        <Languages />
      </Section>
      <Keyboard />
      <Forget />
    </div>
  )
}
