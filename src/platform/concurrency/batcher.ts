/**
 * Does together what is asked for one by one: what comes within a turn makes a group, and while a group is being worked
 * on the next one gathers. So nobody waits for company, and whoever comes often finds it.
 */
export const createBatcher = <T>(
  work: (group: readonly T[]) => Promise<void>,
): ((one: T) => Promise<void>) => {
  let gathering: { items: T[]; done: Promise<void> } | undefined
  let working = Promise.resolve()

  const begin = (): { items: T[]; done: Promise<void> } => {
    const items: T[] = []
    const before = working
    const done = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => before)
      .then(() => {
        gathering = undefined
        return work(items)
      })
    working = done.catch(() => {})
    return { items, done }
  }

  return (one) => {
    gathering ??= begin()
    gathering.items.push(one)
    return gathering.done
  }
}
