/** The first visit: whose inbox shall it be? */
import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { LANGUAGE_NAMES, LANGUAGES } from '../texts/index.ts'
import { usePage } from './context.ts'
import { useAction } from './parts/action.ts'
import './welcome.css'

const Wallets = () => {
  const { texts, wallets, connect } = usePage()
  const { isBusy, run } = useAction()
  const { t } = texts
  return (
    <section class="welcome-way">
      <h2>{t('welcome.wallets')}</h2>
      {wallets.value.length === 0 ? (
        <p class="quiet">{t('welcome.noWallet')}</p>
      ) : (
        <>
          {wallets.value.map((wallet) => (
            <button
              key={wallet.id}
              type="button"
              class="button wallet-button"
              disabled={isBusy.value}
              onClick={() => run(() => connect(wallet))}
            >
              {wallet.icon !== undefined && <img src={wallet.icon} alt="" width="24" height="24" />}
              {t('welcome.connect', { wallet: wallet.name })}
              <span class="quiet small">{wallet.chain}</span>
            </button>
          ))}
          <p class="quiet small">{t('welcome.oneSignature')}</p>
        </>
      )}
    </section>
  )
}

const OtherKey = () => {
  const { texts, useKey } = usePage()
  const { isBusy, run } = useAction()
  const key = useSignal('')
  const isWrong = useSignal(false)
  const field = useId()
  const { t } = texts
  const use = async (): Promise<void> => {
    isWrong.value = !(await useKey(key.value))
  }
  return (
    <details class="other-key">
      <summary>{t('welcome.haveKey')}</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void run(use)
        }}
      >
        <label for={field}>{t('welcome.keyLabel')}</label>
        <input
          id={field}
          class="field"
          type="password"
          autocomplete="off"
          required
          aria-invalid={isWrong.value}
          aria-describedby={isWrong.value ? `${field}-wrong` : undefined}
          onInput={({ currentTarget }) => {
            key.value = currentTarget.value
          }}
        />
        {isWrong.value && (
          <p id={`${field}-wrong`} class="wrong" role="alert">
            {t('welcome.wrongKey')}
          </p>
        )}
        <button type="submit" class="button" disabled={isBusy.value}>
          {t('welcome.useKey')}
        </button>
      </form>
    </details>
  )
}

export const Languages = () => {
  const { language, setLanguage, texts } = usePage()
  return (
    <select
      class="field languages"
      aria-label={texts.t('settings.language')}
      value={language.value}
      onChange={({ currentTarget }) => {
        const chosen = LANGUAGES.find((one) => one === currentTarget.value)
        if (chosen) void setLanguage(chosen)
      }}
    >
      {LANGUAGES.map((one) => (
        <option key={one} value={one} lang={one}>
          {LANGUAGE_NAMES[one]}
        </option>
      ))}
    </select>
  )
}

const Ways = () => {
  const { texts, useDemo } = usePage()
  const { isBusy, run } = useAction()
  const { t } = texts
  return (
    <>
      <Wallets />
      <section class="welcome-way">
        <h2>{t('welcome.demo')}</h2>
        <button type="button" class="button primary" disabled={isBusy.value} onClick={() => run(useDemo)}>
          {isBusy.value ? t('welcome.opening') : t('welcome.demoButton')}
        </button>
        <p class="quiet small">{t('welcome.demoText')}</p>
        <OtherKey />
      </section>
    </>
  )
}

export const Welcome = () => {
  const { t } = usePage().texts
  return (
    <main class="welcome">
      <div class="welcome-card">
        <header class="welcome-head">
          <img src="/icon.svg" alt="" width="56" height="56" />
          <Languages />
        </header>
        <h1>{t('welcome.title')}</h1>
        <p class="lead">{t('welcome.lead')}</p>
        {isSecureContext ? <Ways /> : <p role="alert">{t('welcome.insecure')}</p>}
      </div>
    </main>
  )
}
