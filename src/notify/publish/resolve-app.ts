/** Finds the app that a dapp means: the published API names the project only. */
import { ProtocolError } from '../../protocol/errors.ts'
import { type Apps, TYPE_ID } from '../apps/apps.ts'
import { pagesOf } from '../pages.ts'
import type { AppRecord } from '../store/store.ts'

const APP_PAGE_SIZE = 500

/** The project's apps, the oldest first; with `domain` that one alone, or `unknown_app`. */
export const appsOf = async (
  apps: Pick<Apps, 'list'>,
  projectId: string,
  domain?: string,
): Promise<AppRecord[]> => {
  const found: AppRecord[] = []
  const read = (page: { after?: string; limit: number }) => apps.list({ projectId, ...page })
  for await (const page of pagesOf(APP_PAGE_SIZE, read, (app) => app.domain)) found.push(...page)
  found.sort((a, b) => a.createdAt - b.createdAt || (a.domain < b.domain ? -1 : 1))
  if (domain === undefined) return found
  const named = found.filter((app) => app.domain === domain)
  if (named.length === 0) throw new ProtocolError('unknown_app', domain, { field: 'appDomain' })
  return named
}

/**
 * The id of the type that a dapp means: an id, or a name. An id counts first; an unknown one is left to the fan-out, which
 * says for each account that it has no such type. Throws `bad_params` for what is neither, with its place in the call.
 */
export const typeOf = ({ domain, types }: AppRecord, text: string, field = 'notification.type'): string => {
  if (types.some(({ id }) => id === text)) return text
  const named = types.find(({ name }) => name === text)
  if (named) return named.id
  if (TYPE_ID.test(text)) return text
  const names = types.map(({ name }) => JSON.stringify(name)).join(', ') || 'none'
  const sentence = `${field}: ${domain} has no type ${JSON.stringify(text)}; its types: ${names}`
  throw new ProtocolError('bad_params', sentence, { field })
}

/** The named one, else the one with the type, else the oldest. Throws `unknown_app`. */
export const appFor = (
  candidates: readonly AppRecord[],
  { domain, type }: { domain?: string | undefined; type: string },
): AppRecord => {
  const app =
    domain === undefined
      ? (candidates.find(({ types }) => types.some(({ id }) => id === type)) ??
        candidates.find(({ types }) => types.some(({ name }) => name === type)) ??
        candidates[0])
      : candidates.find((candidate) => candidate.domain === domain)
  if (app) return app
  throw new ProtocolError('unknown_app', domain ?? 'the project has none yet', { field: 'appDomain' })
}
