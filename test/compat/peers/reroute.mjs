/*
 * Loaded before a published client (node --import): the only thing that the tests change about its world is where
 * host names lead. Names in COMPAT_ROUTES lead to the server under test and keep their Host header; loopback is itself;
 * every other name does not exist, so a client that needs an outside service shows it instead of hanging on the network.
 */
import dns from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'

const routes = new Map(Object.entries(JSON.parse(process.env.COMPAT_ROUTES ?? '{}')))
const isLoopback = (host) => host === 'localhost' || host === '127.0.0.1' || host === '::1'

/** The options of one request, however the caller spelled them: (url), (url, options), (options). */
const normalised = (first, second, scheme) => {
  const given = typeof first === 'string' ? new URL(first) : first
  const fromUrl = given instanceof URL ? urlOptions(given) : given
  const options = { ...fromUrl, ...(typeof second === 'object' ? second : {}) }
  const name = options.hostname ?? String(options.host ?? 'localhost').replace(/:\d+$/, '')
  const port = options.port ? `:${options.port}` : ''
  const usual = scheme === 'https:' ? ':443' : ':80'
  return { options, authority: port === usual ? name : `${name}${port}` }
}

const urlOptions = (url) => ({
  protocol: url.protocol,
  hostname: url.hostname,
  port: url.port,
  path: `${url.pathname}${url.search}`,
})

const reroute = (scheme, original) =>
  function request(first, second, third) {
    const { options, authority } = normalised(first, second, scheme)
    const target = routes.get(authority)
    if (!target) return original(first, second, third)
    const { hostname, port } = new URL(target)
    const { host: _host, servername: _servername, agent: _agent, ...rest } = options
    const done = typeof second === 'function' ? second : third
    return realRequest(
      { ...rest, protocol: 'http:', hostname, port, headers: { ...options.headers, host: authority } },
      done,
    )
  }

const realRequest = http.request
const routed = { http: reroute('http:', http.request), https: reroute('https:', https.request) }
http.request = routed.http
https.request = routed.https
const ended = (request) => {
  request.end()
  return request
}
http.get = (...args) => ended(routed.http(...args))
https.get = (...args) => ended(routed.https(...args))

const realFetch = globalThis.fetch
globalThis.fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input)
  const target = routes.get(url.host)
  return target ? realFetch(new URL(`${url.pathname}${url.search}`, target), init) : realFetch(input, init)
}

const realLookup = dns.lookup
dns.lookup = (name, options, done) => {
  if (isLoopback(name)) return realLookup(name, options, done)
  process.send?.({ outside: name })
  const answer = typeof options === 'function' ? options : done
  const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), {
    code: 'ENOTFOUND',
    hostname: name,
  })
  process.nextTick(answer, error)
}
syncBuiltinESMExports()
