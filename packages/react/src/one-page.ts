/**
 * Has one page of a browser at a time do something: the one that somebody looked at last. Two that were the same device
 * at once would take each other's answers. Where a browser has no Web Locks, each page does it.
 *
 * @param name of what only one page does.
 * @param start returns what ends it; called again when the page is looked at after another one.
 * @param lost another page does it now; it has been ended here.
 * @returns ends it, here.
 */
export const onePageAtATime = (name: string, start: () => () => void, lost: () => void): (() => void) => {
  const locks: LockManager | undefined = navigator.locks
  if (!locks) return start()
  let isOver = false
  let stop: (() => void) | undefined
  let release = () => {}
  const claim = (): void => {
    if (stop) return
    stop = start()
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    locks
      .request(name, { steal: true }, () => held)
      .catch(() => {
        if (isOver) return
        stop?.()
        stop = undefined
        lost()
      })
  }
  addEventListener('focus', claim)
  claim()
  return () => {
    isOver = true
    removeEventListener('focus', claim)
    stop?.()
    release()
  }
}
