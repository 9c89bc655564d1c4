/** The log of worlds inside test processes, written down for the search at the end of the run. */
import { type Log, silent } from '../../../src/platform/telemetry.ts'
import { createLog } from '../../../src/server/telemetry/log.ts'
import { capture, isCapturing } from './record.mjs'

/** As an operator sees it at the lowest level. */
export const capturedLog: Log = isCapturing ? createLog('debug', (line) => capture('log', line)) : silent

/** For a test that wants to see what is logged, too. */
export const alsoCaptured = (log: Log): Log => {
  const both =
    (level: keyof Log) =>
    (fields: Record<string, unknown>, sentence: string): void => {
      capturedLog[level](fields, sentence)
      log[level](fields, sentence)
    }
  return { debug: both('debug'), info: both('info'), warn: both('warn'), error: both('error') }
}
