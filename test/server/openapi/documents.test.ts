/** What programs read about a server: where it is, in which form, and that its links lead somewhere. */
import { existsSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const get = (path: string, headers: Record<string, string> = {}) => fetch(world.url + path, { headers })

describe('/openapi.json', () => {
  it('is packed for who takes that, and is not sent again to who has it', async () => {
    const first = await get('/openapi.json', { 'accept-encoding': 'gzip' })
    expect(first.headers.get('content-encoding')).toBe('gzip')
    const plain = await get('/openapi.json', { 'accept-encoding': 'identity' })
    expect(plain.headers.get('content-encoding')).toBeNull()
    expect(await plain.text()).toBe(await first.text())
    const again = await get('/openapi.json', { 'if-none-match': first.headers.get('etag') ?? '' })
    expect([again.status, await again.text()]).toEqual([304, ''])
  })

  it('may be asked by a page of any origin, and names the server by its public URL', async () => {
    const answer = await get('/openapi.json', { origin: 'https://tools.example' })
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(await answer.json()).toMatchObject({ servers: [{ url: world.server.url }] })
  })
})

describe('/llms.txt', () => {
  it('has the form of such files', async () => {
    const answer = await get('/llms.txt')
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const text = await answer.text()
    expect(text).toMatch(/^# Belfry\n\n> /)
    expect(text).toBe(readFileSync('llms.txt', 'utf8'))
  })

  it('leads to what is served, and to what is in the package', async () => {
    const links = [...readFileSync('llms.txt', 'utf8').matchAll(/\]\(([^)]+)\)/g)].map(([, to = '']) => to)
    const pages = links.filter((link) => link.endsWith('.md'))
    for (const link of links) expect([link, (await get(link)).status]).toEqual([link, 200])
    for (const page of pages) expect([page, existsSync(`.${page}`)]).toEqual([page, true])
    // No page is forgotten.
    const known = (await readdir('docs')).filter((name) => name.endsWith('.md'))
    expect(pages.map((page) => page.slice('/docs/'.length)).sort()).toEqual(known.sort())
  })

  it('shows the package as it is', async () => {
    const [, code = ''] = /```ts\n([\s\S]+?)```/.exec(readFileSync('llms.txt', 'utf8')) ?? []
    const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
    const entries = [...code.matchAll(/from 'belfry(\/[\w-]+)'/g)].map(([, entry = '']) => `.${entry}`)
    expect(entries).toEqual(['./wallet', './dapp'])
    for (const entry of entries) expect(exports[entry]).toBeDefined()
  })
})

describe('/docs/:page', () => {
  it('is a page of the documents as it is in the package', async () => {
    const answer = await get('/docs/quickstart.md')
    expect(answer.headers.get('content-type')).toBe('text/markdown; charset=utf-8')
    expect(await answer.text()).toBe(readFileSync('docs/quickstart.md', 'utf8'))
  })

  it.each(['nothing.md', 'inbox.png', '..%2fpackage.json', '%2e%2e%2fREADME.md', 'adr', 'adr%2fREADME.md'])(
    'is nothing else: %s',
    async (page) => {
      expect(await (await get(`/docs/${page}`)).json()).toMatchObject({ code: 'not_found' })
    },
  )
})
