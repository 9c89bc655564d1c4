/** The Helm chart: its documents are Kubernetes', fit together, and a server starts on what they say. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { Deployment, StatefulSet } from 'kubernetes-models/apps/v1'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Secret, Service } from 'kubernetes-models/v1'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { SETTING_NAMES, settingOf } from '../../src/server/config/settings.ts'
import { findOrInstall, INSTALL_TIMEOUT } from '../support/debian.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { createRenderer, type Document } from './helm/chart.ts'

const run = promisify(execFile)
const SLOW = INSTALL_TIMEOUT + 60_000
const SECRET = 'ab'.repeat(32)

/** Each is a way to run it: what an operator says beside the chart's own values. */
const RUNS: Record<string, object> = {
  'one process': {},
  'one process behind an ingress with TLS, on a secret and a disk of its own': {
    publicUrl: 'https://belfry.example.com',
    secret: { existing: 'mine' },
    persistence: { size: '1Gi', storageClass: 'fast' },
    ingress: { enabled: true, className: 'nginx', tlsSecret: 'tls', annotations: { 'a.example/b': '3600' } },
    settings: { BELFRY_LOG_LEVEL: 'warn', BELFRY_DISK_RESERVE: 64 },
    tolerations: [{ key: 'a', operator: 'Exists' }],
    nodeSelector: { disk: 'ssd' },
    podAnnotations: { 'a.example/b': 'c' },
    imagePullSecrets: [{ name: 'registry' }],
  },
  'one process without a disk, at an address of its own': {
    persistence: { enabled: false },
    service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
    metrics: { podMonitor: true },
  },
  'many processes': {
    publicUrl: 'https://belfry.example.com',
    redis: { url: 'redis://redis:6379' },
    secret: { value: SECRET },
    settings: { BELFRY_ALIASES: 'https://relay.walletconnect.com' },
  },
  'many processes on a secret of the operator': {
    redis: { url: 'secret' },
    secret: { existing: 'mine' },
    relay: { replicas: 1 },
  },
}
const RUN_NAMES = Object.keys(RUNS)

const Env = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ secretKeyRef: z.object({ name: z.string(), key: z.string() }) }).optional(),
})
const Labels = z.record(z.string(), z.string())
const Named = z.object({ name: z.string() })
const Container = z.object({
  env: z.array(Env).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
  volumeMounts: z.array(Named),
})
const Workload = z.object({
  spec: z.object({
    selector: z.object({ matchLabels: Labels }),
    template: z.object({
      metadata: z.object({ labels: Labels }),
      spec: z.object({ containers: z.tuple([Container]), volumes: z.array(Named) }),
    }),
    volumeClaimTemplates: z.array(z.object({ metadata: Named })).default([]),
  }),
})
const Routed = z.object({
  spec: z.object({ selector: Labels, ports: z.array(z.object({ targetPort: z.string() })) }),
})

let dir: string
let render: (values: object) => Promise<Document[]>
const rendered = new Map<string, Document[]>()
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-helm-'))
  render = await createRenderer(dir)
  for (const name of RUN_NAMES) rendered.set(name, await render(RUNS[name] ?? {}))
}, SLOW)
afterAll(() => rm(dir, { recursive: true, force: true }))

const documentsOf = (name: string): Document[] => rendered.get(name) ?? []
const workloadsOf = (name: string) =>
  documentsOf(name)
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map((one) => {
      const { spec } = Workload.parse(one)
      const [container] = spec.template.spec.containers
      return { name: one.metadata.name, spec, container }
    })

/** What a pod would have in its environment, with secrets of this test. */
const envOf = (name: string, workload: string, secrets: Record<string, string>) => {
  const found = workloadsOf(name).find((one) => one.name === workload)
  const given = (found?.container.env ?? []).flatMap(({ name: key, value, valueFrom }) => {
    const said = value ?? secrets[valueFrom?.secretKeyRef.key ?? '']
    return said === undefined ? [] : [[key, said]]
  })
  return Object.fromEntries(given)
}

const MODELS = { ConfigMap, Secret, Service, Deployment, StatefulSet, Ingress, PodDisruptionBudget }
const isModelled = (kind: string): kind is keyof typeof MODELS => kind in MODELS
/** Of the Prometheus operator, whose schema is in no package here. */
const FOREIGN = ['PodMonitor']

describe('the values', () => {
  it('are what their schema says, which refuses names that there are not', async () => {
    const schema = JSON.parse(await readFile('deploy/helm/belfry/values.schema.json', 'utf8'))
    const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)
    const own: unknown = parse(await readFile('deploy/helm/belfry/values.yaml', 'utf8'))
    for (const values of [own, ...Object.values(RUNS)]) {
      validate(values)
      expect(validate.errors ?? []).toEqual([])
    }
    expect(validate({ publicURL: 'https://belfry.example.com' })).toBe(false)
    expect(validate({ redis: { url: 'http://redis' } })).toBe(false)
    expect(validate({ relay: { replicas: 0 } })).toBe(false)
  })

  it('that cannot work are refused with a sentence', async () => {
    const url = 'redis://redis:6379'
    await expect(render({ redis: { url } })).rejects.toThrow('every process needs the same BELFRY_SECRET')
    await expect(render({ redis: { url: 'secret' }, secret: { value: SECRET } })).rejects.toThrow(
      'redis.url: secret needs secret.existing',
    )
    await expect(render({ redis: { url }, secret: { existing: 'mine' } })).rejects.toThrow(
      'say redis.url=secret',
    )
  })

  it('name the version of Belfry that the chart is of', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'))
    expect(parse(await readFile('deploy/helm/belfry/Chart.yaml', 'utf8')).appVersion).toBe(version)
  })
})

describe.each(RUN_NAMES)('%s', (name) => {
  it('is what Kubernetes takes', () => {
    expect(documentsOf(name).length).toBeGreaterThan(1)
    for (const document of documentsOf(name)) {
      const { kind } = document
      if (FOREIGN.includes(kind)) continue
      if (!isModelled(kind)) throw new Error(`There is no schema of ${kind}.`)
      expect(document.apiVersion).toBe(MODELS[kind].apiVersion)
      MODELS[kind].prototype.validate.call(document)
    }
  })

  it('fits together: labels, ports, volumes, and settings that there are', () => {
    const names = documentsOf(name).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    expect(new Set(names).size).toBe(names.length)
    const known = SETTING_NAMES.map((one) => settingOf(one).env)
    const workloads = workloadsOf(name)
    for (const { spec, container } of workloads) {
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels)
      const volumes = [...spec.template.spec.volumes, ...spec.volumeClaimTemplates.map((one) => one.metadata)]
      expect(container.volumeMounts.map((one) => one.name).sort()).toEqual(
        volumes.map((one) => one.name).sort(),
      )
      const env = container.env.map((one) => one.name)
      expect(new Set(env).size).toBe(env.length)
      for (const one of env) expect(known).toContain(one)
    }
    for (const service of documentsOf(name).filter(({ kind }) => kind === 'Service')) {
      const { selector, ports } = Routed.parse(service).spec
      const [behind, ...more] = workloads.filter(({ spec }) =>
        Object.entries(selector).every(([key, value]) => spec.template.metadata.labels[key] === value),
      )
      expect(more).toEqual([])
      for (const { targetPort } of ports)
        expect(behind?.container.ports.map((one) => one.name)).toContain(targetPort)
    }
  })
})

it('has no field that Kubernetes does not know', { timeout: SLOW }, async () => {
  // Its schemas let unknown fields pass, its types do not.
  const models = Object.keys(MODELS)
    .map((kind) => `I${kind}`)
    .join(', ')
  const checked = RUN_NAMES.flatMap(documentsOf).filter(({ kind }) => isModelled(kind))
  const program = (documents: readonly object[]) =>
    [
      `import type { ${models} } from './models.ts'`,
      ...documents.map(
        (one, at) => `export const d${at}: I${'kind' in one ? one.kind : ''} = ${JSON.stringify(one)}`,
      ),
    ].join('\n')
  const place = await mkdtemp(resolve('node_modules/.belfry-helm-'))
  try {
    const places = ['v1', 'apps/v1', 'networking.k8s.io/v1', 'policy/v1']
    await writeFile(
      join(place, 'models.ts'),
      places.map((at) => `export * from 'kubernetes-models/${at}'`).join('\n'),
    )
    const check = async (documents: readonly object[]) => {
      const file = join(place, 'documents.ts')
      await writeFile(file, program(documents))
      const flags = ['--noEmit', '--strict', '--skipLibCheck', '--allowImportingTsExtensions']
      const modules = ['--module', 'preserve', '--moduleResolution', 'bundler', '--types', 'node']
      const tsc = resolve('node_modules/.bin/tsc')
      return run(tsc, ['--ignoreConfig', ...flags, ...modules, file]).then(
        () => '',
        ({ stdout }) => String(stdout),
      )
    }
    expect(await check(checked)).toBe('')
    const [first] = checked
    expect(await check([{ ...first, specs: {} }])).toContain('specs')
  } finally {
    await rm(place, { recursive: true, force: true })
  }
})

describe('what the pods are told', () => {
  /** Ports of this machine, and the metrics off: tests run beside each other. */
  const start = async (env: Record<string, string>) =>
    // What a server calls itself is its public URL, so the port is chosen here.
    startServerProcess(await mkdtemp(join(dir, 'data-')), { env, port: await freePort() })

  it('starts a single process', async () => {
    const env = envOf('one process', 'b-belfry', {})
    await using server = await start(env)
    expect((await fetch(`${server.url}/ready`)).status).toBe(200)
  })

  it('starts many on one Redis', async () => {
    await using redis = await startRedis()
    const secrets = { secret: SECRET, 'redis-url': redis.url }
    const env = (part: string) => envOf('many processes', `b-belfry-${part}`, secrets)
    await using relay = await start(env('relay'))
    await using sessions = await start(env('sessions'))
    const notifying = env('notify')
    expect(notifying.BELFRY_RELAY_URL).toBe('http://b-belfry-relay:8080')
    await using notify = await start({
      ...notifying,
      BELFRY_RELAY_URL: relay.url,
      BELFRY_ALIASES: relay.url,
    })
    for (const { url } of [relay, sessions, notify]) expect((await fetch(`${url}/ready`)).status).toBe(200)
  })

  it('has a front that nginx takes, led to the services of the release', { timeout: SLOW }, async () => {
    const nginx = await findOrInstall({
      variable: 'NGINX',
      names: ['nginx', '/usr/sbin/nginx'],
      package: 'nginx-light',
    })
    const map = documentsOf('many processes').find(({ kind }) => kind === 'ConfigMap')
    const { data } = z.object({ data: z.object({ 'nginx.conf': z.string() }) }).parse(map)
    const conf = data['nginx.conf']
    for (const part of ['relay', 'notify', 'sessions'])
      expect(conf).toContain(`http://b-belfry-${part}.here.svc.cluster.local:8080`)
    expect(conf).not.toMatch(/127\.0\.0\.11|\/\/(relay|notify|sessions):/)
    const file = join(dir, 'nginx.conf')
    // The cluster's name server has no name here.
    const here = conf
      .replace('kube-dns.kube-system.svc.cluster.local', '127.0.0.1')
      .replaceAll(/\/dev\/std\w+/g, join(dir, 'nginx.log'))
    await writeFile(file, here)
    await run(nginx, ['-t', '-c', file])
  })
})
