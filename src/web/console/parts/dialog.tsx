/** Dialogs: what cannot be undone asks first, and secrets are shown once. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { T } from '../core/texts.ts'
import { Problem, useAction } from './form.tsx'

export const Dialog = ({
  title,
  close,
  children,
}: {
  title: string
  close: () => void
  children: ComponentChildren
}) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={close}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  )
}

interface ConfirmProps {
  /** On the button that opens the dialog, and on the one that does it. */
  label: string
  title: string
  about: string
  /** Must be typed before. */
  typed?: string
  action: () => Promise<unknown>
  isQuiet?: boolean
}

/** A button whose action is asked about. */
export const Confirm = ({ label, title, about, typed, action, isQuiet = false }: ConfirmProps) => {
  const isOpen = useSignal(false)
  const text = useSignal('')
  const { isBusy, failure, run } = useAction()
  const id = useId()
  const isAllowed = typed === undefined || text.value === typed
  const close = () => {
    isOpen.value = false
    text.value = ''
  }
  return (
    <>
      <button
        type="button"
        class={isQuiet ? 'danger quiet' : 'danger'}
        onClick={() => {
          isOpen.value = true
        }}
      >
        {label}
      </button>
      {isOpen.value && (
        <Dialog title={title} close={close}>
          <p>{about}</p>
          {typed !== undefined && (
            <div class="field">
              <label for={id}>{T.typeName(typed)}</label>
              <input
                id={id}
                autocomplete="off"
                value={text.value}
                onInput={({ currentTarget }) => {
                  text.value = currentTarget.value
                }}
              />
            </div>
          )}
          <Problem text={failure?.message} />
          <div class="row">
            <button type="button" onClick={close}>
              {T.cancel}
            </button>
            <button
              type="button"
              class="danger"
              disabled={!isAllowed || isBusy}
              onClick={() =>
                void run(async () => {
                  await action()
                  close()
                })
              }
            >
              {label}
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}

export const Copy = ({ text, label = T.copy }: { text: string; label?: string }) => {
  const isCopied = useSignal(false)
  const { clipboard } = navigator as Partial<Navigator>
  // Over plain http browsers lend it to nobody: the text is selected by hand.
  if (!clipboard) return null
  return (
    <button
      type="button"
      class="small"
      onClick={async () => {
        await clipboard.writeText(text).then(
          () => {
            isCopied.value = true
          },
          () => undefined,
        )
      }}
    >
      {isCopied.value ? T.copied : label}
    </button>
  )
}

/** Shown once: the server keeps no text of it. */
export const ShownSecret = ({ secret, close }: { secret: string; close: () => void }) => (
  <Dialog title={T.projects.secretTitle} close={close}>
    <p>{T.projects.secretOnce}</p>
    <p class="secret">
      <code>{secret}</code>
    </p>
    <div class="row">
      <Copy text={secret} />
      <button type="button" class="primary" onClick={close}>
        {T.projects.secretKept}
      </button>
    </div>
  </Dialog>
)
