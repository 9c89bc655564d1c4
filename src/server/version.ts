/** This package: where it is, and its version, as package.json has it. */
import { readFileSync } from 'node:fs'
import * as z from 'zod'

/** The same from `src/server`, from `dist/server` and from the bundle in `dist/cli`. */
export const PACKAGE = new URL('../../', import.meta.url)

export const readVersion = (): string =>
  z.object({ version: z.string() }).parse(JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8')))
    .version
