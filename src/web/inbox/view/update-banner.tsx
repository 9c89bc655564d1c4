import { usePage } from './context.ts'

export const UpdateBanner = () => {
  const { texts, update } = usePage()
  const use = update.value
  if (!use) return null
  return (
    <p class="banner">
      {texts.t('update.text')}
      <button type="button" class="button" onClick={use}>
        {texts.t('update.button')}
      </button>
    </p>
  )
}
