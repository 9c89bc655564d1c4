/** A row that cannot be what was written. */
export class DamagedRow extends Error {
  constructor(table: string, reason: string) {
    super(`A row of the table ${table} is damaged: ${reason}`)
    this.name = 'DamagedRow'
  }
}

/** For what goes over many rows and must not stop at one: nothing, where the row is damaged. */
export const ifWhole = <T>(
  read: () => T,
  onDamage: (error: DamagedRow) => void = () => {},
): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DamagedRow)) throw error
    onDamage(error)
    return undefined
  }
}
