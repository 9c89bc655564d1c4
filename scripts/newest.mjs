// For builds that leave alone what is newer than its sources.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** When the newest file in a folder, or below, was changed, in ms. */
export const newest = (folder, counts = () => true) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(counts)
    .reduce((latest, path) => Math.max(latest, statSync(path).mtimeMs), 0)
