import { fileURLToPath } from 'node:url'

/** The built command: the same file from `src/cli` and from `dist/cli`, where the build puts all parts of the command. */
export const COMMAND_FILE = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
