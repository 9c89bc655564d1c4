import { usePage } from './context.ts'
import { Icon } from './parts/icon.tsx'

/** What went wrong, in words, above everything else. */
export const Problem = () => {
  const { problem, texts } = usePage()
  const { t } = texts
  return (
    <div class="problem-place" role="alert">
      {problem.value !== undefined && (
        <div class="problem">
          <div>
            <strong>{t('error.title')}</strong>
            <p>{problem.value}</p>
          </div>
          <button
            type="button"
            class="icon-button"
            aria-label={t('error.dismiss')}
            onClick={() => {
              problem.value = undefined
            }}
          >
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  )
}
