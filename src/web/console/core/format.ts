/** Numbers and times for people. */
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export const bytes = (count: number): string => {
  let value = count
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

export const count = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : value.toLocaleString('en')

export const percent = (part: number): string => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`

export const time = (iso: string | null | undefined): string =>
  iso
    ? new Date(iso).toLocaleString('en-GB', {
        ...{
          year: 'numeric',
          month: 'short',
          day: '2-digit',
          hour: '2-digit',
          minute: '2-digit',
          second: '2-digit',
        },
      })
    : '–'

const STEPS: readonly [seconds: number, unit: string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
]

/** 3 min */
export const duration = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const [size, unit] = STEPS.find(([step]) => seconds >= step) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}

export const ago = (iso: string | null): string =>
  iso === null ? '–' : `${duration(Date.now() - new Date(iso).getTime())} ago`

/** The two ends of a long name. */
export const short = (text: string, most = 24): string =>
  text.length <= most
    ? text
    : `${text.slice(0, Math.ceil(most / 2))}…${text.slice(-Math.floor(most / 2) + 1)}`
