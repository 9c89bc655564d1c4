/**
 * Hosts of the hosted service that are fixed in published clients. A server takes over all of them: their paths do not collide.
 * `docs/wallets.md` says who asks which. Here it is for what leads clients here, and for what advises operators.
 */
export const FIXED_RELAY_HOSTS = ['relay.walletconnect.com', 'relay.walletconnect.org'] as const

export const FIXED_HOSTS = [
  ...FIXED_RELAY_HOSTS,
  'notify.walletconnect.com',
  'explorer-api.walletconnect.com',
  'keys.walletconnect.com',
  'echo.walletconnect.com',
  'verify.walletconnect.org',
  'verify.walletconnect.com',
  'rpc.walletconnect.org',
  'rpc.walletconnect.com',
  'history.walletconnect.com',
] as const

export type FixedHost = (typeof FIXED_HOSTS)[number]
