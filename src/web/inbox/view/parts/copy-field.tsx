import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { usePage } from '../context.ts'

/** A text that can be taken along. */
export const CopyField = ({ label, value }: { label: string; value: string }) => {
  const { t } = usePage().texts
  const isCopied = useSignal(false)
  const field = useId()
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(value)
    isCopied.value = true
  }
  return (
    <div class="copy">
      <label for={field}>{label}</label>
      <div class="one-line">
        <input
          id={field}
          class="field mono"
          readOnly
          value={value}
          onFocus={(event) => event.currentTarget.select()}
        />
        <button type="button" class="button" onClick={() => copy().catch(() => {})}>
          {t(isCopied.value ? 'settings.copied' : 'settings.copy')}
        </button>
      </div>
    </div>
  )
}
