/** The folded part of the form for a notification: what it may have beside its texts. */
import { useEffect, useRef } from 'preact/hooks'
import {
  type ActionRow,
  actionField,
  actionIds,
  type ExtrasDraft,
  extrasFields,
  type LocaleRow,
  localeField,
  MAX_ACTIONS,
  MAX_LOCALES,
} from '../core/extras-draft.ts'
import { newId } from '../core/id.ts'
import { PRIORITIES } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { Field, GroupProblem, useWrong } from './form.tsx'

type Change = (part: Partial<ExtrasDraft>) => void

const PRIORITY_OPTIONS = PRIORITIES.map((one) => [one, T.send.priorities[one]] as const)
const KINDS = [
  ['url', T.send.opens],
  ['answer', T.send.asks],
] as const

const RemoveRow = ({ label, remove }: { label: string; remove: () => void }) => (
  <div class="row end">
    <button type="button" class="small" onClick={remove}>
      {T.send.removeRow(label.toLowerCase())}
    </button>
  </div>
)

const replaced = <R extends { key: string }>(rows: readonly R[], key: string, part: Partial<R>): R[] =>
  rows.map((row) => (row.key === key ? { ...row, ...part } : row))
const without = <R extends { key: string }>(rows: readonly R[], key: string): R[] =>
  rows.filter((row) => row.key !== key)

interface RowProps<R> {
  row: R
  nth: number
  edit: (part: Partial<R>) => void
  remove: () => void
}

const Action = ({ row, nth, id, edit, remove }: RowProps<ActionRow> & { id: string }) => {
  const label = T.send.button(nth + 1)
  return (
    <fieldset>
      <legend>{label}</legend>
      <div class="columns">
        <Field
          {...{ name: actionField(nth, 'title'), label: T.send.titleField, value: row.title, max: 32 }}
          hint={T.send.buttonId(id)}
          onInput={(title) => edit({ title })}
        />
        <Field
          {...{ name: `does[${nth}]`, label: T.send.does, value: row.isAnswer ? 'answer' : 'url' }}
          options={KINDS}
          onInput={(kind) => edit({ isAnswer: kind === 'answer' })}
        />
      </div>
      {!row.isAnswer && (
        <Field
          {...{ name: actionField(nth, 'url'), label: T.send.target, value: row.url, max: 255 }}
          onInput={(url) => edit({ url })}
        />
      )}
      <RemoveRow label={label} remove={remove} />
    </fieldset>
  )
}

const Actions = ({ actions, change }: { actions: readonly ActionRow[]; change: Change }) => {
  const ids = actionIds(actions)
  const add = () => change({ actions: [...actions, { key: newId(), title: '', isAnswer: false, url: '' }] })
  return (
    <fieldset>
      <legend>{T.send.buttons}</legend>
      <GroupProblem name="actions" />
      {actions.map((row, nth) => (
        <Action
          {...{ key: row.key, row, nth, id: ids[nth] ?? '' }}
          edit={(part) => change({ actions: replaced(actions, row.key, part) })}
          remove={() => change({ actions: without(actions, row.key) })}
        />
      ))}
      {actions.length < MAX_ACTIONS && (
        <button type="button" class="small" onClick={add}>
          {T.send.addButton}
        </button>
      )}
    </fieldset>
  )
}

const Locale = ({ row, nth, edit, remove }: RowProps<LocaleRow>) => {
  const label = T.send.language(nth + 1)
  const language = row.language.trim()
  return (
    <fieldset>
      <legend>{label}</legend>
      <div class="columns">
        <Field
          {...{ name: localeField(language), label: T.send.languageTag, value: row.language, max: 35 }}
          hint={T.send.languageHint}
          onInput={(text) => edit({ language: text })}
        />
        <Field
          {...{ name: localeField(language, 'title'), label: T.send.titleField, value: row.title, max: 64 }}
          onInput={(title) => edit({ title })}
        />
      </div>
      <Field
        {...{ name: localeField(language, 'body'), label: T.send.body, value: row.body, max: 255, rows: 2 }}
        onInput={(body) => edit({ body })}
      />
      <RemoveRow label={label} remove={remove} />
    </fieldset>
  )
}

const Locales = ({ locales, change }: { locales: readonly LocaleRow[]; change: Change }) => {
  const add = () => change({ locales: [...locales, { key: newId(), language: '', title: '', body: '' }] })
  return (
    <fieldset>
      <legend>{T.send.languages}</legend>
      <GroupProblem name="locales" />
      {locales.map((row, nth) => (
        <Locale
          {...{ key: row.key, row, nth }}
          edit={(part) => change({ locales: replaced(locales, row.key, part) })}
          remove={() => change({ locales: without(locales, row.key) })}
        />
      ))}
      {locales.length < MAX_LOCALES && (
        <button type="button" class="small" onClick={add}>
          {T.send.addLanguage}
        </button>
      )}
    </fieldset>
  )
}

const Silent = ({ isOn, set }: { isOn: boolean; set: (isOn: boolean) => void }) => (
  <label class="tick">
    <input
      type="checkbox"
      name="silent"
      checked={isOn}
      onInput={({ currentTarget }) => set(currentTarget.checked)}
    />
    {T.send.silent}
  </label>
)

export const More = ({ draft, change }: { draft: ExtrasDraft; change: Change }) => {
  const folded = useRef<HTMLDetailsElement>(null)
  const { failure, named } = useWrong()
  // A refusal that nobody sees is none.
  useEffect(() => {
    if (named !== undefined && extrasFields(draft).includes(named) && folded.current)
      folded.current.open = true
  }, [failure])
  return (
    <details class="more" ref={folded}>
      <summary>
        {T.send.more} <span class="quiet">{T.send.moreAbout}</span>
      </summary>
      <Field
        {...{ name: 'priority', label: T.send.priority, value: draft.priority }}
        options={PRIORITY_OPTIONS}
        onInput={(wanted) => {
          const priority = PRIORITIES.find((one) => one === wanted)
          if (priority) change({ priority })
        }}
      />
      <Silent isOn={draft.isSilent} set={(isSilent) => change({ isSilent })} />
      <div class="columns">
        <Field
          {...{ name: 'image', label: T.send.image, value: draft.image, max: 255 }}
          onInput={(image) => change({ image })}
        />
        <Field
          {...{ name: 'tags', label: T.send.tags, value: draft.tags, hint: T.send.tagsHint }}
          onInput={(tags) => change({ tags })}
        />
      </div>
      <Actions actions={draft.actions} change={change} />
      <Locales locales={draft.locales} change={change} />
    </details>
  )
}
