/** A property of a global object is replaced, and given back. */

export type Undo = () => void

/** Does nothing where the property is absent, as in another kind of browser. `make` is given what was there. */
export const replaceProperty = (
  owner: object,
  name: string,
  make: (before: PropertyDescriptor) => PropertyDescriptor,
): Undo => {
  const before = Object.getOwnPropertyDescriptor(owner, name)
  if (!before?.configurable) return () => {}
  const after = make(before)
  Object.defineProperty(owner, name, after)
  return () => {
    const present = Object.getOwnPropertyDescriptor(owner, name)
    // Somebody else has replaced it since, and calls ours: it stays, and moves nothing any more.
    if (present?.value !== after.value || present?.set !== after.set) return
    Object.defineProperty(owner, name, before)
  }
}

/** The same for a method or a constructor. */
export const replaceFunction = (
  owner: object,
  name: string,
  make: (before: (...args: unknown[]) => unknown) => unknown,
): Undo =>
  replaceProperty(owner, name, (before) => {
    const { value } = before
    return typeof value === 'function' ? { ...before, value: make(value) } : before
  })
