/**
 * What was acquired, to be released in the reverse order: AsyncDisposableStack, which Node 20 does not have yet.
 *
 * Everything is released, also when something of it fails; the first failure is thrown at the end.
 */
export interface ReleaseStack extends AsyncDisposable {
  /** Takes charge of the thing and hands it back. */
  use<T extends AsyncDisposable | Disposable>(thing: T): T
  /** Runs at the release. */
  defer(release: () => void | Promise<void>): void
  [Symbol.asyncDispose](): Promise<void>
}

export const createReleaseStack = (): ReleaseStack => {
  const held: (() => void | PromiseLike<void>)[] = []
  let releasing: Promise<void> | undefined
  const releaseAll = async () => {
    const failures: unknown[] = []
    for (let release = held.pop(); release; release = held.pop()) {
      try {
        await release()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
  return {
    use(thing) {
      held.push(() => (Symbol.asyncDispose in thing ? thing[Symbol.asyncDispose]() : thing[Symbol.dispose]()))
      return thing
    },
    defer: (release) => void held.push(release),
    [Symbol.asyncDispose]() {
      releasing ??= releaseAll()
      return releasing
    },
  }
}
