/** What an app may send: chosen when one subscribes, and changed later. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { useOpened, usePage } from './context.ts'
import { useAction } from './parts/action.ts'
import { Dialog } from './parts/dialog.tsx'
import { canSave, type Quiet, QuietHours } from './quiet-hours.tsx'
import './types-dialog.css'

/** The types of the app, asked for anew, with those that are wanted. */
const useTypes = (domain: string, scope: readonly string[] | undefined) => {
  const { apps, tell } = usePage()
  const known = apps.known.value.get(domain)?.types
  const wanted = useSignal<ReadonlySet<string> | undefined>(scope && new Set(scope))
  useEffect(() => {
    apps
      .describe(domain)
      .then(({ types = [] }) => {
        wanted.value ??= new Set(types.map(({ id }) => id))
      })
      // Without the server what it said last is shown.
      .catch((error: unknown) => known ?? tell(error))
  }, [apps, domain])
  const toggle = (id: string): void => {
    const next = new Set(wanted.value)
    if (!next.delete(id)) next.add(id)
    wanted.value = next
  }
  return { types: wanted.value && known, wanted, toggle }
}

const TypeChoice = (props: {
  type: { id: string; name: string; description: string }
  isWanted: boolean
  onToggle: () => void
}) => (
  <label class="type">
    <input type="checkbox" checked={props.isWanted} onChange={props.onToggle} />
    <span>
      <span class="type-name" dir="auto">
        {props.type.name}
      </span>
      {props.type.description !== '' && (
        <span class="quiet small" dir="auto">
          {props.type.description}
        </span>
      )}
    </span>
  </label>
)

export const TypesDialog = ({ domain, onClose }: { domain: string; onClose: () => void }) => {
  const { texts, apps, router } = usePage()
  const { inbox } = useOpened()
  const { isBusy, run } = useAction()
  const { t } = texts
  const app = apps.nameOf(domain)
  const subscription = inbox.subscriptions.value.find((one) => one.domain === domain)
  const { types, wanted, toggle } = useTypes(domain, subscription?.scope)
  const quiet = useSignal<Quiet>(subscription?.preferences?.quiet)
  const save = async (): Promise<void> => {
    const scope = [...(wanted.value ?? [])]
    const wish = quiet.value ? { quiet: quiet.value } : null
    await (subscription ? inbox.update(domain, scope, wish) : inbox.subscribe(domain, scope, wish))
    onClose()
  }
  const end = async (): Promise<void> => {
    await inbox.unsubscribe(domain)
    onClose()
    router.go({ at: 'messages' })
  }
  return (
    <Dialog title={t('types.title', { app })} onClose={onClose}>
      {!types && <p class="quiet">{t('types.reading')}</p>}
      {types?.length === 0 && <p class="quiet">{t('types.none')}</p>}
      <div class="types">
        {types?.map((type) => (
          <TypeChoice
            key={type.id}
            {...{ type, isWanted: wanted.value?.has(type.id) ?? false }}
            onToggle={() => toggle(type.id)}
          />
        ))}
      </div>
      {types && <QuietHours quiet={quiet} />}
      {subscription && <p class="quiet small">{t('types.unsubscribeText')}</p>}
      <div class="dialog-buttons">
        {subscription && (
          <button type="button" class="button danger" disabled={isBusy.value} onClick={() => run(end)}>
            {t('types.unsubscribe')}
          </button>
        )}
        <button type="button" class="button" onClick={onClose}>
          {t('dialog.cancel')}
        </button>
        <button
          type="button"
          class="button primary"
          disabled={isBusy.value || !types || !canSave(quiet.value)}
          onClick={() => run(save)}
        >
          {t(subscription ? 'types.save' : 'types.subscribe')}
        </button>
      </div>
    </Dialog>
  )
}
