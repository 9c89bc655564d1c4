import { usePage } from './context.ts'
import { Empty } from './parts/empty.tsx'

/** In place of everything, once another page of this browser is the inbox. */
export const Elsewhere = () => {
  const { t } = usePage().texts
  return (
    <main>
      <Empty icon="inbox" title={t('elsewhere.title')} text={t('elsewhere.text')}>
        <button type="button" class="button primary" onClick={() => location.reload()}>
          {t('elsewhere.button')}
        </button>
      </Empty>
    </main>
  )
}
