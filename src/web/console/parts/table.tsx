/** What views are made of: cards, figures, tables, badges. */
import type { Signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { T } from '../core/texts.ts'
import { Problem } from './form.tsx'

export const Card = ({
  title,
  side,
  children,
}: {
  title?: string
  side?: ComponentChildren
  children: ComponentChildren
}) => (
  <section class="card">
    {title !== undefined && (
      <header>
        <h2>{title}</h2>
        {side}
      </header>
    )}
    {children}
  </section>
)

export const Figure = ({
  label,
  value,
  about,
  tone,
}: {
  label: string
  value: ComponentChildren
  about?: string | undefined
  tone?: 'good' | 'warn' | 'bad' | undefined
}) => (
  <div class={`figure ${tone ?? ''}`}>
    <dt>{label}</dt>
    <dd>
      <strong>{value}</strong>
      {about !== undefined && <small>{about}</small>}
    </dd>
  </div>
)

/** A part of a whole, 0 to 1. Drawn, because browsers style `meter` each in its own way. */
export const Bar = ({ part, label }: { part: number; label: string }) => (
  <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={label}>
    <title>{label}</title>
    <rect width={Math.round(Math.min(1, part) * 1000)} height="10" />
  </svg>
)

export const Badge = ({ tone, children }: { tone: string; children: ComponentChildren }) => (
  <span class={`badge ${tone}`}>{children}</span>
)

interface TableProps<R> {
  caption: string
  /** Undefined: not loaded yet. */
  rows: readonly R[] | undefined
  columns: readonly { title: string; show: (row: R) => ComponentChildren; isNumber?: boolean }[]
  keyOf: (row: R) => string
  empty: string
  /** Why there are no rows, or why they are no longer new. */
  failure?: string | undefined
}

/** A table that a phone shows as a list of its rows. */
export const Table = <R,>({ failure, ...table }: TableProps<R>) => (
  <>
    <Problem text={failure} />
    {table.rows ? (
      <Rows {...table} rows={table.rows} />
    ) : (
      failure === undefined && <p class="hint">{T.loading}</p>
    )}
  </>
)

const Rows = <R,>({ caption, rows, columns, keyOf, empty }: TableProps<R> & { rows: readonly R[] }) => {
  if (rows.length === 0) return <p class="empty">{empty}</p>
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ title, isNumber }) => (
            <th key={title} scope="col" class={isNumber ? 'number' : ''}>
              {title || <span class="visually-hidden">{T.actions}</span>}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map(({ title, show, isNumber }) => (
              <td key={title} data-label={title} class={title === '' ? 'actions' : isNumber ? 'number' : ''}>
                {/* One box: of a phone's two columns it is the second. */}
                <div class="cell">{show(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** Pages of a list: on to the next, and back to the first. */
export const Pager = ({
  next,
  after,
}: {
  next: string | null | undefined
  /** Where the page that is shown begins; empty: at the first. */
  after: Signal<string>
}) => {
  const goTo = (start: string) => {
    after.value = start
  }
  if (!next && after.value === '') return null
  return (
    <div class="row">
      {after.value !== '' && (
        <button type="button" onClick={() => goTo('')}>
          {T.first}
        </button>
      )}
      {next && (
        <button type="button" onClick={() => goTo(next)}>
          {T.next}
        </button>
      )}
    </div>
  )
}
