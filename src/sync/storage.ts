/** Where a device stores what must survive a restart: texts by name. */
export interface KeyValues {
  /** Everything, once at the start. */
  load(): Promise<Iterable<readonly [name: string, value: string]>>
  /**
   * Puts values, and removes the names whose value is undefined: all of it or nothing, whatever happens meanwhile.
   * Resolves when it will be there after a crash. Not called again before that.
   */
  write(changes: ReadonlyMap<string, string | undefined>): Promise<void>
}

/**
 * A storage that does not survive a restart: for devices that store nothing, and for tests.
 *
 * @param values what it begins with; they are changed
 * @returns the storage
 */
export const memoryStorage = (values = new Map<string, string>()): KeyValues => ({
  load: async () => [...values],
  async write(changes) {
    for (const [name, value] of changes) {
      if (value === undefined) values.delete(name)
      else values.set(name, value)
    }
  },
})

/** Collects changes while a write is under way, so that many become durable together, in their order. */
export interface Journal {
  note(name: string, value: string | undefined): void
  /** Resolves when everything that was noted so far is durable. Rejects where the write fails; the next one tries again. */
  saved(): Promise<void>
}

export const createJournal = (storage: Pick<KeyValues, 'write'>): Journal => {
  let noted = new Map<string, string | undefined>()
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  let isWriting = false

  const run = async (): Promise<void> => {
    isWriting = true
    // The rest of this tick joins the first write.
    await undefined
    while (waiting.length > 0) {
      const [changes, callers] = [noted, waiting]
      noted = new Map()
      waiting = []
      try {
        await storage.write(changes)
        for (const { resolve } of callers) resolve()
      } catch (error) {
        // A later change of a name wins over the one that failed.
        noted = new Map([...changes, ...noted])
        for (const { reject } of callers) reject(error)
      }
    }
    isWriting = false
  }

  return {
    note: (name, value) => void noted.set(name, value),
    saved: () =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
        if (!isWriting) void run()
      }),
  }
}
