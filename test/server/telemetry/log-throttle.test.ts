import { expect, it } from 'vitest'
import type { Log } from '../../../src/platform/telemetry.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { throttleLog } from '../../../src/server/telemetry/log-throttle.ts'
import { manualClock } from '../../support/clock.ts'

it('writes one line in ten seconds of those that say that the store is away, and everything else', async () => {
  const clock = manualClock()
  const lines: [string, Record<string, unknown>][] = []
  const write: Log['warn'] = (fields, sentence) => void lines.push([sentence, fields])
  const log = throttleLog({ debug: write, info: write, warn: write, error: write }, clock)
  const away = { err: new ProtocolError('unavailable', 'Redis does not answer') }
  for (let at = 0; at < 1_000; at++) {
    log.warn(away, 'A request was refused')
    log.error(away, 'A mailbox could not be read')
  }
  expect(lines).toEqual([
    ['A request was refused', away],
    ['A mailbox could not be read', away],
  ])
  await clock.advance(10_000)
  log.warn(away, 'A request was refused')
  expect(lines[2]).toEqual(['A request was refused', { ...away, leftOut: 999 }])

  lines.length = 0
  const defect = { err: new Error('a defect') }
  for (let at = 0; at < 3; at++) {
    log.error(defect, 'A request failed')
    log.error({ err: new ProtocolError('forbidden') }, 'A request failed')
    log.info(away, 'HTTP')
  }
  expect(lines).toHaveLength(9)
})
