/** Lines of the log as people read them on a terminal. Loaded only there, and not bundled: other starts do not pay for it. */
import { createRequire } from 'node:module'

/** Writes what is given, a line of JSON, to stderr in words. */
export const prettyLines = (): ((line: string) => void) => {
  const { prettyFactory }: typeof import('pino-pretty') = createRequire(import.meta.url)('pino-pretty')
  const format = prettyFactory({
    colorize: process.stderr.hasColors?.() ?? false,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'service',
    singleLine: true,
  })
  return (line) => void process.stderr.write(format(line))
}
