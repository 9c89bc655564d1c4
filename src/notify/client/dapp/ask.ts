/** Asks the notify server, and asks again where it says that it was too much or too early. */
import type * as z from '#schema'
import {
  type FetchDeps,
  fetchJson,
  httpFailure,
  type JsonAnswer,
  type JsonRequest,
} from '../../../platform/net/fetch-json.ts'
import { pause } from '../../../platform/runtime/clock.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { withoutTrailingSlashes } from '../../../protocol/urls.ts'
import { failure } from '../dapp-schema.ts'
import type { DappOptions, RetryOptions, SendOptions } from './api.ts'

export interface AskDeps extends FetchDeps {
  /** From 0 to below 1; spreads what many clients repeat at once. Default: that of the platform. */
  random?: () => number
}

/** Times a call is repeated, and how long all of its pauses may be. */
const DEFAULT_RETRY = { times: 3, within: 60_000 } as const
/** Without a word of the server: the first pause, which doubles. */
const FIRST_PAUSE_MS = 500
const MAX_SPREAD_MS = 250

/** A request whose repetition does no harm, whatever became of the first one, unless it says otherwise. */
export interface DappRequest extends Pick<JsonRequest, 'method' | 'body'> {
  /** Where a second one would do something twice: it is repeated only when the server has done nothing of it. */
  isOnce?: boolean
}

const mayBeRepeated = (status: number, { isOnce = false }: DappRequest): boolean =>
  status === 429 || (status === 503 && !isOnce)

/** Asks as often as the server wants to be asked, within bounds. An aborted signal ends the pauses, too. */
const createPatientFetch =
  (deps: AskDeps, { times = DEFAULT_RETRY.times, within = DEFAULT_RETRY.within }: RetryOptions = {}) =>
  async (url: string, request: JsonRequest, about: DappRequest): Promise<JsonAnswer> => {
    const { clock, random = Math.random, signal } = deps
    let left = within
    for (let tried = 0; ; tried++) {
      const answer = await fetchJson(deps, url, request)
      if (tried >= times || !mayBeRepeated(answer.status, about)) return answer
      const { retryAfter } = answer
      const asked = retryAfter === undefined ? FIRST_PAUSE_MS * 2 ** tried : retryAfter * 1000
      const wait = asked + random() * MAX_SPREAD_MS
      // The caller hears of it now, instead of after a pause that leads to nothing.
      if (wait > left) return answer
      left -= wait
      await pause(clock, wait, signal)
    }
  }

/** Asks the notify server with the project's secret, and parses what it answers. */
export const createAsk = (
  given: AskDeps,
  { url, secret, signal, retry }: Pick<DappOptions, 'url' | 'secret' | 'signal' | 'retry'>,
) => {
  const patientFetch = createPatientFetch({ ...given, ...(signal && { signal }) }, retry)
  return async <T>(schema: z.ZodType<T>, path: string, about: DappRequest): Promise<T> => {
    const { isOnce: _, ...request } = about
    const headers = { authorization: `Bearer ${secret}` }
    const target = withoutTrailingSlashes(url) + path
    const { status, body, retryAfter } = await patientFetch(target, { ...request, headers }, about)
    if (status >= 400) {
      const fault = failure.safeParse(body).data
      throw httpFailure(status, fault?.error, fault?.field, retryAfter)
    }
    const parsed = schema.safeParse(body)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the notify server answered something else')
  }
}
export type Ask = ReturnType<typeof createAsk>

/** The project's paths, and the app that is meant. */
export const createPaths = ({ projectId, domain }: Pick<DappOptions, 'projectId' | 'domain'>) => {
  const project = encodeURIComponent(projectId)
  const appDomain = domain === undefined ? {} : { appDomain: domain }
  return {
    project,
    appDomain,
    /** A path of the project with the app and further queries. */
    of(path: string, query: Record<string, string | number | undefined> = {}): string {
      const all = Object.entries({ ...appDomain, ...query }).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, `${value}`]],
      )
      return `/v1/${project}/${path}?${new URLSearchParams(all)}`
    },
    terms: ({ id, deliverAt, ttl, collapseKey }: SendOptions) => ({
      ...appDomain,
      notification_id: id,
      deliver_at: deliverAt,
      ttl,
      collapse_key: collapseKey,
    }),
  }
}
export type Paths = ReturnType<typeof createPaths>
