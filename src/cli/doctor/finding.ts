/** What one look of the doctor found: a sentence, and whether anything is to be done. */
export interface Finding {
  /** What was looked at. */
  about: string
  /** `skipped`: there was nothing to look at, or no way to. */
  state: 'ok' | 'skipped' | 'warning' | 'failed'
  says: string
}

const found =
  (state: Finding['state']) =>
  (about: string, says: string): Finding => ({ about, state, says })

export const ok = found('ok')
export const skipped = found('skipped')
export const warning = found('warning')
export const failed = found('failed')

/** Work on many, a few at a time. */
export const eachOf = async <T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> => {
  const results: R[] = []
  for (let at = 0; at < items.length; at += atOnce) {
    results.push(...(await Promise.all(items.slice(at, at + atOnce).map(work))))
  }
  return results
}
