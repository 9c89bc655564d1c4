/** What a file of tests shares is ended after its last test: see setup.ts. */
const endings: (() => Promise<void>)[] = []

export const atEndOfFile = (end: () => Promise<void>): void => void endings.push(end)

export const endOfFile = async (): Promise<void> => {
  for (const end of endings.splice(0)) await end()
}
