/**
 * Leads published clients of the hosted service to a Belfry server, in a page, unmodified. What they have fixed in their packages
 * is moved; everything else passes as it is.
 */
import { redirectsOfPage } from './redirect/redirects.ts'
import { type RedirectOptions, targetOf } from './redirect/target.ts'

export type { FixedHost } from '../../../src/platform/net/fixed-hosts.ts'
export type { RedirectOptions } from './redirect/target.ts'

/**
 * Leads this page's requests to the fixed hosts to a Belfry server: of `fetch`, `XMLHttpRequest`, `WebSocket`, `EventSource`,
 * `sendBeacon` and frames. Method, headers, body, path and query stay. Call it before the clients are imported, since some keep
 * the `fetch` that they find. Called again it is still one redirect, to where the newest call says.
 *
 * @param url the server, as in `https://belfry.example.com`
 * @param options `except`: fixed hosts that are left alone
 * @returns undoes this call; the last one gives the page back what it had
 * @throws TypeError when `url` is no address of a server
 * @example
 * import { redirectWalletConnect } from '@belfry/compat'
 *
 * const undo = redirectWalletConnect('https://belfry.example.com')
 * const { Web3InboxClient } = await import('@web3inbox/core')
 */
export const redirectWalletConnect = (url: string | URL, options: RedirectOptions = {}): (() => void) =>
  redirectsOfPage()(targetOf(url, options))
