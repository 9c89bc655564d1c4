/** How others reach this server, and the relay that it needs: the public URL, its certificate, clocks, another relay. */
import { isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { systemClock } from '../../platform/runtime/clock.ts'
import { silent, unmeasured } from '../../platform/telemetry.ts'
import { generateSigningKey } from '../../protocol/keys.ts'
import { createRelayClient } from '../../relay/client/index.ts'
import type { Config } from '../../server/config/config.ts'
import { lacksPublicUrl } from '../../server/config/urls.ts'
import { type Finding, failed, ok, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 5_000
/** JWTs and statements are good for minutes; a second more or less is the network's. */
const MAX_DIFFERENCE_MS = 30_000
const CERTIFICATE_WARNING_MS = 14 * 86_400_000
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

const codeOf = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(error)
}

/** When the certificate ends; undefined where none was shown, trusted or not. */
const certificateEnd = ({ hostname, port }: URL): Promise<number | undefined> =>
  new Promise((resolve) => {
    const options = {
      host: hostname,
      port: Number(port || 443),
      // No certificate is asked for by an address.
      servername: isIP(hostname) === 0 ? hostname : '',
      rejectUnauthorized: false,
    }
    const socket = connectTls(options, () => end(Date.parse(socket.getPeerCertificate().valid_to)))
    const end = (at?: number) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(at !== undefined && Number.isFinite(at) ? at : undefined)
    }
    const timer = setTimeout(() => end(), TIMEOUT_MS)
    socket.on('error', () => end())
  })

const certificate = async (url: URL): Promise<Finding[]> => {
  const end = await certificateEnd(url)
  if (end === undefined) return [skipped('tls', `${url.host} shows no certificate.`)]
  const left = end - Date.now()
  const day = new Date(end).toISOString().slice(0, 10)
  if (left < 0) return [failed('tls', `The certificate of ${url.host} ended on ${day}: renew it.`)]
  return left < CERTIFICATE_WARNING_MS
    ? [warning('tls', `The certificate of ${url.host} ends on ${day}: renew it.`)]
    : [ok('tls', `The certificate of ${url.host} is good until ${day}.`)]
}

/** Answers of others carry their time. */
const clockFrom = (answer: Response, host: string): Finding[] => {
  const theirs = Date.parse(answer.headers.get('date') ?? '')
  if (!Number.isFinite(theirs)) return []
  const difference = Math.abs(theirs - Date.now())
  const says = `The clock of this machine and that of ${host} differ by ${Math.round(difference / 1000)} s`
  return [
    difference > MAX_DIFFERENCE_MS
      ? failed('clock', `${says}: run a time service, or signatures are refused as expired.`)
      : ok('clock', `${says}.`),
  ]
}

/** The public URL leads to the server that runs here, when one does: both have the same keys. */
const leadsHere = async (publicUrl: string, local: string | undefined): Promise<boolean | undefined> => {
  if (local === undefined) return undefined
  const documentOf = async (base: string): Promise<string> => {
    const answer = await fetch(`${base}/.well-known/did.json`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return /"x":"[\w-]+"/.exec(await answer.text())?.[0] ?? ''
  }
  try {
    return (await documentOf(publicUrl)) === (await documentOf(local))
  } catch {
    return undefined
  }
}

export const publicAddress = async (config: Config, local: string | undefined): Promise<Finding[]> => {
  const { publicUrl } = config
  if (publicUrl === undefined) {
    return lacksPublicUrl(config)
      ? [
          warning(
            'public URL',
            'BELFRY_PUBLIC_URL is not set, so tokens that were made out to other servers are accepted: set it to how clients reach this one.',
          ),
        ]
      : [ok('public URL', 'Only this machine reaches the server.')]
  }
  const url = new URL(publicUrl)
  const isLocal = LOOPBACK.test(url.hostname)
  const plain =
    url.protocol === 'http:' && !isLocal
      ? [
          warning(
            'public URL',
            `${publicUrl} is not encrypted: put a proxy with TLS before it, and write https://.`,
          ),
        ]
      : []
  const secured = url.protocol === 'https:' ? await certificate(url) : []
  try {
    const answer = await fetch(`${publicUrl}/health`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const clock = isLocal ? [] : clockFrom(answer, url.host)
    const isHere = await leadsHere(publicUrl, local)
    const reached =
      answer.status !== 200
        ? failed(
            'public URL',
            `${publicUrl}/health answers ${answer.status}: check where the name or its proxy leads.`,
          )
        : isHere === false
          ? failed(
              'public URL',
              `Another server answers at ${publicUrl}: check where the name or its proxy leads.`,
            )
          : ok('public URL', `${publicUrl} is reached from here.`)
    return [reached, ...plain, ...secured, ...clock]
  } catch (error) {
    const says = `${publicUrl} is not reached from here (${codeOf(error)})`
    const unreached =
      local === undefined
        ? skipped('public URL', `${says}; no server runs.`)
        : failed('public URL', `${says}: check its name, its proxy and its certificate.`)
    return [unreached, ...plain, ...secured]
  }
}

export const otherRelay = async ({ relayUrl, relayProjectId: projectId }: Config): Promise<Finding[]> => {
  if (relayUrl === undefined) return []
  await using relay = createRelayClient(
    { clock: systemClock, log: silent, meter: unmeasured },
    { url: relayUrl, key: generateSigningKey(), ...(projectId !== undefined && { projectId }) },
  )
  const late = AbortSignal.timeout(TIMEOUT_MS)
  const isConnected = await Promise.race([
    relay.ready().then(
      () => true,
      () => false,
    ),
    new Promise<boolean>((resolve) => late.addEventListener('abort', () => resolve(false), { once: true })),
  ])
  return [
    isConnected
      ? ok('relay', `The relay at ${relayUrl} lets clients in.`)
      : failed(
          'relay',
          `The relay at ${relayUrl} does not answer: check BELFRY_RELAY_URL, and BELFRY_RELAY_PROJECT_ID if it wants one.`,
        ),
  ]
}
