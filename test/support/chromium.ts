import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import { findOrInstall } from './debian.ts'

/** A Chromium without a window, driven over its DevTools pipe. It reaches 127.0.0.1 and nothing else. */
export interface Chromium extends AsyncDisposable {
  version: string
  /** Opens the address in a new tab and resolves when it is loaded. */
  open(url: string): Promise<Page>
  /** The service worker of an origin that a page has registered. */
  workerOf(page: Page, origin: string): Promise<ServiceWorker>
}

export interface ServiceWorker {
  /** The value of the expression in the worker. */
  evaluate(expression: string): Promise<unknown>
  /** Has the worker get a push, as from the push service, with what the browser would have decrypted. */
  push(data: string): Promise<void>
}

export interface Page {
  readonly sessionId: string
  /** The value of the expression, or of its promise, as JSON carries it. Rejects with what the page threw. */
  evaluate(expression: string): Promise<unknown>
  /** What the page wrote to its console, what it did not catch, and what its policy refused, so far. */
  console(): string[]
  /** The address of each request that the page made, so far. */
  requests(): string[]
}

export const findChromium = () =>
  findOrInstall({
    variable: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    package: 'chromium',
  })

const FLAGS = [
  '--headless',
  // Tests run as root in containers, where the sandbox cannot be had, and /dev/shm is small.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--no-default-browser-check',
  '--password-store=basic',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--remote-debugging-pipe',
]
const GOODBYE = 5_000

const message = z.union([
  z.object({ id: z.number(), result: z.unknown() }),
  z.object({ id: z.number(), error: z.object({ message: z.string() }) }),
  z.object({ method: z.string(), params: z.unknown(), sessionId: z.string().optional() }),
])
const version = z.object({ product: z.string() })
const target = z.object({ targetId: z.string() })
const session = z.object({ sessionId: z.string() })
const thrown = z.object({
  text: z.string(),
  exception: z.object({ description: z.string().optional() }).optional(),
})
const evaluated = z.object({
  result: z.object({ value: z.unknown().optional() }),
  exceptionDetails: thrown.optional(),
})
const logged = z.object({
  type: z.string(),
  args: z.array(z.object({ value: z.unknown().optional(), description: z.string().optional() })),
})
const uncaught = z.object({ exceptionDetails: thrown })
const requested = z.object({ request: z.object({ url: z.string() }) })

const sentenceOf = ({ text, exception }: z.infer<typeof thrown>) => exception?.description ?? text

type Listener = (method: string, params: unknown, sessionId: string | undefined) => void

/** DevTools protocol: JSON messages, each ended by a zero byte, in on descriptor 3 and out on 4. */
const createDevTools = (child: ChildProcess, ended: Promise<string>) => {
  const [, , , input, output] = child.stdio
  if (!(input instanceof Writable && output instanceof Readable)) throw new Error('Chromium has no pipes')
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  const listeners = new Set<Listener>()
  let lastId = 0
  let rest = ''

  const received = (text: string) => {
    const said = message.parse(JSON.parse(text))
    if ('method' in said) {
      for (const listener of listeners) listener(said.method, said.params, said.sessionId)
      return
    }
    const call = waiting.get(said.id)
    waiting.delete(said.id)
    if ('error' in said) call?.reject(new Error(said.error.message))
    else call?.resolve(said.result)
  }
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const texts = (rest + chunk).split('\0')
    rest = texts.pop() ?? ''
    for (const text of texts) received(text)
  })
  // Writing to a browser that has gone; `ended` tells the callers.
  input.on('error', () => {})
  void ended.then((why) => {
    for (const { reject } of waiting.values()) reject(new Error(why))
    waiting.clear()
  })

  return {
    call: <S extends z.ZodType>(result: S, method: string, params: object = {}, sessionId?: string) =>
      new Promise<unknown>((resolve, reject) => {
        const id = ++lastId
        waiting.set(id, { resolve, reject })
        input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
      }).then((value): z.output<S> => result.parse(value)),
    listen: (listener: Listener) => void listeners.add(listener),
  }
}
type DevTools = ReturnType<typeof createDevTools>

/** What a policy refuses is not always in the console; an event of the page tells it all. */
const TELL_REFUSALS = `document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
  console.error('the policy refused', effectiveDirective, blockedURI))`

const openPage = async (devTools: DevTools, url: string): Promise<Page> => {
  const { targetId } = await devTools.call(target, 'Target.createTarget', { url: 'about:blank' })
  const attach = { targetId, flatten: true }
  const { sessionId } = await devTools.call(session, 'Target.attachToTarget', attach)
  const said: string[] = []
  const requests: string[] = []
  const loaded = new Promise<void>((resolve) => {
    devTools.listen((method, params, from) => {
      if (from !== sessionId) return
      if (method === 'Page.loadEventFired') resolve()
      if (method === 'Network.requestWillBeSent') requests.push(requested.parse(params).request.url)
      if (method === 'Runtime.exceptionThrown') said.push(sentenceOf(uncaught.parse(params).exceptionDetails))
      if (method === 'Runtime.consoleAPICalled') {
        const { type, args } = logged.parse(params)
        said.push(`${type}: ${args.map((each) => each.description ?? String(each.value)).join(' ')}`)
      }
    })
  })
  for (const domain of ['Page', 'Runtime', 'Network'])
    await devTools.call(z.unknown(), `${domain}.enable`, {}, sessionId)
  const early = { source: TELL_REFUSALS }
  await devTools.call(z.unknown(), 'Page.addScriptToEvaluateOnNewDocument', early, sessionId)
  await devTools.call(z.unknown(), 'Page.navigate', { url }, sessionId)
  await loaded
  return {
    sessionId,
    async evaluate(expression) {
      const how = { expression, awaitPromise: true, returnByValue: true }
      const answer = await devTools.call(evaluated, 'Runtime.evaluate', how, sessionId)
      if (answer.exceptionDetails) throw new Error(sentenceOf(answer.exceptionDetails))
      return answer.result.value
    },
    console: () => said,
    requests: () => requests,
  }
}

const targets = z.object({
  targetInfos: z.array(z.object({ targetId: z.string(), type: z.string(), url: z.string() })),
})
const registrations = z.object({
  registrations: z.array(z.object({ registrationId: z.string(), scopeURL: z.string() })),
})

const openWorker = async (devTools: DevTools, page: Page, origin: string): Promise<ServiceWorker> => {
  const permissions = ['notifications']
  await devTools.call(z.unknown(), 'Browser.grantPermissions', { origin, permissions })
  const registered = new Promise<string>((resolve) => {
    devTools.listen((method, params, from) => {
      if (from !== page.sessionId || method !== 'ServiceWorker.workerRegistrationUpdated') return
      const own = registrations
        .parse(params)
        .registrations.find(({ scopeURL }) => scopeURL.startsWith(origin))
      if (own) resolve(own.registrationId)
    })
  })
  await devTools.call(z.unknown(), 'ServiceWorker.enable', {}, page.sessionId)
  const registrationId = await registered
  const { targetInfos } = await devTools.call(targets, 'Target.getTargets')
  const found = targetInfos.find(({ type, url }) => type === 'service_worker' && url.startsWith(origin))
  if (!found) throw new Error('The worker does not run')
  const attach = { targetId: found.targetId, flatten: true }
  const { sessionId } = await devTools.call(session, 'Target.attachToTarget', attach)
  return {
    async evaluate(expression) {
      const how = { expression, awaitPromise: true, returnByValue: true }
      const answer = await devTools.call(evaluated, 'Runtime.evaluate', how, sessionId)
      if (answer.exceptionDetails) throw new Error(sentenceOf(answer.exceptionDetails))
      return answer.result.value
    },
    async push(data) {
      const message = { origin, registrationId, data }
      await devTools.call(z.unknown(), 'ServiceWorker.deliverPushMessage', message, page.sessionId)
    },
  }
}

export const startChromium = async (path: string): Promise<Chromium> => {
  const home = await mkdtemp(join(tmpdir(), 'belfry-chromium-'))
  // A group of its own, so that what it starts can be ended with it.
  const child = spawn(path, [...FLAGS, `--user-data-dir=${join(home, 'profile')}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, HOME: home },
    detached: true,
  })
  let complaints = ''
  child.stderr?.on('data', (text) => {
    complaints += text
  })
  const closed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`Chromium did not start: ${error.message}`))
    child.once('exit', (code, signal) => resolve(`Chromium ended with ${signal ?? code}:\n${complaints}`))
  })
  const isRunning = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null

  const devTools = createDevTools(child, closed)
  const release = async () => {
    if (isRunning()) {
      devTools.call(z.unknown(), 'Browser.close').catch(() => {})
      const patience = setTimeout(() => {
        if (isRunning() && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      }, GOODBYE)
      await closed
      clearTimeout(patience)
    }
    // Its helpers may still be writing for a moment.
    await rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    const { product } = await devTools.call(version, 'Browser.getVersion')
    return {
      version: product,
      open: (url) => openPage(devTools, url),
      workerOf: (page, origin) => openWorker(devTools, page, origin),
      [Symbol.asyncDispose]: release,
    }
  } catch (error) {
    await release()
    throw error
  }
}
