/**
 * What a server that was started with nothing but its defaults shows to others: on the network, in the file system, to a
 * browser, and to whoever reads what it writes.
 *
 * `BELFRY_UNDER_TEST` names the `dist` of another checkout.
 */
import { spawn } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { COMMAND, type ServerProcess, startServerProcess } from '../support/process.ts'
import { enrol, temporaryHome } from '../support/story.ts'

/** Empty is unset. */
const DEFAULTS = {
  BELFRY_LIMITS: '',
  BELFRY_BUDGETS: '',
  BELFRY_METRICS: '',
  BELFRY_HOST: '',
  BELFRY_PUBLIC_URL: '',
  BELFRY_SECRET: '',
  REDIS_URL: '',
}
/** Whatever is not asked for by its mode is open to all. */
const CARELESS = ['sh', '-c', 'umask 0; exec "$@"', 'sh']

const Ready = z.object({ ready: z.literal(true), url: z.string(), metrics: z.string() })
const Lock = z.object({ pid: z.number() })
const readyIn = (output: string) => {
  const line = output.split(/\r?\n/).find((one) => one.startsWith('{"ready":true'))
  return Ready.parse(JSON.parse(line ?? 'null'))
}

/** Of this machine, beside 127.0.0.1. */
const otherAddresses = (): string[] => [
  '127.0.0.2',
  ...Object.values(networkInterfaces()).flatMap((all = []) =>
    all.flatMap(({ family, internal, address }) => (family === 'IPv4' && !internal ? [address] : [])),
  ),
]

/** The status, or why there is none. */
const outcomeAt = (url: URL): Promise<unknown> =>
  fetch(url).then(
    ({ status }) => status,
    ({ cause }: { cause: { code: string } }) => cause.code,
  )

const everythingIn = (path: string): string[] => [
  path,
  ...(lstatSync(path).isDirectory()
    ? readdirSync(path).flatMap((name) => everythingIn(join(path, name)))
    : []),
]

// Only Linux has all of 127.0.0.0/8 on its loopback interface.
describe.skipIf(process.platform !== 'linux')(
  'a server that starts for the first time, with its defaults',
  () => {
    const owned = createReleaseStack()
    let home: string
    let data: string
    let server: ServerProcess
    let secret: string
    beforeAll(async () => {
      home = owned.use(await temporaryHome()).path
      data = join(home, 'data')
      const how = { metrics: null, env: DEFAULTS, launcher: CARELESS }
      server = owned.use(await startServerProcess(data, how))
      secret = (await enrol(data, 'app.example')).secret
    })
    afterAll(() => owned[Symbol.asyncDispose]())

    it('tells its metrics to this machine, at no other address, and not on the main port', async () => {
      const { url, metrics } = readyIn(server.output())
      expect((await fetch(metrics)).status).toBe(200)
      expect((await fetch(`${server.url}/metrics`)).status).toBe(404)
      for (const address of otherAddresses()) {
        const at = (where: string) => Object.assign(new URL(where), { hostname: address })
        // This one is reached there.
        expect((await fetch(new URL('/health', at(url)))).status).toBe(200)
        expect(await outcomeAt(at(metrics)), address).toBe('ECONNREFUSED')
      }
    })

    it('lets nobody else read a file of its directory, whatever the umask is', () => {
      const all = everythingIn(data)
      const names = all.map((path) => relative(data, path))
      expect(names).toEqual(expect.arrayContaining(['secret', 'admin.json', 'store', 'store/data.mdb']))
      expect(all.filter((path) => (lstatSync(path).mode & 0o077) !== 0)).toEqual([])
    })

    it('serves a page of the API that loads its own scripts alone, and a browser keeps to that', async () => {
      const page = await fetch(`${server.url}/docs`)
      const scripts = (await page.text()).match(/<script[^>]*>/g) ?? []
      const sources = scripts.map((tag) => /src="([^"]*)"/.exec(tag)?.[1])
      expect(sources).toEqual(['/docs/page.js', '/docs/reference.js'])
      const policy = (page.headers.get('content-security-policy') ?? '').split('; ')
      expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'"]))
      for (const source of sources) expect((await fetch(server.url + source)).status, source).toBe(200)
    })

    it('writes no secret where it is kept, and that it has no public URL', () => {
      expect(server.output()).toContain('for the first time')
      expect(server.output().includes(secret)).toBe(false)
      expect(server.output()).toContain('BELFRY_PUBLIC_URL is not set')
    })

    it('shows the secret of its project to whoever sits at the terminal', async () => {
      const line = [process.execPath, COMMAND, 'serve', '--port', '0', '--data', join(home, 'other')].join(
        ' ',
      )
      const child = spawn('script', ['-qec', line, '/dev/null'], {
        ...{ stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...DEFAULTS } },
      })
      let screen = ''
      await new Promise<void>((resolve, reject) => {
        child.stdout?.setEncoding('utf8').on('data', (text) => {
          screen += text
          if (screen.includes('Belfry is ready at')) resolve()
        })
        child.once('close', (code) => reject(new Error(`It ended with ${code}: ${screen}`)))
      })
      const { secret: own } = await enrol(join(home, 'other'), 'app.example')
      const ended = new Promise((resolve) => child.once('close', resolve))
      const { pid } = Lock.parse(JSON.parse(readFileSync(join(home, 'other', 'lock'), 'utf8')))
      process.kill(pid, 'SIGTERM')
      await ended
      expect(screen).toContain(own)
    })
  },
)
