import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../src/server/config.ts'
import { SETTING_NAMES, settingOf } from '../../src/server/settings.ts'

const compose = parse(readFileSync('docker-compose.redis.yml', 'utf8'), { merge: true })

it('docker-compose.redis.yml runs two relays and two notify servers behind one address, on one Redis', () => {
  expect(Object.keys(compose.services)).toEqual(['relay', 'notify', 'front', 'redis'])
  const { relay, notify, front, redis } = compose.services
  for (const service of [relay, notify]) {
    expect(service.build).toBe('.')
    expect(service.deploy.replicas).toBe(2)
    expect(service.ports).toBeUndefined()
    // Replicas would take the directory away from each other.
    expect(service.volumes).toBeUndefined()
    expect(service.environment.REDIS_URL).toBe('redis://redis:6379')
    expect(service.environment.BELFRY_SECRET).toContain(':?')
  }
  expect(relay.environment.BELFRY_ALIASES).toBe(notify.environment.BELFRY_RELAY_URL)
  expect(front.ports).toEqual(['8080:8080'])
  expect(readFileSync('deploy/nginx.conf', 'utf8')).not.toMatch(/\$request_uri|\$request\b|\$args/)
  // Redis is nobody's business outside, and never drops data to make room.
  expect(redis.ports).toBeUndefined()
  expect(redis.volumes).toEqual(['redis-data:/data'])
  expect(redis.command.join(' ')).toMatch(
    /appendonly yes --appendfsync everysec --maxmemory \S+ .*noeviction/,
  )
})

it('docker-compose.redis.yml gives the servers time to stop, and only settings that there are and that agree', () => {
  const names = SETTING_NAMES.map((name) => settingOf(name).env)
  for (const { stop_grace_period, environment } of [compose.services.relay, compose.services.notify]) {
    expect(Number.parseInt(stop_grace_period, 10)).toBeGreaterThan(10)
    for (const name of Object.keys(environment)) expect(names).toContain(name)
    const given = {
      ...environment,
      BELFRY_SECRET: 'x'.repeat(32),
      BELFRY_PUBLIC_URL: '',
      BELFRY_LOG_LEVEL: '',
    }
    expect(() => readConfig({}, given)).not.toThrow()
  }
})
