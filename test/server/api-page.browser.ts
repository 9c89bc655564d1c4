import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { findChromium, type Page, startChromium } from '../support/chromium.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/process.ts'
import { startWorld, type World } from '../support/world.ts'

/** A browser's first start on a busy machine. */
const SLOW = 60_000

const owned = createReleaseStack()
let world: World
let page: Page

beforeAll(async () => {
  const path = await findChromium()
  const port = await freePort()
  world = owned.use(await startWorld({ config: { port, publicUrl: `http://127.0.0.1:${port}` } }))
  const chromium = owned.use(await startChromium(path))
  page = await chromium.open(`${world.url}/docs`)
}, INSTALL_TIMEOUT + SLOW)

afterAll(() => owned[Symbol.asyncDispose](), SLOW)

const shown = () => page.evaluate('document.body.innerText')
/** Clicks on the button whose text matches, once it is there. */
const click = (pattern: string) =>
  eventually(async () => {
    const button = `[...document.querySelectorAll('button')].find(({ innerText }) => ${pattern}.test(innerText))`
    expect(await page.evaluate(`!!(${button}?.click() ?? ${button})`)).toBe(true)
  })
const trouble = () => page.console().filter((line) => /^error|Error/.test(line))

it('the API page shows the operations in Chromium, and everything that it loads comes from the server', {
  timeout: SLOW,
}, async () => {
  await eventually(async () => {
    expect(await shown()).toContain('/{projectId}/notify')
    expect(await shown()).toContain('/w3i/v1/projects')
  })
  // Every room has its part of the page.
  const { tags } = z
    .object({ tags: z.array(z.object({ name: z.string() })) })
    .parse((await world.http('GET', '/openapi.json')).body)
  expect(tags.length).toBeGreaterThan(13)
  await eventually(async () => {
    const text = String(await shown()).toLowerCase()
    expect(tags.filter(({ name }) => !text.includes(name))).toEqual([])
  })
  expect(page.requests().map((url) => new URL(url).pathname)).toEqual([
    '/docs',
    '/docs/page.js',
    '/docs/reference.js',
    '/openapi.json',
  ])
  expect(new Set(page.requests().map((url) => new URL(url).origin))).toEqual(new Set([world.url]))
  expect(trouble()).toEqual([])
})

it('the API page sends a request to the server and shows its answer, and its policy refuses nothing on the way', {
  timeout: SLOW,
}, async () => {
  await click('/Test Request.*get .w3i.v1.projects/s')
  await click('/Send get request to/s')
  await eventually(() => expect(page.requests()).toContain(`${world.url}/w3i/v1/projects?entries=100&page=1`))
  await eventually(async () => expect(await shown()).toMatch(/200\s*OK/))
  expect(trouble()).toEqual([])
})

it('the API page cannot run inline code, make code of text, or ask another origin', {
  timeout: SLOW,
}, async () => {
  const attempts = `(async () => {
    const refused = []
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => refused.push(effectiveDirective))
    const add = (name, own) => document.body.append(Object.assign(document.createElement(name), own))
    add('script', { textContent: 'globalThis.wasRun = true' })
    setTimeout('globalThis.wasRun = true', 0)
    add('img', { src: 'http://127.0.0.1:1/x.png' })
    await fetch('http://127.0.0.1:1/').catch(() => {})
    while (refused.length < 4) await new Promise((resolve) => setTimeout(resolve, 10))
    return { refused: refused.sort(), wasRun: globalThis.wasRun ?? false }
  })()`
  expect(await page.evaluate(attempts)).toEqual({
    refused: ['connect-src', 'img-src', 'script-src', 'script-src-elem'],
    wasRun: false,
  })
})
