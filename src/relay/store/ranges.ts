/** Seqs that are done with, as flat ranges [from, to, from, to, …], rising and apart. */

/** The end of the range that holds `seq`, or undefined. */
export const rangeEnd = (ranges: readonly number[], seq: number): number | undefined => {
  let low = 0
  let high = ranges.length / 2
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ranges[middle * 2 + 1] ?? 0) < seq) low = middle + 1
    else high = middle
  }
  const from = ranges[low * 2]
  return from !== undefined && from <= seq ? ranges[low * 2 + 1] : undefined
}

export const addToRanges = (ranges: readonly number[], seq: number): number[] => {
  if (rangeEnd(ranges, seq) !== undefined) return [...ranges]
  const next: number[] = []
  let from = seq
  let to = seq
  let placed = false
  for (let i = 0; i < ranges.length; i += 2) {
    const start = ranges[i] ?? 0
    const end = ranges[i + 1] ?? 0
    if (end === from - 1) from = start
    else if (start === to + 1) to = end
    else {
      if (start > to && !placed) {
        next.push(from, to)
        placed = true
      }
      next.push(start, end)
    }
  }
  if (!placed) next.push(from, to)
  return next
}

/** Without what lies at or below `cursor`. */
export const rangesAbove = (ranges: readonly number[], cursor: number): number[] => {
  const next: number[] = []
  for (let i = 0; i < ranges.length; i += 2) {
    const end = ranges[i + 1] ?? 0
    if (end > cursor) next.push(Math.max(ranges[i] ?? 0, cursor + 1), end)
  }
  return next
}
