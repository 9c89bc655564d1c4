/**
 * The one vocabulary of failure. A service throws a `ProtocolError` with a code of this table; only the edges (`http`,
 * `socket`, `wire`) turn it into a status, a JSON-RPC error or a sentence. Anything else that is thrown is a defect of
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
  too_many_watchers: { http: 409, rpc: -1, sentence: 'Too many watchers for this account and app' },
  conflict: { http: 409, rpc: -1, sentence: 'This is already taken' },
  undecryptable: { http: 400, rpc: -1, sentence: 'The envelope could not be decrypted' },
  // How much was said, how fast.
  too_large: { http: 413, rpc: -32600, sentence: 'The message is too large' },
  unsupported_media: { http: 415, rpc: -32600, sentence: 'The body must be JSON' },
  rate_limited: { http: 429, rpc: -1, sentence: 'Too many requests' },
  // Ours.
  internal: { http: 500, rpc: -32000, sentence: 'Internal server error' },
  unavailable: { http: 503, rpc: -32000, sentence: 'The service is not available right now' },
} as const satisfies Record<string, { http: number; rpc: number; sentence: string }>

export type ErrorCode = keyof typeof CODES

/** An expected failure, with its place in the vocabulary. `message` is safe to show to whoever caused it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? CODES[code].sentence : `${CODES[code].sentence}: ${detail}`, options)
    this.code = code
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
