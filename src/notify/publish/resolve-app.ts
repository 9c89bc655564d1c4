/** Finds the app that a dapp means: the published API names the project only. */
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
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

/** The named one, else the one with the type, else the oldest. Throws `unknown_app`. */
export const appFor = (
  candidates: readonly AppRecord[],
  { domain, type }: { domain?: string | undefined; type: string },
): AppRecord => {
  const app =
    domain === undefined
      ? (candidates.find(({ types }) => types.some(({ id }) => id === type)) ?? candidates[0])
      : candidates.find((candidate) => candidate.domain === domain)
  if (app) return app
  throw new ProtocolError('unknown_app', domain ?? 'the project has none yet', { field: 'appDomain' })
}
