export interface UrlParts {
  /** Lower case, without the colon. */
  scheme: string
  /** With the `@` behind them; mostly empty. */
  credentials: string
  /** Lower case; an IPv6 address in brackets. */
  host: string
  /** As the `Origin` of a page on it: without a port that the scheme implies. */
  origin: string
  /** Begins with a slash. */
  path: string
  /** Without the question mark. */
  query: string
}

const URL_FORM =
  /^([a-z][a-z\d+.-]*):\/\/([^\s/?#@]*@)?([a-z\d.-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?(\/[^\s?#]*)?(?:\?([^\s#]*))?(?:#\S*)?$/i
const IMPLIED_PORTS = ['http:80', 'ws:80', 'https:443', 'wss:443']

/**
 * The parts of an absolute URL. React Native has a `URL` that knows no parts, so this one needs none; where there is a real one,
 * it spells hosts of other scripts in ASCII first.
 *
 * @throws `TypeError` for what is no absolute URL with a host.
 */
export const partsOfUrl = (url: string): UrlParts => {
  const parts = URL_FORM.exec(url) ?? URL_FORM.exec(new URL(url).href)
  if (!parts) throw new TypeError('It is no URL with a host')
  const [, scheme = '', credentials = '', host = '', port, path = '/', query = ''] = parts
  const lower = { scheme: scheme.toLowerCase(), host: host.toLowerCase() }
  const isImplied = port === undefined || IMPLIED_PORTS.includes(`${lower.scheme}:${Number(port)}`)
  const origin = `${lower.scheme}://${lower.host}${isImplied ? '' : `:${Number(port)}`}`
  return { ...lower, credentials, origin, path, query }
}

/** The URL without the slashes at its end. A loop: `/\/+$/` takes time in the square of the input's length. */
export const withoutTrailingSlashes = (url: string): string => {
  let end = url.length
  while (end > 0 && url.charAt(end - 1) === '/') end -= 1
  return url.slice(0, end)
}
