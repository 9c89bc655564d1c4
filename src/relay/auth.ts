import { verifyClientToken } from '../protocol/client-token.ts'
import { ProtocolError } from '../protocol/errors.ts'

/** Whom this relay lets in. */
export interface Admission {
  /** Where clients were told the relay is. When given, a token for another origin is refused. */
  publicOrigins?: readonly string[] | undefined
  /** Told the origin of a good token that was made out to another server. */
  onOtherServer?: ((origin: string) => void) | undefined
  /** When given, only these project ids are let in. */
  projectIds?: readonly string[] | undefined
}

/** What a request says about who it is, wherever it says it. */
export interface Credentials {
  token: string | undefined
  projectId: string | undefined
}

const LOOPBACK = new Set(['127.0.0.1', '[::1]', '0.0.0.0'])

/** `wss://host/path` and `https://host` are one origin, and so are the names of this machine; undefined: no URL at all. */
export const relayOrigin = (url: unknown): string | undefined => {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined
  const { protocol, hostname, port } = new URL(url)
  const secure = protocol === 'wss:' || protocol === 'https:'
  if (!secure && protocol !== 'ws:' && protocol !== 'http:') return undefined
  const host = LOOPBACK.has(hostname) ? 'localhost' : hostname
  return `${secure ? 'https' : 'http'}://${host}:${port || (secure ? '443' : '80')}`
}

export const isKnownAudience = (audience: unknown, publicOrigins: readonly string[]): boolean => {
  const origin = relayOrigin(audience)
  return origin !== undefined && publicOrigins.some((known) => relayOrigin(known) === origin)
}

/**
 * The client that signed the token: its `iss`. `sub` is a nonce that clients keep over reconnects, so it is no
 * protection against replay and not looked at. Throws `jwt_invalid`, `jwt_expired`, `jwt_wrong_act` for a token that was
 * signed for another purpose, `jwt_wrong_audience`.
 */
export const authenticateClient = (
  token: string,
  { now, publicOrigins, onOtherServer }: { now: number } & Omit<Admission, 'projectIds'>,
): { clientId: string } => {
  const claims = verifyClientToken(token, { now })
  if (publicOrigins && !isKnownAudience(claims.aud, publicOrigins)) {
    const origin = relayOrigin(claims.aud)
    if (origin !== undefined) onOtherServer?.(origin)
    throw new ProtocolError('jwt_wrong_audience')
  }
  return { clientId: claims.iss }
}

/** Throws what `authenticateClient` throws, `unauthenticated` without a token, `forbidden` for an unknown project id. */
export const admit = (credentials: Credentials, now: number, admission: Admission): { clientId: string } => {
  const { projectIds, ...audience } = admission
  if (!credentials.token) throw new ProtocolError('unauthenticated')
  const client = authenticateClient(credentials.token, { now, ...audience })
  if (projectIds && !projectIds.includes(credentials.projectId ?? '')) {
    throw new ProtocolError('forbidden', 'the project id is not known here')
  }
  return client
}

/** JavaScript clients put their token into `?auth=`, others into the header. */
export const credentialsOf = (
  query: URLSearchParams,
  authorization: string | null | undefined,
): Credentials => ({
  token: query.get('auth') || /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1],
  projectId: query.get('projectId') ?? undefined,
})
