/**
 * Work on one thing after the other, on different things at the same time. Within a process this spares the devices of
 * an account the race that compare-and-swap would decide; between processes that still does.
 */
export type Turns = <T>(name: string, work: () => Promise<T>) => Promise<T>

export const createTurns = (): Turns => {
  const last = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const before = last.get(name)
    const mine = before ? before.then(work, work) : work()
    last.set(name, mine)
    const leave = () => {
      if (last.get(name) === mine) last.delete(name)
    }
    mine.then(leave, leave)
    return mine
  }
}
