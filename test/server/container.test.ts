import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../src/server/config/config.ts'
import { SETTING_NAMES, settingOf } from '../../src/server/config/settings.ts'

const compose = parse(readFileSync('docker-compose.single.yml', 'utf8'))
const dockerfile = readFileSync('Dockerfile', 'utf8')

it('docker-compose.single.yml runs one Belfry on its embedded store, all of it on a volume', () => {
  expect(Object.keys(compose.services)).toEqual(['belfry'])
  const { belfry } = compose.services
  expect(belfry.build).toBe('.')
  expect(belfry.ports).toEqual(['8080:8080'])
  expect(belfry.volumes).toEqual(['belfry-data:/data'])
  expect(Object.keys(compose.volumes)).toEqual(['belfry-data'])
  expect(belfry.environment.REDIS_URL).toBeUndefined()
  expect(belfry.environment.BELFRY_METRICS).toBe('0.0.0.0:9464')
})

it('docker-compose.single.yml gives the server time to stop, and only settings that there are', () => {
  const { belfry } = compose.services
  expect(Number.parseInt(belfry.stop_grace_period, 10)).toBeGreaterThan(10)
  const names = SETTING_NAMES.map((name) => settingOf(name).env)
  for (const name of Object.keys(belfry.environment)) expect(names).toContain(name)
  // What a shell would make of its variables when none is set.
  const given = Object.fromEntries(
    Object.entries<string>(belfry.environment).map(([name, value]) => [
      name,
      value.replace(/^\$\{\w+:-(.*)\}$/, '$1'),
    ]),
  )
  expect(() => readConfig({}, given)).not.toThrow()
})

it('the image holds what runs, runs as nobody special, and says how it is', () => {
  const [, runtime = ''] = dockerfile.split(/^FROM .*slim$/m)
  expect(dockerfile.match(/^FROM /gm)).toHaveLength(2)
  expect(runtime).toMatch(/^USER node$/m)
  expect(runtime).toMatch(/^HEALTHCHECK /m)
  expect(runtime).toContain('/ready')
  expect(runtime).toContain('BELFRY_DATA=/data')
  expect(runtime).toMatch(/^CMD \["node", "dist\/cli\/main.js", "serve"\]$/m)
  expect(runtime).not.toMatch(/COPY (?!--from=build)/)
  expect(dockerfile).not.toMatch(/SECRET|TOKEN/)
  // Bases of one exact version, and no compiler in what is copied.
  for (const [, base] of dockerfile.matchAll(/^FROM (\S+)/gm))
    expect(base).toMatch(/^node:\d+\.\d+\.\d+-\w+-slim$/)
  expect(dockerfile).toMatch(/npm prune --omit=dev.*\\\n.*rm -rf node_modules\/typescript/)
})
