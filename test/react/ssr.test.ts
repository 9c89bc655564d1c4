/** On a server there is no wallet: what is rendered is the same for everybody, and nothing is opened or asked. */

import { Inbox, useWallet } from '@belfry/react'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { afterEach, expect, test, vi } from 'vitest'
import { Page } from './page.tsx'

afterEach(() => void vi.restoreAllMocks())

const scene = { url: 'http://127.0.0.1:9', account: 'eip155:1:0x0', domain: 'app.example.com' }
const sign = async () => {
  throw new Error('Nobody may be asked')
}

test('a page is rendered to a string, without a wallet and without a warning', () => {
  const said = [vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')]
  const html = renderToString(createElement(Page, { ...scene, sign }))
  expect(html).toContain('aria-label="Notifications"')
  expect(html).toContain('&quot;status&quot;:&quot;none&quot;')
  expect(renderToString(createElement(Page, { ...scene, sign }))).toBe(html)
  for (const one of said) expect(one).not.toHaveBeenCalled()
})

test('what stands under no provider says so', () => {
  const Lonely = () => createElement('p', null, useWallet().status)
  expect(() => renderToString(createElement(Lonely))).toThrow('There is no BelfryProvider above')
  expect(() => renderToString(createElement(Inbox))).toThrow('There is no BelfryProvider above')
})
