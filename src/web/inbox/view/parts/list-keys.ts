/** The keyboard in the list: j, k and the arrows go from message to message, / searches, Escape leads back to the list. */
import { useEffect } from 'preact/hooks'

const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('.row-link')]

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]')

/** By how many messages a key moves. */
const STEPS: Readonly<Record<string, number>> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }

const move = (by: number): void => {
  const all = rows()
  const here = all.findIndex((row) => row.matches(':focus'))
  const current = here >= 0 ? here : all.findIndex((row) => row.matches('[aria-current=true]'))
  const next = all[current < 0 ? (by > 0 ? 0 : all.length - 1) : current + by]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}

/** The row of a message, once the list is shown. */
export const focusRow = ({ domain, id }: { domain: string; id: string }): void => {
  requestAnimationFrame(() => {
    rows()
      .find((row) => row.dataset.message === `${domain} ${id}`)
      ?.focus()
  })
}

/** Elsewhere the arrows scroll. */
const isInList = (target: EventTarget | null): boolean =>
  target === document.body || (target instanceof Element && target.closest('.messages') !== null)

export const useListKeys = ({ back }: { back: () => void }): void => {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const { key, target, ctrlKey, metaKey, altKey } = event
      if (ctrlKey || metaKey || altKey || document.querySelector('dialog[open]')) return
      if (key === 'Escape') {
        if (target instanceof HTMLElement && isTyping(target)) target.blur()
        else back()
        return
      }
      if (isTyping(target)) return
      const step = STEPS[key]
      if (key === '/') document.querySelector<HTMLElement>('.search input')?.focus()
      else if (step !== undefined && (key.length === 1 || isInList(target))) move(step)
      else return
      event.preventDefault()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [back])
}
