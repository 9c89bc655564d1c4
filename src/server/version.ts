import { readFileSync } from 'node:fs'
import * as z from 'zod'

/** Of the package. The same file from `src/server`, `dist/server` and the bundle. */
export const packageVersion = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}
