import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { readConfig } from '../../src/server/config/config.ts'
import { SETTING_NAMES, settingOf } from '../../src/server/config/settings.ts'
import { eventually } from '../support/eventually.ts'
import { findRedis, startRedis } from '../support/redis.ts'

const read = (file: string) => parse(readFileSync(file, 'utf8'), { merge: true })
const compose = read('docker-compose.yml')
const onCluster = read('docker-compose.cluster.yml')
const SERVERS = ['relay', 'notify', 'sessions']
const nginx = readFileSync('deploy/nginx.conf', 'utf8')

/** What `extends` makes of a service that adds to nothing but the environment. */
const extended = (service: { extends: { file: string; service: string }; environment?: object }) => {
  const { extends: from, environment, ...rest } = service
  expect([from.file, rest]).toEqual(['docker-compose.yml', {}])
  const base = compose.services[from.service]
  return { ...base, environment: { ...base.environment, ...environment } }
}

const redisKeepsEverything = (redis: typeof compose.services.redis) => {
  const command = redis.command.join(' ')
  expect(command).toMatch(
    /appendonly yes --appendfsync everysec --maxmemory \S+ --maxmemory-policy noeviction$/,
  )
  // What the container may use leaves room above maxmemory.
  expect([redis.mem_limit, command]).toEqual([
    `\${REDIS_MEMORY:-2gb}`,
    expect.stringContaining(`\${REDIS_MAXMEMORY:-1gb}`),
  ])
  expect(redis.healthcheck.test).toEqual(['CMD-SHELL', 'redis-cli ping | grep -q PONG'])
  // Redis is nobody's business outside.
  expect(redis.ports).toBeUndefined()
  expect(redis.volumes).toEqual([expect.stringMatching(/^redis-.*data:\/data$/)])
}

it('docker-compose.yml runs two relays and two notify servers behind one address, on one Redis', () => {
  expect(Object.keys(compose.services)).toEqual(['relay', 'notify', 'sessions', 'front', 'redis'])
  const { relay, notify, sessions, front, redis } = compose.services
  for (const service of [relay, notify, sessions]) {
    expect(service.deploy.replicas).toBe(service === sessions ? 1 : 2)
    expect(service.ports).toBeUndefined()
    // Replicas would take the directory away from each other.
    expect(service.volumes).toBeUndefined()
    expect(service.tmpfs).toEqual(['/data:uid=1000,gid=1000,mode=0700'])
    expect(service.environment.REDIS_URL).toBe('redis://redis:6379')
    expect(service.environment.BELFRY_SECRET).toContain(':?')
    // The front stands in Docker's network.
    expect(service.environment.BELFRY_TRUSTED_PROXIES).toBe('private')
    expect(service.environment.BELFRY_METRICS).toBe('0.0.0.0:9464')
  }
  expect(relay.environment.BELFRY_ALIASES).toBe(notify.environment.BELFRY_RELAY_URL)
  expect(front.ports).toEqual(['8080:8080'])
  redisKeepsEverything(redis)
})

it.each([
  ['docker-compose.yml', SERVERS.map((name) => compose.services[name])],
  ['docker-compose.cluster.yml', SERVERS.map((name) => extended(onCluster.services[name]))],
])('of %s one service builds the image, and the others wait for it', (_, services) => {
  expect(new Set(services.map(({ image }) => image))).toEqual(new Set(['belfry']))
  const builders = services.filter(({ build }) => build !== undefined)
  expect(builders).toEqual([expect.objectContaining({ build: '.', pull_policy: 'build' })])
  for (const service of services.filter((each) => !builders.includes(each))) {
    expect(service.pull_policy).toBe('never')
  }
})

it('docker-compose.cluster.yml runs the same servers on a Redis Cluster of three masters', () => {
  const { relay, notify, sessions, front, 'redis-init': init, ...nodes } = onCluster.services
  const names = ['redis-1', 'redis-2', 'redis-3']
  expect(Object.keys(nodes)).toEqual(names)
  const addresses: string[] = []
  for (const [name, node] of Object.entries<typeof nodes.redis>(nodes)) {
    redisKeepsEverything(node)
    expect(node.volumes).toEqual([`${name}-data:/data`])
    expect(Object.keys(onCluster.volumes)).toContain(`${name}-data`)
    expect(node.command.join(' ')).toContain('--cluster-enabled yes')
    addresses.push(node.networks.default.ipv4_address)
    expect(init.depends_on[name].condition).toBe('service_healthy')
  }
  expect(new Set(addresses).size).toBe(3)
  for (const address of addresses) expect(init.command.join(' ')).toContain(`${address}:6379`)
  for (const service of [relay, notify, sessions].map(extended)) {
    expect(service.environment.REDIS_URL).toBe(
      `redis+cluster://${names.map((name) => `${name}:6379`).join(',')}`,
    )
    expect(service.deploy.replicas).toBe(service.environment.BELFRY_ROOMS === 'sessions' ? 1 : 2)
    // Services that the file does not have could not be waited for.
    expect(service.depends_on).toBeUndefined()
  }
  expect(extended(front).depends_on).toEqual(['relay', 'notify', 'sessions'])
})

it.each([
  ['docker-compose.yml', SERVERS.map((name) => compose.services[name])],
  ['docker-compose.cluster.yml', SERVERS.map((name) => extended(onCluster.services[name]))],
])('%s gives the servers time to stop, and only settings that there are and that agree', (_, services) => {
  const names = SETTING_NAMES.map((name) => settingOf(name).env)
  for (const { stop_grace_period, environment } of services) {
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

it('the front shows no tokens in its log, and lets nobody at the admin routes', () => {
  expect(nginx).not.toMatch(/\$request_uri|\$request\b|\$args/)
  // Of what is logged, only the map knows the path, and it hides that of the queues.
  expect(nginx.match(/log_format .*/g)).toEqual([expect.not.stringContaining('$uri')])
  expect(nginx).toMatch(/~\*\^\/\+mq\\b \/mq\/;/)
  const [, pattern = ''] = /location ~ (\S+) \{ return 404; \}/.exec(nginx) ?? []
  const isClosed = (path: string) => new RegExp(pattern).test(path)
  expect(['/admin', '/admin/apps', '/admin/keys/x'].filter(isClosed)).toHaveLength(3)
  // Projects may have names like that.
  expect(['/', '/rpc', '/administration/notify', '/x/admin/apps'].filter(isClosed)).toEqual([])
})

it('the init container makes the cluster once, and leaves it alone after that', {
  timeout: 60_000,
}, async () => {
  const { command } = onCluster.services['redis-1']
  const config = command
    .slice(1)
    .map((word: string) => (word.startsWith('${REDIS_MAXMEMORY') ? '100mb' : word))
  const { cli } = await findRedis()
  await using owned = createReleaseStack()
  let script: string = onCluster.services['redis-init'].command.at(-1)
  for (const at of [1, 2, 3]) {
    const { port } = owned.use(await startRedis({ config }))
    const { ipv4_address } = onCluster.services[`redis-${at}`].networks.default
    script = script
      .replaceAll(`${ipv4_address}:6379`, `127.0.0.1:${port}`)
      .replaceAll(`-h ${ipv4_address} -p 6379`, `-h 127.0.0.1 -p ${port}`)
  }
  const env = { PATH: [dirname(cli), process.env.PATH].join(delimiter) }
  const init = async () => (await promisify(execFile)('sh', ['-c', script], { env })).stdout
  expect(await init()).toContain('All 16384 slots covered')
  await eventually(async () => expect(await init()).toBe(''))
})
