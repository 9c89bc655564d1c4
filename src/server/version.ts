/** The version of this package, as package.json has it. */
import { readFileSync } from 'node:fs'
import * as z from 'zod'

/** The same file from `src/server`, from `dist/server` and from the bundle in `dist/cli`. */
const PACKAGE = new URL('../../package.json', import.meta.url)

export const readVersion = (): string =>
  z.object({ version: z.string() }).parse(JSON.parse(readFileSync(PACKAGE, 'utf8'))).version
