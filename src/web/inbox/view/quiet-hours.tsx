/** Hours in which an app wakes nobody: off, or from one time to another where the reader is. */
import type { Signal } from '@preact/signals'
import type { Preferences } from '../../../sdk/wallet.ts'
import { usePage } from './context.ts'

export type Quiet = Preferences['quiet']

/** A field of the browser may be empty; and hours that end when they begin are none. */
export const canSave = (quiet: Quiet): boolean =>
  quiet === undefined || (quiet.from !== '' && quiet.to !== '' && quiet.from !== quiet.to)

const usualNight = (): Quiet => ({
  ...{ from: '22:00', to: '07:00' },
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
})

export const QuietHours = ({ quiet }: { quiet: Signal<Quiet> }) => {
  const { t } = usePage().texts
  const chosen = quiet.value
  const time = (name: 'from' | 'to', value: string) => (
    <label class="quiet-time">
      {t(`quiet.${name}`)}
      <input
        type="time"
        class="field"
        required
        value={value}
        onInput={({ currentTarget }) => {
          if (chosen) quiet.value = { ...chosen, [name]: currentTarget.value }
        }}
      />
    </label>
  )
  return (
    <div class="quiet-hours">
      <label class="type">
        <input
          type="checkbox"
          checked={chosen !== undefined}
          onChange={() => {
            quiet.value = chosen ? undefined : usualNight()
          }}
        />
        <span>
          <span class="type-name">{t('quiet.title')}</span>
          <span class="quiet small">{t('quiet.text')}</span>
        </span>
      </label>
      {chosen && (
        <div class="quiet-times">
          {time('from', chosen.from)}
          {time('to', chosen.to)}
          <p class="quiet small">{t('quiet.zone', { zone: chosen.timeZone })}</p>
          <p class="wrong small" role="status">
            {canSave(chosen) ? null : t('quiet.same')}
          </p>
        </div>
      )}
    </div>
  )
}
