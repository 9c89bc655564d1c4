import { expect, it } from 'vitest'
import { InvariantViolation, invariant } from '../../../src/platform/invariant.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { createMetrics } from '../../../src/server/telemetry/metrics.ts'
import { countingViolations } from '../../../src/server/telemetry/violation-counter.ts'

const violation = (): unknown => {
  try {
    invariant(1 > 2, 'one is above two')
  } catch (error) {
    return error
  }
  return undefined
}

it('counts failed assertions that are logged, also as the cause of another error, and nothing else', async () => {
  const metrics = createMetrics({ log: silent, strict: true })
  const log = countingViolations(silent, metrics)
  log.error({ err: violation() }, 'It failed')
  log.warn({ err: new Error('outer', { cause: violation() }) }, 'It failed')
  log.error({ err: new Error('another') }, 'It failed')
  log.error({}, 'It failed')
  expect(violation()).toBeInstanceOf(InvariantViolation)
  expect(await metrics.text()).toContain('belfry_invariant_violations_total 2')
})
