import { describe, expect, it } from 'vitest'
import { startWorld } from '../support/world.ts'

/** The addresses that a page loads. */
const loadedBy = (html: string): string[] =>
  [...html.matchAll(/(?:src|href)="([^"]+)"/g)].flatMap(([, address]) => address ?? [])

describe('pages', () => {
  it.for(['/', '/console'])(
    '%s and all that it loads come from this server, under a policy without exceptions',
    async (path) => {
      await using world = await startWorld()
      const page = await fetch(`${world.url}${path}`)
      expect(page.status).toBe(200)
      expect(page.headers.get('content-type')).toMatch(/^text\/html/)
      const policy = page.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("script-src 'self'")
      expect(policy).not.toMatch(/unsafe|\*|https?:/)
      const html = await page.text()
      expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=/)
      const addresses = loadedBy(html)
      expect(addresses.length).toBeGreaterThan(1)
      for (const address of addresses) {
        expect(address).toMatch(/^\/[^/]/)
        expect((await fetch(`${world.url}${address}`)).status).toBe(200)
      }
    },
  )

  it('a file whose name says what is in it may be kept; what was not changed is not sent again', async () => {
    await using world = await startWorld()
    const html = await (await fetch(world.url)).text()
    const script = loadedBy(html).find((address) => address.startsWith('/assets/') && address.endsWith('.js'))
    const first = await fetch(`${world.url}${script}`, { headers: { 'accept-encoding': 'identity' } })
    expect(first.headers.get('cache-control')).toContain('immutable')
    expect(first.headers.get('content-encoding')).toBeNull()
    const again = await fetch(`${world.url}${script}`, {
      headers: { 'if-none-match': first.headers.get('etag') ?? '' },
    })
    expect(again.status).toBe(304)
    const packed = await fetch(`${world.url}${script}`, { headers: { 'accept-encoding': 'gzip' } })
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    expect(await packed.text()).toBe(await first.text())
  })

  it('are found as people type them, and are not packed for who takes no gzip', async () => {
    await using world = await startWorld()
    for (const path of ['/console', '/docs']) {
      const typed = await fetch(`${world.url}${path}/`, { redirect: 'manual' })
      expect([typed.status, typed.headers.get('location')]).toEqual([308, path])
    }
    for (const path of ['/', '/openapi.json']) {
      const plain = await fetch(`${world.url}${path}`, { headers: { 'accept-encoding': 'gzip;q=0' } })
      expect(plain.headers.get('content-encoding')).toBeNull()
      // As a proxy that packs sends it on, and as a cache that has several.
      const etag = plain.headers.get('etag') ?? ''
      for (const tags of [`W/${etag}`, `"other", ${etag}`, '*']) {
        const known = await fetch(`${world.url}${path}`, { headers: { 'if-none-match': tags } })
        expect([path, tags, known.status]).toEqual([path, tags, 304])
      }
    }
  })

  it('only files of the build are served', async () => {
    await using world = await startWorld()
    for (const path of [
      '/assets/..%2fmanifest.json',
      '/manifest.json',
      '/assets/nothing.js',
      '/inbox/index.html',
    ]) {
      expect((await fetch(`${world.url}${path}`)).status).toBe(404)
    }
  })

  it('an operator may serve none, or one of them', async () => {
    await using none = await startWorld({ config: { pages: [] } })
    for (const path of ['/', '/console', '/icon.svg'])
      expect((await fetch(`${none.url}${path}`)).status).toBe(404)
    await using one = await startWorld({ config: { pages: ['console'] } })
    expect((await fetch(`${one.url}/console`)).status).toBe(200)
    expect((await fetch(one.url)).status).toBe(404)
  })
})
