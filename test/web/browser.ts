/** A real browser for the pages: what a page asked for, complained of and violated is kept, and held against its promises. */
import { mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core'
import { expect } from 'vitest'
import * as z from 'zod'
import { findChromium } from '../support/chromium.ts'

/** Tests run as root in containers, where the sandbox cannot be had and /dev/shm is small. Only this machine is reached. */
const FLAGS = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
]
/** Where a run leaves its screenshots; they are looked at, not compared. */
const SCREENSHOTS = '.build/screenshots'
const AXE = createRequire(import.meta.url).resolve('axe-core')
export const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1440, height: 900 } }

export const startBrowser = async (): Promise<Browser & AsyncDisposable> =>
  chromium.launch({ executablePath: await findChromium(), args: FLAGS })

/** What pages of a context did that they promise not to do. */
export interface Watched {
  context: BrowserContext
  /** Fails when a page reported an error or a violation of its policy, or asked another origin. */
  expectClean(): void
}

const violation = z.object({ directive: z.string(), blocked: z.string() })

/** A browser's profile of its own, whose pages are watched. */
export const openContext = async (
  browser: Browser,
  origin: string,
  options: BrowserContextOptions = {},
): Promise<Watched> => {
  const context = await browser.newContext({ baseURL: origin, ...options })
  const wrong: string[] = []
  await context.exposeBinding('reportViolation', (_, said: unknown) => {
    const { directive, blocked } = violation.parse(said)
    wrong.push(`the policy refused ${directive}: ${blocked}`)
  })
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
      const report: unknown = Reflect.get(globalThis, 'reportViolation')
      if (typeof report === 'function') report({ directive: effectiveDirective, blocked: blockedURI })
    })
  })
  context.on('weberror', (error) => wrong.push(`not caught: ${error.error().message}`))
  context.on('console', (message) => {
    if (message.type() === 'error') wrong.push(`console: ${message.text()}`)
  })
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol !== 'data:' && url.protocol !== 'blob:' && url.origin !== origin)
      wrong.push(`asked ${url.origin}`)
  })
  return { context, expectClean: () => expect(wrong).toEqual([]) }
}

const findings = z.object({
  violations: z.array(
    z.object({
      id: z.string(),
      impact: z.string().nullish(),
      nodes: z.array(z.object({ html: z.string() })),
    }),
  ),
})

/** Fails when axe-core finds something serious or critical. The page's policy keeps other scripts out, so it is run beside it. */
export const expectAccessible = async (page: Page): Promise<void> => {
  const session = await page.context().newCDPSession(page)
  await session.send('Runtime.evaluate', { expression: await readFile(AXE, 'utf8') })
  const { result } = await session.send('Runtime.evaluate', {
    expression: 'axe.run(document)',
    awaitPromise: true,
    returnByValue: true,
  })
  await session.detach()
  const { violations } = findings.parse(result.value)
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`)).toEqual([])
}

/** Screenshots of a page as it is, light and dark, on a phone and on a desktop. */
export const takeScreenshots = async (page: Page, name: string): Promise<void> => {
  mkdirSync(SCREENSHOTS, { recursive: true })
  const before = page.viewportSize()
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) })
    }
  }
  await page.emulateMedia({ colorScheme: null })
  if (before) await page.setViewportSize(before)
}
