/** How far something is: a bar that is drawn again on a terminal, a line for each tenth elsewhere. */
const BAR_WIDTH = 24

export interface ProgressBar {
  show(done: number, total: number | null): void
  end(): void
}

export const bar = (share: number): string => {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * BAR_WIDTH)
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}]`
}
export const shown = (count: number): string => count.toLocaleString('en')

export const createProgressBar = (out: { isTTY?: boolean; write(text: string): unknown }): ProgressBar => {
  let isDrawn = false
  let tenth = -1
  return {
    show(done, total) {
      if (total === null) return
      const share = total === 0 ? 1 : done / total
      const text = `${shown(done)} of ${shown(total)}`
      if (out.isTTY) {
        out.write(`\r\x1b[2K${bar(share)} ${text}`)
        isDrawn = true
      } else if (Math.floor(share * 10) > tenth) {
        tenth = Math.floor(share * 10)
        out.write(`${text}\n`)
      }
    },
    end() {
      if (isDrawn) out.write('\n')
    },
  }
}
