/**
 * Where the reader is, in the address after `#`, which no server sees.
 *
 * | address                | what is shown                            |
 * |------------------------|------------------------------------------|
 * | `#/`                   | messages of all apps                     |
 * | `#/all/APP/ID`         | … and one of them                        |
 * | `#/app/APP`            | messages of one app                      |
 * | `#/app/APP/ID`         | … and one of them                        |
 * | `#/discover`           | apps to subscribe to                     |
 * | `#/discover/APP`       | … and one of them is looked for          |
 * | `#/settings`           | the account and this device              |
 * | `#key=KEY`             | a demo key of another device, once       |
 * | `#session=LINK`        | the link of a wallet session, once       |
 */
export type Route =
  | { at: 'messages'; app?: string; message?: { domain: string; id: string } }
  | { at: 'discover'; app?: string }
  | { at: 'settings' }

export const addressOf = (route: Route): string => {
  if (route.at === 'settings') return '#/settings'
  if (route.at === 'discover')
    return route.app === undefined ? '#/discover' : `#/discover/${encodeURIComponent(route.app)}`
  const { app, message } = route
  const id = message ? `/${encodeURIComponent(message.id)}` : ''
  if (app !== undefined) return `#/app/${encodeURIComponent(app)}${id}`
  return message ? `#/all/${encodeURIComponent(message.domain)}${id}` : '#/'
}

export const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const routeOf = (hash: string): Route => {
  const [, place, domain, id] = hash.replace(/^#/, '').split('/').map(decoded)
  if (place === 'settings') return { at: 'settings' }
  if (place === 'discover') return { at: 'discover', ...(domain && { app: domain }) }
  const message = domain && id ? { domain, id } : undefined
  if (place === 'app' && domain)
    return { at: 'messages', app: domain, ...(message !== undefined && { message }) }
  return { at: 'messages', ...(place === 'all' && message !== undefined && { message }) }
}
