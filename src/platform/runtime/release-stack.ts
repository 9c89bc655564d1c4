/**
 * What was acquired, to be released in the reverse order: AsyncDisposableStack, which Node 20 does not have yet.
 *
 * Everything is released, also when something of it fails; the first failure is thrown at the end.
 */
import { invariant } from '../invariant.ts'

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
  /** What is acquired after the release has begun would be released by nobody. */
  const push = (release: () => void | PromiseLike<void>): void => {
    invariant(releasing === undefined, 'Nothing is acquired after the release has begun')
    held.push(release)
  }
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
      push(() => (Symbol.asyncDispose in thing ? thing[Symbol.asyncDispose]() : thing[Symbol.dispose]()))
      return thing
    },
    defer: push,
    [Symbol.asyncDispose]() {
      releasing ??= releaseAll()
      return releasing
    },
  }
}
