import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { silent } from '../../../src/platform/telemetry.ts'
import { createLog } from '../../../src/server/telemetry/log.ts'
import { createMetrics, METRICS } from '../../../src/server/telemetry/metrics.ts'

const KINDS = { count: 'counter', gauge: 'gauge', observe: 'histogram' } as const

/** Every use of a meter in src/: `meter.count('name', …`, or of the metrics themselves. */
const uses = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => {
    const text = readFileSync(join('src', file), 'utf8')
    return [...text.matchAll(/(?:meter|metrics)\.(count|gauge|observe)\(\s*([^,)]*)/g)].map(
      ([, how, name]) => ({
        file,
        how,
        name,
      }),
    )
  })

describe('what the rooms measure', () => {
  it.each(uses)('$file: $how($name) is declared, as what it is', ({ how, name = '' }) => {
    const literal = /^'(\w+)'$/.exec(name)?.[1]
    expect(literal, 'a name is written out where it is used').toBeDefined()
    const declared = METRICS[literal ?? '']
    expect(declared).toBeDefined()
    expect(declared?.type).toBe(Object.entries(KINDS).find(([verb]) => verb === how)?.[1])
  })

  it('is all that is declared', () => {
    const measured = new Set(uses.map(({ name }) => name?.replaceAll("'", '')))
    expect(Object.keys(METRICS).filter((name) => !measured.has(name))).toEqual([])
  })
})

describe('the meter', () => {
  it('tells Prometheus', async () => {
    const metrics = createMetrics({ log: silent, strict: true })
    metrics.count('relay_requests_total', { method: 'irn_publish' }, 3)
    metrics.gauge('relay_connections', 7)
    metrics.observe('relay_publish_seconds', 0.002)
    const text = await metrics.text()
    expect(text).toContain('belfry_relay_requests_total{method="irn_publish"} 3')
    expect(text).toContain('belfry_relay_connections 7')
    expect(text).toContain('belfry_relay_publish_seconds_bucket{le="0.0025"} 1')
    expect(metrics.contentType).toContain('text/plain')
  })

  it('refuses names, kinds and labels that are not declared', () => {
    const metrics = createMetrics({ log: silent, strict: true })
    expect(() => metrics.count('no_such_total')).toThrow('no_such_total is not declared')
    expect(() => metrics.count('relay_connections')).toThrow('not declared')
    expect(() => metrics.count('relay_requests_total')).toThrow('labels method')
    expect(() => metrics.gauge('relay_connections', 1, { who: 'x' })).toThrow('labels none')
  })

  it('bounds the values of labels of which there may be many', async () => {
    const metrics = createMetrics({ log: silent, strict: true })
    for (let at = 0; at < 250; at++) metrics.count('notify_project_sent_total', { project: `p${at}` })
    metrics.count('notify_project_sent_total', { project: 'p7' })
    const lines = (await metrics.text()).split('\n').filter((line) => line.includes('project_sent_total{'))
    expect(lines).toHaveLength(101)
    expect(lines).toContain('belfry_notify_project_sent_total{project="p7"} 2')
    expect(lines).toContain('belfry_notify_project_sent_total{project="other"} 150')
  })

  it('says so once in production, and goes on', () => {
    const lines: string[] = []
    const metrics = createMetrics({ log: createLog('info', (line) => lines.push(line)) })
    metrics.count('no_such_total')
    metrics.count('no_such_total')
    expect(lines).toHaveLength(1)
  })
})
