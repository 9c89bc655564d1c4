/** Rows of the one table that the benchmark prints, as Markdown so that it can go into docs/measured.md. */
export interface Row {
  what: string
  /** On the embedded store, where a store has a part in it. */
  figure: string
  onRedis?: string
  /** Redis ÷ embedded. */
  ratio?: string
  reference?: string
}

export const printTable = (rows: readonly Row[]): string => {
  const cells = [
    ['measured', 'figure', 'on Redis', 'ratio', 'reference'],
    ...rows.map((row) => [row.what, row.figure, row.onRedis ?? '', row.ratio ?? '', row.reference ?? '']),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...body] = cells
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...body.map(line)].join(
    '\n',
  )
}

export const count = (value: number): string => Math.round(value).toLocaleString('en-GB')
export const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`
export const bytes = (value: number): string =>
  value < 10_000
    ? `${Math.round(value)} B`
    : value < 1024 ** 2
      ? `${(value / 1024).toFixed(1)} KiB`
      : `${Math.round(value / 1024 ** 2)} MiB`

export const sum = (parts: readonly number[]): number => parts.reduce((all, part) => all + part, 0)

/** The value below which the fraction `p` of the sorted samples lies. */
export const percentile = (samples: readonly number[], p: number): number => {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN
}
