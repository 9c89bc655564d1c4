/**
 * The one vocabulary of failure. A service throws a `ProtocolError` with a code of this table; only the edges (`http`,
 * `ws`, `requests/handler`) turn it into a status, a JSON-RPC error or a sentence. Anything else that is thrown is a defect of
 * ours: the edge logs it with an id and tells the caller the id only.
 *
 * `rpc` codes: the JSON-RPC 2.0 ones where they fit; -1 for a wallet's fault after decryption and -32000 for ours, as
 * the published notify clients expect.
 */
const CODES = {
  // What was said could not be understood.
  bad_json: { http: 400, rpc: -32700, sentence: 'The message is not valid JSON' },
  bad_request: { http: 400, rpc: -32600, sentence: 'The message is not a valid request' },
  unknown_method: { http: 404, rpc: -32601, sentence: 'The method is not known' },
  bad_params: { http: 422, rpc: -32602, sentence: 'The parameters are not valid' },
  // Who said it could not be established, or may not say it.
  unauthenticated: { http: 401, rpc: 3000, sentence: 'Authentication is missing or wrong' },
  blocked: { http: 403, rpc: 3000, sentence: 'The operator of this server has blocked you' },
  forbidden: { http: 403, rpc: -1, sentence: 'This is not allowed' },
  jwt_invalid: { http: 401, rpc: -1, sentence: 'The JWT is not valid' },
  jwt_expired: { http: 401, rpc: -1, sentence: 'The JWT is expired, or not valid yet' },
  jwt_wrong_act: { http: 401, rpc: -1, sentence: 'The JWT was made for another action' },
  jwt_wrong_audience: { http: 401, rpc: -1, sentence: 'The JWT was made for another audience' },
  identity_unknown: { http: 404, rpc: -1, sentence: 'The identity key is not registered' },
  identity_invalid: { http: 400, rpc: -1, sentence: 'The identity key could not be verified' },
  key_server_refused: { http: 403, rpc: -1, sentence: 'The key server is not one that this server asks' },
  account_mismatch: { http: 403, rpc: -1, sentence: 'The account is not the one that signed' },
  app_not_authorized: { http: 403, rpc: -1, sentence: 'The identity key is not authorised for this app' },
  // What was asked for is not there, or not possible.
  not_found: { http: 404, rpc: -1, sentence: 'There is nothing here by that name' },
  method_not_allowed: { http: 405, rpc: -32600, sentence: 'This address does not take that HTTP method' },
  unknown_app: { http: 404, rpc: -1, sentence: 'The app is not registered' },
  not_subscribed: { http: 404, rpc: -1, sentence: 'There is no such subscription' },
  unknown_notification: {
    http: 404,
    rpc: -1,
    sentence: 'There is no such notification in this subscription',
  },
  unknown_action: { http: 404, rpc: -1, sentence: 'The notification asks for no such answer' },
  already_answered: { http: 409, rpc: -1, sentence: 'The account has answered otherwise' },
  too_many_watchers: { http: 409, rpc: -1, sentence: 'Too many watchers for this account and app' },
  too_many_installations: { http: 409, rpc: 409, sentence: 'Too many installations for this account' },
  conflict: { http: 409, rpc: -1, sentence: 'This is already taken' },
  former_secret: {
    http: 409,
    rpc: -1,
    sentence: 'This process still runs with the former secret; start it again first',
  },
  undecryptable: { http: 400, rpc: -1, sentence: 'The envelope could not be decrypted' },
  // How much was said, how fast.
  too_large: { http: 413, rpc: -32600, sentence: 'The message is too large' },
  unsupported_media: { http: 415, rpc: -32600, sentence: 'The body must be JSON' },
  quota_reached: { http: 409, rpc: -1, sentence: 'The quota of the project is used up' },
  store_full: { http: 507, rpc: -32000, sentence: 'The store takes nothing new right now' },
  rate_limited: { http: 429, rpc: -1, sentence: 'Too many requests' },
  // Ours.
  internal: { http: 500, rpc: -32000, sentence: 'Internal server error' },
  unavailable: { http: 503, rpc: -32000, sentence: 'The service is not available right now' },
  // Of this device alone: no server says so.
  closed: { http: 503, rpc: -32000, sentence: 'It was closed' },
  state_unreadable: { http: 500, rpc: -32000, sentence: 'What this device stored cannot be opened' },
} as const satisfies Record<string, { http: number; rpc: number; sentence: string }>

export type ErrorCode = keyof typeof CODES

/** An expected failure, with its place in the vocabulary. `message` is safe to show to whoever caused it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ErrorCode
  /** The place in the input that is at fault, as a path: `notification.title`, `[0].accounts[3]`. */
  readonly field: string | undefined
  /** When it is of use to ask again, s from now. */
  readonly retryAfter: number | undefined

  constructor(
    code: ErrorCode,
    detail?: string,
    options?: ErrorOptions & { field?: string; retryAfter?: number },
  ) {
    super(detail === undefined ? CODES[code].sentence : `${CODES[code].sentence}: ${detail}`, options)
    this.code = code
    this.field = options?.field
    this.retryAfter = options?.retryAfter
  }

  /** HTTP status of this code. */
  get http(): (typeof CODES)[ErrorCode]['http'] {
    return CODES[this.code].http
  }

  /** JSON-RPC error code of this code. */
  get rpc(): number {
    return CODES[this.code].rpc
  }
}

/** The sentences by length, the longest first, so that one which begins another is not taken for it. */
const SENTENCES = Object.entries(CODES).sort(([, a], [, b]) => b.sentence.length - a.sentence.length)

/** Whether the word is one of the vocabulary. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(CODES, code)

/** The failure whose sentence a text begins with, as the other end of a wire wrote it; the rest is its detail. */
export const fromSentence = (
  text: string,
  options?: { field?: string; retryAfter?: number },
): ProtocolError | undefined => {
  const [code = '', entry] = SENTENCES.find(([, { sentence }]) => text.startsWith(sentence)) ?? []
  if (!entry || !isErrorCode(code)) return undefined
  return new ProtocolError(code, text.slice(entry.sentence.length).replace(/^: /, '') || undefined, options)
}

/**
 * The failure that the other end meant by a JSON-RPC error. Several of ours share one number, so our own sentence
 * decides where it is there; a foreign sentence becomes the detail of what the number says.
 */
export const fromRpcFailure = (rpc: number, message: string): ProtocolError => {
  const ours = fromSentence(message)
  if (ours) return ours
  if (rpc === -32700) return new ProtocolError('bad_json', message)
  if (rpc === -32601) return new ProtocolError('unknown_method', message)
  if (rpc === -32602) return new ProtocolError('bad_params', message)
  if (rpc === 3000) return new ProtocolError('unauthenticated', message)
  return new ProtocolError(rpc === -32000 ? 'internal' : 'bad_request', message)
}
